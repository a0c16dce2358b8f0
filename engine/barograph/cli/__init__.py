"""The command line: reads, calls and prints. What computes, decides or writes files stands in the wings below."""

from barograph.cli.app import app, main

__all__ = ["app", "main"]
