"""Shapes of files: how a table that somebody saved is laid out, whose it is, and what its marks mean.

Nothing is guessed: what the whole file proves is read and noted, what two readings fit is refused with both.
"""
