"""A user's small project, several files deep: `test_cache.py` copies and edits it, and sees what is compiled again."""
