"""Weights become fills: the light book, the costs that one moment has in common, the room under the leverage limit."""
