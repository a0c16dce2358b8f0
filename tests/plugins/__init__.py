"""Models as somebody else would write them: outside `models/`, without its kit."""
