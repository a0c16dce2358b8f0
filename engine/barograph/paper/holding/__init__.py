"""Bars that are held: which ones, what is told of them, and how an operator confirms one."""
