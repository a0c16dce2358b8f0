"""What doubts a result: other futures, other paths inside the bars, other engines.

It runs the loops and changes nothing in them.
"""
