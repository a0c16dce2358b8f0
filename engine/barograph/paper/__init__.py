"""The service that trades on paper, and its ports: what it asks of feeds, stores, brokers and notifiers.

These are adapters; what decides is `loop`, and what is worth telling `paper.alerts`.
"""
