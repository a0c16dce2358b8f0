"""Where bars come from and results go: the only code that touches the outside."""
