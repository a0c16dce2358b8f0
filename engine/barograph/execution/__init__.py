"""The execution contract, clause by clause: books, orders, fills, money, guards, and the log of what happened.

Nothing here knows a model or a loop.
"""
