"""Paper trading: the live loop, one transaction a bar, and everything around it that must survive a year."""
