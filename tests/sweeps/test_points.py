"""Points made of parts are those that a function makes one by one, and a key that nobody takes is told."""

from __future__ import annotations

import numpy as np
import pytest

import barograph as bg
from barograph.sweeps.stages import content
from barograph.testing import coin, some_bars
from barograph_strategies.regime_filter import regime_filter

BARS = some_bars(150)
BASE = bg.Machine(strategy=regime_filter(), filter=coin())
KEYS = {"threshold": [0.3, 0.6], "fee": [0.0, 0.001], "dwell": [1, 4]}


def test_parts_are_the_machines() -> None:
    asked: list[float] = []

    def terms(fee: float) -> bg.Terms:
        asked.append(fee)
        return bg.Terms(fee=fee)

    def strategy(threshold: float, dwell: int) -> bg.Strategy:
        return regime_filter(threshold=threshold, dwell=dwell)

    def whole(threshold: float, fee: float, dwell: int) -> bg.Machine:
        return bg.Machine(strategy=strategy(threshold, dwell), filter=coin(), terms=bg.Terms(fee=fee))

    parted = bg.sweep(BASE, KEYS, BARS, strategy=strategy, terms=terms)
    made = bg.sweep(whole, KEYS, BARS)
    assert parted.points == made.points
    assert np.array_equal(parted.harvest.rows, made.harvest.rows, equal_nan=True)
    assert parted.counters[:5] == made.counters[:5]
    assert asked == [0.0, 0.001]


@pytest.mark.parametrize(("how", "told"), [
    ({"terms": lambda fee: bg.Terms(fee=fee)}, "nothing is made of key 'threshold'"),
    ({"terms": lambda fee, slip: bg.Terms(fee=fee, slippage=slip)}, "terms= wants 'slip', which is no key"),
])  # fmt: skip
def test_keys_and_parameters_fit(how: dict[str, object], told: str) -> None:
    with pytest.raises(bg.ConfigError, match=told):
        bg.sweep(BASE, KEYS, BARS, **how)  # type: ignore[arg-type]
    with pytest.raises(bg.ConfigError, match="go with a machine"):
        bg.sweep(lambda **_: BASE, KEYS, BARS, **how)  # type: ignore[arg-type]


def test_zeros_and_kinds_are_told_apart() -> None:
    values = [0, 0.0, -0.0, False, None, "0", np.float64(0.0), np.float64(-0.0), 1, 1.0, True]
    assert len({content(of) for of in values}) == len(values)
    assert content(float("nan")) == content(float("nan"))
