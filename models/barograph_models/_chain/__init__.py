"""Hidden regimes and what they emit: emissions, the online filter, inference over all rows, EM and where it begins.

For our own models; a plug-in's author needs none of it. No model's name or settings, and nothing that k-means fits by.
"""
