"""A belief an asset: each is watched as if it were alone, and what one close brings is one message of their names."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from barograph.config.paper import WatchPlan
from barograph.paper.alerts.messages import render
from barograph.paper.alerts.watch import begin, watch
from barograph.paper.ports import About, Alert
from barograph.types import Step
from tests.fakes.outbox import headline
from tests.paper.alerts.test_watch import FIT, MONDAY, A, B, close, kinds

DAY = 86_400_000_000_000
PLAN = WatchPlan(dwell=2, weekly_summary=False, drawdown=[], early_warning=None, window=5)
NONE = (math.nan, math.nan)


def both(bar: int, one: Sequence[float], other: Sequence[float], logpdf: Sequence[float] = (0.0, 0.0)) -> Step:
    """A close of two assets that are traded, and between them one that is only observed."""
    row = np.array([*one, *NONE, *other, logpdf[0], math.nan, logpdf[1]])
    return close(bar, assets=3)._replace(belief=row)


ABOUT = About("demo", ("AAA", "VIX", "BBB"), FIT, 252.0, "XNYS", (None, None), ("AAA", "BBB"))


def told(steps: Sequence[Step], plan: WatchPlan = PLAN, through: Any = dict) -> tuple[list[Alert], dict[str, Any]]:
    state, alerts = begin(plan), []
    for step in steps:
        state, found, _ = watch(plan, through(state), step, ABOUT)
        alerts += found
    return alerts, state


def test_the_asset_whose_regime_turned_is_named() -> None:
    alerts, _ = told([both(n, A if n < 3 else B, A) for n in range(6)])
    assert kinds(alerts) == ["regime_change"]
    assert alerts[0].key == "regime_change:1970-01-09T00:00:00Z"
    message = render(alerts[0], "demo")
    assert headline(message) == "AAA calm → wild · demo"
    assert "- AAA from calm to wild: 90 % probable; calm lasted 3 bars, wild usually lasts 20," in message.body
    assert "does not work" not in message.body


def test_assets_that_turn_at_one_close_are_one_message() -> None:
    alerts, _ = told([both(n, A if n < 3 else B, B if n < 3 else A) for n in range(6)])
    assert kinds(alerts) == ["regime_change"]
    assert [one["symbol"] for one in alerts[0].facts["assets"]] == ["AAA", "BBB"]
    assert headline(render(alerts[0], "demo")) == "AAA calm → wild, BBB wild → calm · demo"


def paths(seed: int, bars: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Beliefs of two assets that turn now and then, and densities that fall out of the fit in the end."""
    random = np.random.default_rng(seed)
    wild = np.cumsum(random.random((bars, 2)) < 0.15, axis=0) % 2
    p = np.where(wild == 1, 0.1, 0.9) + 0.08 * random.standard_normal((bars, 2))
    logpdf = np.where(np.arange(bars)[:, None] < 40, 3.0, -40.0) * np.array([1.0, 0.1])
    return np.clip(p, 0.01, 0.99), logpdf


@pytest.mark.parametrize("seed", range(3))
def test_each_is_watched_as_if_it_were_alone(seed: int) -> None:
    plan = PLAN.model_copy(update={"early_warning": 0.1, "cusum": 5.0})
    p, logpdf = paths(seed)
    steps = [both(n, (p[n, 0], 1 - p[n, 0]), (p[n, 1], 1 - p[n, 1]), logpdf[n]) for n in range(len(p))]
    together, state = told(steps, plan)
    assert {"regime_change", "model_health"} <= set(kinds(together))
    for j, symbol in enumerate(("AAA", "BBB")):
        alone, own = begin(plan), []
        for n in range(len(p)):
            step = close(n, (p[n, j], 1 - p[n, j]), logpdf=logpdf[n, j])
            alone, found, _ = watch(plan, alone, step, About("demo", ("SPY",), FIT, 252.0, "XNYS"))
            own += [(alert.kind, alert.ts) for alert in found]
        kept = state["assets"][symbol]
        assert kept == {key: alone[key] for key in kept}
        mine = [(a.kind, a.ts) for a in together if symbol in [one["symbol"] for one in a.facts["assets"]]]
        assert mine == own
    assert len({alert.key for alert in together}) == len(together)
    for alert in together:
        message = render(alert, "demo")
        assert "does not work" not in message.body
        assert all(one["symbol"] in message.body for one in alert.facts["assets"])


def test_whoever_resumes_from_json_tells_the_same() -> None:
    p, logpdf = paths(0)
    steps = [both(n, (p[n, 0], 1 - p[n, 0]), (p[n, 1], 1 - p[n, 1]), logpdf[n]) for n in range(len(p))]
    again = told(steps, through=lambda state: json.loads(json.dumps(state, allow_nan=False)))
    assert again == told(steps)


def test_one_ill_asset_makes_the_model_ill_and_is_named() -> None:
    alerts, state = told([both(n, (0.5, 0.5), A) for n in range(10)])
    assert state["health"]["causes"] == ["AAA: doubt too large"]
    assert kinds(alerts) == ["model_health"]
    assert "AAA: the model cannot tell the regimes apart" in render(alerts[0], "demo").body


def test_a_summary_says_every_assets_regime() -> None:
    plan = PLAN.model_copy(update={"weekly_summary": True})
    alerts, _ = told([both(n, A, B) for n in range(9)], plan)
    assert "Regimes: AAA calm, BBB wild." in render(alerts[-1], "demo").body
    assert MONDAY % (7 * DAY) == 4 * DAY
