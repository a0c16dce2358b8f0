"""The machine and the loops that drive it: fits, wiring, scan, replay, live, and what a run leaves.

How an order fills is told in `execution`.
"""
