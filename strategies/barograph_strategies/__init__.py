"""Sizing strategies, one a file: each turns a belief, or the bars alone, into a wanted weight of equity."""
