"""What a project has tried: every run, compare and sweep enters `trials.db` by itself, and nothing is ever taken out.

A verdict asks it how many trials there were, and for what is left of their returns.
"""
