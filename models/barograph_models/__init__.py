"""Regime models, one a file: a factory whose ``fit`` returns a `barograph.fitted.Fitted`, and its online filter."""
