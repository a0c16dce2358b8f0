"""Commands that look at what a deployment did: its messages and its orders."""
