"""What a sweep costs: combinations a CPU second, wiring and figures included, and how much of it is what."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

import barograph as bg
from barograph.data.history import History
from barograph.features import sma
from barograph.loop.run import scan
from barograph.sweeps.run import sweep
from barograph.testing import some_bars
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_strategies.protected import protected
from barograph_strategies.regime_filter import regime_filter
from barograph_strategies.sma_filter import sma_filter
from benchmarks import Row, Table, bars

_BARS = 5_000


@bg.kernel
def _turn(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    """Another weight at every close: a fill every bar."""
    return -state, bg.Target(params + 0.1 * state)


@bg.kernel
def _cross(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    """In while the fast average is above the slow one: both are declared."""
    return state, bg.Target(1.0 if belief.features[0] > belief.features[1] else 0.0)


def measure(size: float = 1.0) -> Table:
    """Sweep a fixed filter and a moving average in several ways over 5,000 bars; two threads beside one."""
    history = some_bars(bars(_BARS, size), missing=0.0)
    fitted = gaussian_hmm(states=2).fit(np.diff(np.log(history.close[:, 0])))
    count = max(4, int(1_000 * size))

    def filtered(threshold: float, dwell: int = 1, fee: float = 0.0005) -> bg.Machine:
        return bg.Machine(
            strategy=regime_filter(threshold=threshold, dwell=dwell), model=fitted, terms=bg.Terms(fee=fee)
        )

    def turning(weight: float) -> bg.Strategy:
        return bg.strategy(_turn, weight, init=lambda _: 1.0)

    def crossed(fast: int, slow: int) -> bg.Strategy:
        return bg.strategy(_cross, features=(averages[fast], averages[slow]))

    averages = {window: sma(window) for window in range(2, 250)}
    thresholds, few = np.linspace(0.05, 0.95, count // 20 or 1).tolist(), np.linspace(0.0, 0.01, 4).tolist()
    three = {"threshold": thresholds, "dwell": [1, 2, 3, 5, 8], "fee": few}
    side = max(2, int(100 * np.sqrt(size)))
    windows = {"fast": range(2, 2 + side), "slow": range(240 - side, 240)}
    rule, terms = (
        (lambda threshold, dwell: regime_filter(threshold=threshold, dwell=dwell)),
        lambda fee: bg.Terms(fee=fee),
    )
    base, plain = filtered(0.5), bg.Machine(strategy=crossed(2, 240))
    subjects: list[tuple[str, Any, Mapping[str, Sequence[Any]], dict[str, Any], str]] = [
        ("cross of two averages", plain, windows, {"strategy": crossed}, "10000"),
        ("thresholds, dwell and fees", base, three, {"strategy": rule, "terms": terms}, "10000"),
        ("the same, a function that makes machines", filtered, three, {}, ""),
        ("fees only", base, {"fee": np.linspace(0.0, 0.01, count).tolist()}, {"terms": terms}, "20000"),
        ("a fill every bar", base, {"weight": np.linspace(0.2, 0.8, count // 4 or 1).tolist()},
         {"strategy": turning}, "3000"),
        ("full book with stops", base, {"stop": np.linspace(0.01, 0.1, count // 4 or 1).tolist()},
         {"strategy": lambda stop: protected(of=regime_filter(), stop=stop)}, "2000"),
        ("windows of an average", plain, {"window": range(5, 5 + max(2, count // 10))}, {"strategy": sma_filter},
         "10000"),
    ]  # fmt: skip
    rows = []
    for name, make, keys, how, wanted in subjects:
        spent = _cpu(partial(sweep, make, keys, history, threads=1, **how))
        combinations = int(np.prod([len(values) for values in keys.values()]))
        rows.append(Row(f"{name}, combinations a CPU second", combinations / spent, "1/s", wanted and f">= {wanted}"))
    one, two = (_cpu(partial(sweep, base, three, history, threads=n, strategy=rule, terms=terms)) for n in (1, 2))
    rows.append(Row("CPU of two threads, of one", two / one, "x", "<= 1.1"))
    alone = _cpu(lambda: [scan(filtered(float(t)), history) for t in thresholds[:20]]) / len(thresholds[:20])
    rows.append(Row("one by one with `scan`, without figures", 1.0 / alone, "1/s"))
    rows.append(
        Row("peak memory of the process", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, "MB", "<= 400")
    )
    rows.append(_fits(history))
    return Table(f"Sweeps over {len(history):,} bars", rows)


def _fits(history: History) -> Row:
    """A thousand points over a model that is refitted: the fits are made once."""

    def learning(threshold: float, fee: float = 0.0005) -> bg.Machine:
        schedule = bg.Fit(window=min(1_000, len(history) // 2), every="quarter")
        return bg.Machine(strategy=regime_filter(threshold=threshold), model=gaussian_hmm(states=2), fit=schedule,
                          terms=bg.Terms(fee=fee))  # fmt: skip

    keys = {"threshold": np.linspace(0.05, 0.95, 50).tolist(), "fee": [0.0, 0.001]}
    run = _cpu(lambda: scan(learning(0.5), history), 2)
    many = _cpu(lambda: sweep(learning, keys, history, threads=1), 2)
    fits = len(scan(learning(0.5), history).fits)
    return Row("100 points over quarterly refits, of one run", many / run, "x", "", f"{fits} fits, once")


def _cpu(call: Callable[[], Any], repeats: int = 3) -> float:
    """Return the least CPU seconds of several calls; once before, so that nothing compiles meanwhile."""
    call()
    least = float("inf")
    for _ in range(repeats):
        began = time.process_time()
        call()
        least = min(least, time.process_time() - began)
    return least
