"""TOML becomes a `Machine` and a `History`, every mistake named with its key.

What a part *does* is not known here.
"""
