"""Walk-forward choice: which of several candidates is the machine, and what became of having chosen it."""
