"""From a table to a checked `History`: reading, calendars, actions, findings, rates, invented markets.

No file is opened here: loaders are adapters.
"""
