"""A past that is rewritten: which changes are splits and dividends, and what they do to who held through them."""
