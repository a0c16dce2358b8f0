"""A user's small project, several files deep: `test_cache.py` copies it, edits it and looks at what is compiled again."""
