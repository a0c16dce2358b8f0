"""Models over models: what is common to those that change what another model believes, and not how it learns.

For our own combinators; no model's name is known here.
"""
