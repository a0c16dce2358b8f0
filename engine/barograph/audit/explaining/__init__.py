"""What a fitted model looked at: asked by its own filter, the very kernel that the loop calls, over changed rows.

It needs a fit and rows of features, and nothing else: no config, no history, nothing that trained it.
"""
