"""What a fit is asked beside its filter: scores, draws, how features move together, how many regimes."""
