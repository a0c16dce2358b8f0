"""Regime models, one a file: a factory whose ``fit`` returns a `Fitted` (see `barograph.regimes`), and its filter."""
