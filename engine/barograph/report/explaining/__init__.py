"""What a classifier hangs on and how honest it is: explain.json, its page, and the section of a run's report."""
