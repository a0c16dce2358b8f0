"""What a good result is worth when many were tried: statistics over streams of returns, and folds that do not leak.

Arrays in, named tuples out: it runs no machine, so that a sweep, a registry and a notebook ask it the same questions.
"""

from barograph.validation.block_sums import block_sums
from barograph.validation.confidence_set import confidence_set
from barograph.validation.coverage import coverage, describe
from barograph.validation.event_forecasts import entered_within, event_forecast, warned
from barograph.validation.haircuts import adjusted, haircut
from barograph.validation.null import circular_shift, regime_bootstrap, within_regimes, worlds
from barograph.validation.overfitting import overfitting
from barograph.validation.reality_check import reality_check, superior
from barograph.validation.robustness import break_even, neighbourhood
from barograph.validation.sharpe import (
    annual_factor,
    deflated_sharpe,
    expected_maximum,
    minimum_backtest,
    minimum_track_record,
    probabilistic_sharpe,
)
from barograph.validation.splitters import CombinatorialPurged, PurgedKFold, Streams, WalkForward
from barograph.validation.verdict import verdict

__all__ = ["CombinatorialPurged", "PurgedKFold", "Streams", "WalkForward", "adjusted", "annual_factor", "block_sums",
           "break_even", "circular_shift", "confidence_set", "coverage", "deflated_sharpe", "describe",
           "entered_within", "event_forecast", "expected_maximum", "haircut", "minimum_backtest",
           "minimum_track_record", "neighbourhood", "overfitting", "probabilistic_sharpe", "reality_check",
           "regime_bootstrap", "superior", "verdict", "warned", "within_regimes", "worlds"]  # fmt: skip
