"""What jump models share: the states that can be, what a move between them costs, the cheapest path, its ascent."""
