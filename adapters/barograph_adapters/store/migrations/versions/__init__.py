"""The schema of the store, step by step, up and down."""
