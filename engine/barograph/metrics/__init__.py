"""Arithmetic over a run's tables: what a figure of `metrics.json` means.

What draws or words a figure belongs to `report`.
"""
