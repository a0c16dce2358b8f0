"""What is worth telling, in which words, and how it gets out once.

How a channel is reached is an adapter's business.
"""
