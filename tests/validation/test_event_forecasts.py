"""Forecasts of events: scores in closed form, and what honest and dishonest forecasters of a known world get."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from barograph.errors import PartError
from barograph.validation import entered_within, event_forecast, warned


def world(bars: int, seed: int) -> tuple[Any, Any]:
    """Return probabilities, evenly spread, and whether it happened with just these."""
    random = np.random.default_rng(seed)
    p = random.random(bars)
    return p, (random.random(bars) < p).astype(float)


def test_an_honest_forecaster_is_reliable_and_a_bold_one_is_not() -> None:
    p, y = world(200_000, 0)
    honest, bold = event_forecast(p, y), event_forecast(np.where(p > 0.5, 1.0, 0.0), y)
    assert honest.brier == pytest.approx(1.0 / 6.0, abs=2e-3)
    assert honest.uncertainty == pytest.approx(0.25, abs=1e-3)
    assert honest.reliability < 1e-4
    assert bold.reliability == pytest.approx(1.0 / 16.0, abs=2e-3)
    assert bold.brier == pytest.approx(0.25, abs=4e-3)
    assert honest.skill > 0.3 > abs(bold.skill)
    np.testing.assert_allclose(honest.table[:, 0], honest.table[:, 1], atol=0.02)
    assert honest.table[:, 2].sum() == honest.bars == 200_000


def test_the_parts_are_the_brier_score_of_what_the_bins_said() -> None:
    """Murphy's identity is exact where all that was said in a bin was the same."""
    p, y = world(5_000, 1)
    said = np.floor(p * 10.0) / 10.0 + 0.05
    of = event_forecast(said, y)
    assert of.brier == pytest.approx(of.reliability - of.resolution + of.uncertainty, abs=1e-12)
    assert of.brier == pytest.approx(float(np.mean((said - y) ** 2)), abs=1e-15)


def test_the_base_rate_always_said_has_no_skill_and_unknown_bars_do_not_count() -> None:
    y = np.array([0.0, 1.0, 0.0, 0.0, math.nan, 1.0])
    said = np.array([0.25, 0.25, 0.25, 0.25, 0.9, math.nan])
    of = event_forecast(said, y)
    assert (of.bars, of.base_rate, of.skill, of.resolution) == (4, 0.25, 0.0, 0.0)
    assert event_forecast([math.nan], [1.0]).bars == 0


def test_entered_within_is_told_by_hand_and_the_end_is_unknown() -> None:
    labels = np.random.default_rng(0).integers(0, 3, 200)
    found = entered_within(labels, [1, 2], 4)
    for t in range(200):
        seen = set(labels[t : t + 5]) & {1, 2}
        assert np.isnan(found[t]) if t >= 196 else found[t] == float(bool(seen))
    assert np.isnan(entered_within([0, 0, 1, 0, 0], 1, 2)[3:]).all()


def test_an_oracle_is_never_wrong_and_a_silent_one_never_right() -> None:
    labels = (np.arange(1_000) % 100 >= 90).astype(int)
    oracle = warned(entered_within(labels, 1, 5), labels, 1, 5)
    assert (oracle.entries, oracle.warned, oracle.lead, oracle.false_alarms) == (10, 1.0, 5.0, 0.0)
    # Who always warns is credited with no more than the horizon.
    assert warned(np.ones(1_000), labels, 1, 5).lead == 5.0
    silent = warned(np.zeros(1_000), labels, 1, 5)
    assert (silent.warned, silent.false_alarms) == (0.0, 0.0)
    assert math.isnan(silent.lead)


def test_alarms_in_vain_are_counted_once_each_and_a_year() -> None:
    labels = np.zeros(505, dtype=int)
    said = (np.arange(505) % 50 < 7).astype(float)
    found = warned(said, labels, 1, 5, periods=252.0)
    # Eleven were raised; of the last nobody knows.
    assert found.false_alarms == pytest.approx(10 * 252 / 505)
    assert math.isnan(found.warned)


@pytest.mark.parametrize(
    ("said", "happened", "told"),
    [([0.5], [1.0, 0.0], r"\(1,\) probabilities and \(2,\) outcomes"), ([1.5], [1.0], "a probability is 1.5")],
)
def test_what_cannot_be_scored_is_refused(said: Any, happened: Any, told: str) -> None:
    with pytest.raises(PartError, match=f"event_forecast: {told}"):
        event_forecast(said, happened)


def test_rounding_above_one_is_no_mistake() -> None:
    assert event_forecast([1.0 + 1e-15], [1.0]).brier == 0.0


def test_a_horizon_of_nothing_is_refused() -> None:
    with pytest.raises(PartError, match="horizon = 0, a whole number"):
        entered_within([0, 1], 1, 0)
