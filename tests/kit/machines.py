"""Machines that the laws run over: every fill, several assets, compiled and Python parts, models that learn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

import barograph as bg
from barograph import features, orders
from barograph.data.history import History
from barograph.jit.kernel import kernel
from barograph.jit.views import frozen
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


@kernel
def guarded(state, bars, belief, portfolio, params):
    """Targets of both sides with a stop, a take-profit and a trailing stop; one asset has no take-profit."""
    n = bars.close.size
    weights, stop, take = np.empty(n), np.empty(n), np.empty(n)
    for a in range(n):
        weights[a] = (0.8 if belief.probs[0] > 0.5 else -0.3) / n
        side = 1.0 if weights[a] > 0.0 else -1.0
        stop[a] = bars.close[a] * (1.0 - 0.012 * side)
        take[a] = bars.close[a] * (1.0 + 0.015 * side) if a != 1 else math.nan
    return state, bg.Protected(weights, stop, take, 0.02)


@kernel
def explicit(state, bars, belief, portfolio, params):
    """Orders of every kind and life, brackets, pairs, tags, cancellations."""
    n = bars.close.size
    slip = orders.slip(4 * n)
    for a in range(n):
        p = bars.close[a]
        if not p > 0.0:
            continue
        k = (state + a) % 8
        q = 1000.0 if k % 2 == 0 else -700.0
        if k == 0:
            r = orders.limit(slip, a, q, p * 0.99)
            orders.day(slip, r)
            orders.bracket(slip, r, p * 0.97, p * 1.01)
        elif k == 1:
            r = orders.stop(slip, a, q, p * 0.99)
            orders.tag(slip, r, 3)
        elif k == 2:
            r = orders.stop_limit(slip, a, q, p * 1.005, p * 1.01)
            orders.until(slip, r, bars.ts + 3 * 86_400_000_000_000)
        elif k == 3:
            r = orders.trailing_percent(slip, a, q, 0.02)
            orders.reduce_only(slip, r)
        elif k == 4:
            r = orders.market(slip, a, q)
            orders.trail(slip, r, 0.015)
        elif k == 5:
            one = orders.limit(slip, a, 500.0, p * 0.98)
            other = orders.stop(slip, a, -500.0, p * 0.97)
            orders.one_cancels_other(slip, one, other)
            orders.cancel(slip, a, 3)
        elif k == 6:
            orders.market_on_close(slip, a, q)
            if state % 21 == 6:
                orders.cancel_all(slip, a)
        else:
            orders.trailing_stop(slip, a, q, 0.01 * p)
    return state + 1, slip


def explicit_in_python(state, bars, belief, portfolio, params):
    """The same without the compiler."""
    return explicit.py_func(state, bars, belief, portfolio, params)


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
    dear = {
        "maker_fee": 0.0002,
        "minimum_fee": 0.5,
        "participation": 0.1,
        "tick": 0.01,
        "impact": 0.5,
        "spread": 0.0004,
    }
    dear |= {"volatility_slippage": 0.01, "resting": 40, "leverage": 1.5, **TERMS}
    held = (bg.Guard("drawdown", 0.03, "reduce_only", 5), bg.Guard("stop_out", 1, "no_new_risk", 2))
    more = (
        bg.Guard("daily_loss", 0.01, "flatten", 3),
        bg.Guard("gross", 0.9),
        bg.Guard("position", 0.4, "reduce_only"),
    )
    rate = bg.Rate(np.array([0, 40 * 86_400_000_000_000]), np.array([0.03, 0.08]))
    learns = {"model": gaussian_hmm(states=2, starts=2, seed=3), "fit": bg.Fit(window=60, every=25)}
    return {
        **{
            f"{fill}": bg.Machine(
                strategy=started(lean), filter=coin(), terms=bg.Terms(fill=fill, leverage=1.5, band=0.01, **TERMS)
            )
            for fill in ("next_open", "next_close", "same_close")
        },
        "lots": bg.Machine(
            strategy=started(lean), filter=coin(), terms=bg.Terms(lot=10.0, fixed_fee=1.0, leverage=3.0, **TERMS)
        ),
        "features": bg.Machine(strategy=started(lean), features=several, filter=coin(), terms=bg.Terms(**TERMS)),
        "python strategy": bg.Machine(
            strategy=started(lean_in_python), filter=coin(), terms=bg.Terms(leverage=1.5, **TERMS)
        ),
        "python filter": bg.Machine(strategy=started(lean), filter=slow, terms=bg.Terms(leverage=1.5, **TERMS)),
        "learns": bg.Machine(strategy=bg.strategy(follow), **learns, terms=bg.Terms(**TERMS)),
        "learns by the month": bg.Machine(
            strategy=bg.strategy(follow),
            model=gaussian_hmm(states=2, starts=2, seed=3),
            fit=bg.Fit(window=60, every="month", expanding=True, embargo=3),
            terms=bg.Terms(**TERMS),
        ),
        "protected": bg.Machine(strategy=bg.strategy(guarded), filter=coin(), terms=bg.Terms(guards=held, **dear)),
        "orders": bg.Machine(strategy=started(explicit), filter=coin(), terms=bg.Terms(guards=held, **dear)),
        "orders in python": bg.Machine(
            strategy=started(explicit_in_python),
            filter=coin(),
            terms=bg.Terms(path="nearest", fill="same_close", lot=5.0, **dear),
        ),
        "every term": bg.Machine(
            strategy=started(lean),
            filter=coin(),
            terms=bg.Terms(
                guards=more,
                tiers=[[0, 0.002, 0.001], [4e5, 0.001, 0.0]],
                unit_fee=0.01,
                min_notional=500.0,
                path="optimistic",
                fill="next_close",
                **{**dear, "borrow_rate": rate},
            ),
        ),
        "called": bg.Machine(
            strategy=started(lean, 12.0),
            filter=coin(),
            terms=bg.Terms(
                guards=more[:1], leverage=3.3, maintenance=0.3, warning=0.35, **{**TERMS, "cash_rate": rate}
            ),
        ),
        "late start": bg.Machine(strategy=started(lean), filter=coin(), start=40, terms=bg.Terms(**TERMS)),
    }


def learnable(bars: int = 160, seed: int = 5) -> History:
    """Bars of one asset with two clear regimes, so that a short window can be fitted."""
    rng = np.random.default_rng(seed)
    calm = np.arange(bars) // 20 % 2 == 0
    close = 100.0 * np.exp(np.cumsum(rng.standard_normal(bars) * np.where(calm, 0.004, 0.02)))
    return History.from_arrays(ts=np.arange(1, bars + 1) * 86_400_000_000_000, close=close, symbols=["A"])
