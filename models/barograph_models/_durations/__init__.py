"""Stays whose length is no accident: laws of duration, the filter over ages, EM, Viterbi and forecasts.

For our own models; a plug-in's author needs none of it. What is emitted is `_chain`'s, and no model's name is known.
"""
