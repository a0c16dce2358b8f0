"""Python becomes machine code, and a state lies flat: compiler, cache, memory, views, periods.

It knows no market; what a kernel computes belongs to the wing that wants it.
"""
