"""What every fit of ours needs and no bar does: checked data, seeds, counted moves, many starts and the best of them.

For our own models; a plug-in's author needs none of it. What knows an emission or a filter goes to `_chain`.
"""
