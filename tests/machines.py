"""Machines that the laws run over: every fill, several assets, compiled and Python parts, models that learn."""

from __future__ import annotations

from typing import Any

import numpy as np

import barograph as bg
from barograph import features
from barograph.compiling import frozen, kernel
from barograph.history import History
from barograph.testing import coin
from barograph_models.gaussian_hmm import gaussian_hmm

TERMS: dict[str, Any] = {"fee": 0.001, "slippage": 0.0005, "borrow_rate": 0.07, "cash_rate": 0.01}


@kernel
def lean(state, bars, belief, portfolio, params):
    """Weigh every asset differently, short ones too, and change the mind often."""
    weights = np.empty(bars.close.size)
    for a in range(weights.size):
        weights[a] = params * (belief.probs[0] - 0.3) * (1.0 if a % 2 == 0 else -0.7) / weights.size
    if state % 7 == 3:
        weights[0] = bg.HOLD
    return state + 1, bg.Target(weights)


def lean_in_python(state, bars, belief, portfolio, params):
    """The same, but nothing compiled and the list built as Python likes it."""
    n = bars.close.size
    weights = np.array([params * (belief.probs[0] - 0.3) * (1.0 if a % 2 == 0 else -0.7) / n for a in range(n)])
    if state % 7 == 3:
        weights[0] = bg.HOLD
    return state + 1, bg.Target(weights)


@kernel
def follow(state, bars, belief, portfolio, params):
    """All in while the first regime is likelier than not; before there is a model, out."""
    return state, bg.Target(1.0 if belief.probs[0] > 0.5 else 0.0)


class Slow:
    """A filter that is an ordinary Python object's method: what PyTorch or scikit-learn would be."""

    def step(self, state, x, params):
        """Move halfway to the sign of the feature."""
        probs = state.copy()
        if np.isfinite(x[0]):
            probs[0] = 0.5 * probs[0] + (0.45 if x[0] > 0 else 0.1)
            probs[1] = 1.0 - probs[0]
        return probs, bg.Belief(frozen(probs), 0.0)


def started(step: Any, exposure: float = 2.0) -> bg.Strategy:
    """A strategy that counts its bars."""
    return bg.strategy(step, params=exposure, init=lambda _: 0)


def machines() -> dict[str, bg.Machine]:
    """Name the machines."""
    several = [features.log_return(), features.sma(window=5), features.rsi(window=5)]
    slow = bg.Filter(lambda _: np.full(2, 0.5), Slow().step, (), 2, "slow")
    learns = {"model": gaussian_hmm(states=2, starts=2, seed=3), "fit": bg.Fit(window=60, every=25)}
    return {
        **{
            f"{fill}": bg.Machine(strategy=started(lean), filter=coin(), fill=fill, leverage=1.5, band=0.01, **TERMS)
            for fill in ("next_open", "next_close", "same_close")
        },
        "lots": bg.Machine(strategy=started(lean), filter=coin(), lot=10.0, fixed_fee=1.0, leverage=3.0, **TERMS),
        "features": bg.Machine(strategy=started(lean), features=several, filter=coin(), **TERMS),
        "python strategy": bg.Machine(strategy=started(lean_in_python), filter=coin(), leverage=1.5, **TERMS),
        "python filter": bg.Machine(strategy=started(lean), filter=slow, leverage=1.5, **TERMS),
        "learns": bg.Machine(strategy=bg.strategy(follow), **learns, **TERMS),
        "learns by the month": bg.Machine(
            strategy=bg.strategy(follow),
            model=gaussian_hmm(states=2, starts=2, seed=3),
            fit=bg.Fit(window=60, every="month", expanding=True, embargo=3),
            **TERMS,
        ),
        "late start": bg.Machine(strategy=started(lean), filter=coin(), start=40, **TERMS),
    }


def learnable(bars: int = 160, seed: int = 5) -> History:
    """Bars of one asset with two clear regimes, so that a short window can be fitted."""
    rng = np.random.default_rng(seed)
    calm = np.arange(bars) // 20 % 2 == 0
    close = 100.0 * np.exp(np.cumsum(rng.standard_normal(bars) * np.where(calm, 0.004, 0.02)))
    return History.from_arrays(ts=np.arange(1, bars + 1) * 86_400_000_000_000, close=close, symbols=["A"])
