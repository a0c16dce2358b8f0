"""The watch: what is told, once, and when; the future changes nothing, and resuming from JSON changes nothing."""

from __future__ import annotations

import copy
import functools
import json
import math
import tomllib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import barograph as bg
from barograph.config.paper import KINDS, AlertPlan, Recipient, WatchPlan
from barograph.data.history import History
from barograph.execution.events import (
    AS_WANTED,
    BORN,
    CALLED_IN,
    DAILY_LOSS,
    DRAWDOWN,
    ENTRY,
    FILLED,
    GUARD,
    MARGIN_CALL,
    NO_HEADROOM,
    PARTIAL,
    REJECTED,
    RELEASED,
    pack_terms,
)
from barograph.execution.options import REDUCE_ONLY
from barograph.orders import GTC, LIMIT, TRAILING  # fmt: skip
from barograph.paper.alerts.messages import render
from barograph.paper.alerts.view import State
from barograph.paper.alerts.watch import begin, watch
from barograph.paper.ports import About, Alert
from barograph.regimes.fitted import Fitted
from barograph.regimes.outlook import outlook
from barograph.testing import some_bars
from barograph.types import Step
from barograph_models._chain.gaussian import gaussian_params
from barograph_models.gaussian_hmm import DIAGONAL, gaussian_hmm
from barograph_models.kmeans import kmeans
from tests import ROOT
from tests.fakes.outbox import headline
from tests.kit.machines import TERMS, follow, learnable, machines

DAY = 86_400_000_000_000
MONDAY = 4 * DAY  # 1970-01-05
SILENT = {"daily_summary": False, "weekly_summary": False, "drawdown": [], "var": None, "early_warning": None}


def fit(stay: Sequence[float] = (0.98, 0.95), sd: Sequence[float] = (0.01, 0.03)) -> Fitted:
    """A two-regime model with known parameters, whose training data were drawn from it."""
    transition = np.array([[stay[0], 1 - stay[0]], [1 - stay[1], stay[1]]])
    variance = np.square(np.array(sd))[:, None]
    params = gaussian_params(np.array([0.5, 0.5]), transition, np.zeros((2, 1)), variance)
    made = Fitted(DIAGONAL, params, np.zeros(1), 1000, 7, 0.0, True, 0, ("log_return",))
    shift = outlook(made, 1).shift
    return Fitted(DIAGONAL, params, np.array([-1000.0 * shift]), 1000, 7, 0.0, True, 0, ("log_return",))


FIT = fit()


def about(fitted: Fitted | None = FIT, symbols: tuple[str, ...] = ("SPY",)) -> About:
    return About("demo", symbols, fitted, 252.0, "XNYS")


def close(
    bar: int, probs: Sequence[float] = (1.0, 0.0), equity: float = 1e6, net: float = 0.0, logpdf: float = 0.0,
    events: Sequence[Sequence[float]] = (), ts: int | None = None, assets: int = 1,
) -> Step:  # fmt: skip
    table = np.array([equity, equity, abs(net), net, 0.0, 0.0])
    rows = np.array(events, dtype=np.float64).reshape(len(events), len(events[0]) if events else 10)
    moment = MONDAY + bar * DAY if ts is None else ts
    weights, positions = np.full(assets, net / assets), np.zeros((2, assets))
    return Step(bar, moment, table, weights, np.array([*probs, logpdf]), rows, positions)


def event(what: int, a: int = 0, weight: float = 0.0, q: float = 0.0, price: float = 0.0, fee: float = 0.0,
          reason: float = AS_WANTED, order: int = 1, more: Sequence[float] = ()) -> list[float]:  # fmt: skip
    return [what, order, 0, a, weight, q, price, fee, 0.0, reason, *more]


def watched(plan: WatchPlan, steps: Iterable[Step], who: About | None = None) -> tuple[list[Alert], State]:
    state, alerts = begin(plan), []
    for step in steps:
        state, found, _ = watch(plan, state, step, who or about())
        alerts += found
    return alerts, state


def kinds(alerts: Iterable[Alert]) -> list[str]:
    return [alert.kind for alert in alerts]


# --- the announcement of a regime ---------------------------------------------------------------------------------

A, B, C, UNSURE, NAN = (0.9, 0.1), (0.1, 0.9), (0.35, 0.65), (0.5, 0.5), (math.nan, math.nan)


@pytest.mark.parametrize(
    ("path", "dwell", "told"),
    [
        # Nothing known, then the first regime: silence.
        ([A, A, A], 2, []),
        ([B, B, B], 2, []),
        # A change takes as many closes in a row as the plan says.
        ([A, A, B], 2, []),
        ([A, A, B, B], 2, [3]),
        ([A, A, B, B, B, B], 2, [3]),
        ([A, B], 1, [1]),
        ([A, A, A, B, B, B], 3, [5]),
        # Back and forth, and doubt in between, begin the count again.
        ([A, A, B, A, B, A, B], 2, []),
        ([A, A, B, UNSURE, B], 2, []),
        ([A, A, B, UNSURE, B, B], 2, [5]),
        # Likely, but not likely enough.
        ([A, A, C, C, C, C], 2, []),
        # There and back again are two changes.
        ([A, A, B, B, A, A], 2, [3, 5]),
        # A bar that says nothing neither counts nor breaks the row.
        ([A, A, B, NAN, B], 2, [4]),
        ([NAN, NAN], 2, []),
        # The first regime has to dwell as well.
        ([A, B, B, A, A], 2, [4]),
    ],
)
def test_a_regime_is_told_after_its_dwell(path: list[tuple[float, float]], dwell: int, told: list[int]) -> None:
    plan = WatchPlan(probability=0.8, dwell=dwell, **SILENT)
    alerts, _ = watched(plan, (close(t, probs) for t, probs in enumerate(path)))
    found = [alert for alert in alerts if alert.kind == "regime_change"]
    assert [(alert.ts - MONDAY) // DAY for alert in found] == told


def test_a_row_of_closes_is_one_of_the_same_regime() -> None:
    one, two, three = (0.9, 0.05, 0.05), (0.05, 0.9, 0.05), (0.05, 0.05, 0.9)
    path = [one, one, two, three, two, three, three]
    alerts, _ = watched(WatchPlan(**SILENT), (close(t, probs) for t, probs in enumerate(path)))
    assert [((alert.ts - MONDAY) // DAY, alert.facts["to"]) for alert in alerts] == [(6, 2)]


@pytest.mark.parametrize(("likely", "told"), [(0.7, True), (0.6999999, False)])
def test_the_threshold_belongs_to_what_is_likely_enough(likely: float, told: bool) -> None:
    path = [A, A, (1 - likely, likely), (1 - likely, likely)]
    alerts, _ = watched(WatchPlan(probability=0.7, **SILENT), (close(t, probs) for t, probs in enumerate(path)))
    assert bool(alerts) is told


def test_a_change_says_all_there_is_to_say() -> None:
    plan = WatchPlan(probability=0.8, **SILENT)
    orders = [event(BORN, weight=0.3, a=0), event(BORN, weight=-0.1, a=1), event(FILLED, q=5.0, price=10.0)]
    path = [A] * 80 + [B, B]
    steps = [close(t, probs, net=1.0, assets=2) for t, probs in enumerate(path)]
    steps[-1] = close(len(path) - 1, (0.1, 0.9), net=1.0, assets=2, events=orders)
    alerts, _ = watched(plan, steps, about(symbols=("SPY", "TLT")))
    change = next(alert for alert in alerts if alert.kind == "regime_change")
    assert change.key == "regime_change:1970-03-27T00:00:00Z"
    assert change.severity == "warning"
    facts = change.facts
    assert (facts["from"], facts["to"], facts["from_name"], facts["to_name"]) == (0, 1, "calm", "wild")
    assert (facts["probability"], facts["threshold"], facts["dwell"]) == (0.9, 0.8, 2)
    assert facts["expected_stay"] == pytest.approx(20.0)
    assert facts["volatility"] == pytest.approx(0.03 * math.sqrt(252.0))
    assert facts["path"] == [0.1] * 58 + [0.9, 0.9]
    # The first regime was known from the second close on.
    assert facts["stayed"] == 80
    assert facts["holdings"] == {"SPY": 0.5, "TLT": 0.5}
    assert [(order["symbol"], order["weight"]) for order in facts["orders"]] == [("SPY", 0.3), ("TLT", -0.1)]
    message = render(change, "demo")
    assert headline(message) == "calm → wild, 90 % sure · demo"
    assert "- SPY to 30.0 % of equity" in message.body
    assert "Wild usually lasts 20 bars, at a volatility of 48 % a year; calm lasted 80." in message.body
    assert "▁" * 58 + "██" in message.body or "█" in message.body
    assert message.picture


def test_a_change_says_what_was_done_since_the_regime_was_first_the_likeliest() -> None:
    """What was filled at that very bar was decided before, and doubt begins it anew."""
    before, first, after, late = (event(FILLED, q=q, price=1981.0) for q in (-1.0, -2.0, -500.0, 40.0))
    path = [(A, []), (A, []), (C, [before]), (A, [first]), (C, [before]), (C, [after]), (NAN, [late]), (B, []), (B, [])]
    steps = [close(t, probs, events=events) for t, (probs, events) in enumerate(path)]
    alerts, _ = watched(WatchPlan(probability=0.8, **SILENT), steps)
    change = next(alert for alert in alerts if alert.kind == "regime_change")
    assert change.facts["believed_since"] == steps[4].ts
    done = [(fill["quantity"], fill["ts"]) for fill in change.facts["done"]]
    assert done == [(-500.0, steps[5].ts), (40.0, steps[6].ts)]
    body = render(change, "demo", zone="America/New_York").body
    assert "- sold 500 SPY at 1,981 in the bar of 1970-01-09 19:00 EST" in body
    assert "- bought 40 SPY" in body
    assert "done nothing" not in body
    idle, _ = watched(WatchPlan(probability=0.8, **SILENT), [close(t, probs) for t, probs in enumerate([A, A, B, B])])
    assert "The strategy has done nothing about it so far" in render(idle[-1], "demo").body


def test_of_many_fills_the_first_are_told_and_the_others_counted() -> None:
    steps = [close(0, A), *(close(t, C, events=[event(FILLED, q=1.0, price=2.0)]) for t in range(1, 40)), close(40, B)]
    alerts, state = watched(WatchPlan(probability=0.8, dwell=1, **SILENT), steps)
    change = next(alert for alert in alerts if alert.kind == "regime_change")
    assert (len(change.facts["done"]), change.facts["done_count"]) == (20, 38)
    assert "- and 18 more" in render(change, "demo").body
    assert len(json.dumps(state)) < 10_000


def test_a_memory_of_an_earlier_release_goes_on() -> None:
    steps = [close(t, A if t < 70 else B) for t in range(72)]
    _, state = watched(WatchPlan(**SILENT), steps[:65])
    old = {key: value for key, value in state.items() if key not in ("believed", "closes", "prices")}
    alerts = []
    for step in steps[65:]:
        old, found, _ = watch(WatchPlan(**SILENT), old, step, about())
        alerts += found
    (change,) = [alert for alert in alerts if alert.kind == "regime_change"]
    assert len(change.facts["path"]) == len(change.facts["closes"]) == len(change.facts["prices"]) == 7
    assert render(change, "demo").picture


def test_what_the_strategy_orders_is_told_in_its_own_words() -> None:
    terms = [math.inf, 0.0, 0.0, 0.0]
    packed = event(BORN, q=-0.0, fee=math.nan, more=terms, reason=float(pack_terms(LIMIT, GTC, ENTRY)))
    packed[5:9] = [-40.0, 101.5, math.nan, math.nan]
    called = event(BORN, reason=CALLED_IN, more=terms)
    trailing = event(
        BORN, q=40.0, price=math.nan, fee=math.nan, more=terms, reason=float(pack_terms(TRAILING, GTC, ENTRY))
    )
    path = [close(0, A), close(1, B, events=[packed, called, trailing])]
    alerts, _ = watched(WatchPlan(probability=0.8, dwell=1, **SILENT), path)
    limit, liquidation, trail = alerts[0].facts["orders"]
    assert trail["kind"] == "trailing_stop"
    assert limit == {
        "symbol": "SPY", "kind": "limit", "weight": None, "quantity": -40.0, "limit": 101.5, "stop": None
    }  # fmt: skip
    assert liquidation["kind"] == "liquidation"
    body = render(alerts[0], "demo").body
    assert "- SPY limit -40 units, limit 101.5" in body
    assert "- SPY liquidation" in body


def test_without_a_model_there_are_no_regimes() -> None:
    alerts, state = watched(WatchPlan(**SILENT), (close(t, (1.0,), net=1.0) for t in range(4)), about(None))
    assert alerts == []
    assert state["regime"] is None


def test_a_filter_without_a_fit_has_regimes_and_no_names() -> None:
    alerts, _ = watched(WatchPlan(**SILENT), (close(t, p) for t, p in enumerate([A, A, B, B])), about(None))
    (change,) = alerts
    assert (change.facts["to_name"], change.facts["expected_stay"], change.facts["volatility"]) == (
        "regime 1",
        None,
        None,
    )
    assert headline(render(change, "demo")) == "regime 0 → regime 1, 90 % sure · demo"


# --- early warning ------------------------------------------------------------------------------------------------

WARNS = WatchPlan(probability=0.8, dwell=1, early_warning=0.3, horizon=1, drawdown=[], var=None, weekly_summary=False)


@pytest.mark.parametrize(
    ("calm", "told"),
    [
        ([1.0, 1.0, 0.6], [2]),
        # Once, however long it stays likely, and though it falls a little.
        ([1.0, 1.0, 0.6, 0.6, 0.75, 0.6], [2]),
        # Armed again after it was half as likely.
        ([1.0, 1.0, 0.6, 0.95, 0.6], [2, 4]),
        # Not at the close at which the regime became known.
        ([0.82, 0.6, 0.6], [1]),
    ],
)
def test_an_early_warning_comes_once(calm: list[float], told: list[int]) -> None:
    alerts, _ = watched(WARNS, (close(t, (p, 1 - p)) for t, p in enumerate(calm)))
    found = [alert for alert in alerts if alert.kind == "early_warning"]
    assert [(alert.ts - MONDAY) // DAY for alert in found] == told
    # P(leaving in one bar) from the chain by hand: .6 x .02 + .4 x .95.
    assert found[0].facts["leaving"] == pytest.approx(0.6 * 0.02 + 0.4 * 0.95)
    assert found[0].facts["next_name"] == "wild"
    assert "39 % within 1 bar ·" in render(found[0], "demo").title


def test_a_regime_that_never_lasts_is_not_warned_of() -> None:
    short = about(fit(stay=(0.98, 0.5)))
    path = [A, A, (0.0, 1.0), (0.0, 1.0), (0.0, 1.0)]
    alerts, _ = watched(WARNS, (close(t, p) for t, p in enumerate(path)), short)
    assert kinds(alerts) == ["regime_change"]


def test_the_entering_of_a_danger_is_warned_of_by_its_first_passage() -> None:
    plan = WARNS.model_copy(update={"danger": [1], "horizon": 10})
    alerts, _ = watched(plan, (close(t, (p, 1 - p)) for t, p in enumerate([1.0, 1.0, 0.8, 1.0])))
    (found,) = [alert for alert in alerts if alert.kind == "early_warning"]
    # By hand: what is wild already has been entered, what is calm stays so for ten bars with .98^10.
    assert found.facts["leaving"] == pytest.approx(0.2 + 0.8 * (1.0 - 0.98**10))
    assert found.facts["next_name"] == "wild"
    told = render(found, "demo")
    assert told.title.startswith("wild may come: 35 % within 10 bars · demo")
    assert "for however short, with a probability of 35 %" in told.body


@pytest.mark.parametrize(("danger", "start"), [([1], (0.0, 1.0)), ([0, 1], (1.0, 0.0)), ([7], (1.0, 0.0))])
def test_nobody_is_warned_of_what_is_there_or_of_everything_or_of_nothing(danger: list[int], start: Any) -> None:
    plan = WARNS.model_copy(update={"danger": danger, "early_warning": 0.01})
    alerts, _ = watched(plan, (close(t, start) for t in range(4)))
    assert "early_warning" not in kinds(alerts)


def test_the_horizon_is_the_chain_raised_to_it() -> None:
    ahead = np.linalg.matrix_power(FIT.transition, 5)
    seen = outlook(FIT, 5)
    assert seen.ahead(np.array([0.7, 0.3])) == pytest.approx(np.array([0.7, 0.3]) @ ahead)


# --- orders, guards, drawdown -------------------------------------------------------------------------------------


def test_all_fills_of_a_bar_are_one_alert() -> None:
    rows = [
        event(FILLED, a=0, q=10.0, price=100.0, fee=1.0),
        event(PARTIAL, a=1, q=-5.5, price=7.25, fee=0.5, reason=6.0),
        event(BORN, a=1, weight=0.2),
    ]
    alerts, _ = watched(WatchPlan(), [close(0, events=rows, assets=2)], about(symbols=("SPY", "TLT")))
    (told,) = alerts
    assert (told.kind, told.key, told.severity) == ("order_filled", "order_filled:1970-01-05T00:00:00Z", "info")
    assert [(f["symbol"], f["quantity"], f["price"], f["whole"]) for f in told.facts["fills"]] == [
        ("SPY", 10.0, 100.0, True),
        ("TLT", -5.5, 7.25, False),
    ]
    assert told.facts["fees"] == 1.5
    message = render(told, "demo")
    assert headline(message) == "2 fills: SPY +10 at 100 and 1 more · demo"
    assert "- TLT -5.5 at 7.25, fee 0.50, participation: the rest waits for more volume (in part)" in message.body


def test_rejections_are_told_with_their_reasons() -> None:
    alerts, _ = watched(WatchPlan(), [close(0, events=[event(REJECTED, weight=2.0, reason=NO_HEADROOM, order=7)])])
    (told,) = alerts
    assert (told.kind, told.severity) == ("order_rejected", "warning")
    assert "SPY, order 7: no room under the leverage limit" in render(told, "demo").body


@pytest.mark.parametrize(
    ("rows", "severity", "title"),
    [
        (
            [event(GUARD, a=-1, weight=REDUCE_ONLY, q=0.11, price=0.1, reason=DRAWDOWN)],
            "warning",
            "guard on: drawdown limit",
        ),
        ([event(RELEASED, a=-1, weight=REDUCE_ONLY, reason=DAILY_LOSS)], "info", "guard off: daily loss limit"),
        ([event(MARGIN_CALL, a=-1, q=3.4, price=1e5, reason=CALLED_IN)], "critical", "margin call"),
        (
            [event(RELEASED, a=-1, reason=DAILY_LOSS), event(MARGIN_CALL, a=-1, q=3.4, reason=CALLED_IN)],
            "critical",
            "guard off: daily loss limit and 1 more",
        ),
    ],
)
def test_guards_and_margin(rows: list[list[float]], severity: str, title: str) -> None:
    alerts, _ = watched(WatchPlan(), [close(0, events=rows)])
    (told,) = alerts
    assert (told.kind, told.severity) == ("guard", severity)
    assert headline(render(told, "demo")) == f"{title} · demo"


@pytest.mark.parametrize(
    ("equity", "told"),
    [
        ([100, 91, 90, 89, 95, 89], [(2, 0.1)]),
        ([100, 79, 69], [(1, 0.2), (2, 0.3)]),
        ([100, 89, 100, 89], [(1, 0.1), (3, 0.1)]),
        ([100, 89, 99, 79], [(1, 0.1), (3, 0.2)]),
        ([100, 50], [(1, 0.3)]),
        ([100, 110, 99.5, 98.9], [(3, 0.1)]),
    ],
)
def test_each_level_of_drawdown_is_told_once_until_a_new_high(equity: list[float], told: list[Any]) -> None:
    plan = WatchPlan(drawdown=[0.3, 0.1, 0.2], weekly_summary=False, var=None)
    alerts, _ = watched(plan, (close(t, equity=e) for t, e in enumerate(equity)))
    assert [((alert.ts - MONDAY) // DAY, alert.facts["level"]) for alert in alerts] == told


# --- value at risk ------------------------------------------------------------------------------------------------


def test_value_at_risk_is_the_quantile_of_the_previous_close() -> None:
    # In the calm regime for sure: .98 N(0, .01) + .02 N(0, .03), 1 %; by brute force on a fine grid.
    x = np.linspace(-0.2, 0.2, 400_001)
    density = sum(w * np.exp(-0.5 * (x / s) ** 2) / s for w, s in ((0.98, 0.01), (0.02, 0.03)))
    low = x[np.searchsorted(np.cumsum(density) / density.sum(), 0.01)]
    limit = -2.0 * math.expm1(low)
    plan = WatchPlan(var=0.01, early_warning=None, drawdown=[], weekly_summary=False)
    for factor, breached in ((0.999, False), (1.001, True)):
        after = 1e6 * (1.0 - limit * factor)
        alerts, state = watched(plan, [close(0, net=2.0), close(1, equity=after, net=2.0)])
        assert bool(alerts) is breached
        assert (state["tested"], state["breaches"]) == (1, int(breached))
    facts = alerts[0].facts
    assert facts["value_at_risk"] == pytest.approx(limit, rel=1e-4)
    assert "of 1 bars were such" in render(alerts[0], "demo").body


@pytest.mark.parametrize(
    ("before", "after", "result", "breached"),
    [
        (0.0, 0.0, -0.5, False),  # nothing held, nothing expected
        (1.0, 0.0, -0.05, True),
        (0.0, 1.0, -0.05, True),  # bought at the open: what was held counts
        (0.0, 1.0, -0.02, False),
        (-1.0, -1.0, -0.05, True),  # a short loses when the market gains
        (1.0, 1.0, 0.5, False),
        (3.0, 3.0, -0.05, False),
    ],
)
def test_exposure_before_or_after_counts(before: float, after: float, result: float, breached: bool) -> None:
    steps = [close(0, net=before), close(1, net=after, equity=1e6 * (1 + result))]
    alerts, _ = watched(WatchPlan(drawdown=[], weekly_summary=False), steps)
    assert ("var_breach" in kinds(alerts)) is breached


def test_no_value_at_risk_without_a_return_or_a_belief() -> None:
    from dataclasses import replace

    levels = about(replace(FIT, features=("rsi(14)",)))
    crash = [close(0, net=1.0), close(1, equity=1e5, net=1.0)]
    plan = WatchPlan(drawdown=[], weekly_summary=False)
    assert watched(plan, crash, levels)[0] == []
    assert watched(plan, crash, about(None))[0] == []
    assert watched(plan, [close(0, NAN, net=1.0), crash[1]])[0] == []
    assert kinds(watched(plan, crash)[0]) == ["var_breach"]


# --- summaries ----------------------------------------------------------------------------------------------------


def test_a_day_is_summed_up_at_the_first_close_of_the_next_one() -> None:
    hour = DAY // 24
    plan = WatchPlan(daily_summary=True, weekly_summary=False, drawdown=[], var=None)
    times = [MONDAY + 9 * hour, MONDAY + 12 * hour, MONDAY + DAY, MONDAY + DAY + hour, MONDAY + 3 * DAY + hour]
    fills = [event(FILLED, q=1.0, price=1.0, fee=2.0)]
    equity = [100.0, 104.0, 103.0, 90.0, 99.0]
    steps = [close(t, ts=at, equity=e, events=fills) for t, (at, e) in enumerate(zip(times, equity, strict=True))]
    alerts, _ = watched(plan, steps)
    told = [alert for alert in alerts if alert.kind == "daily_summary"]
    # Midnight belongs to the day that ends there; a day without a bar has no summary.
    assert [alert.key for alert in told] == ["daily_summary:1970-01-05", "daily_summary:1970-01-06"]
    assert [alert.ts for alert in told] == times[3:]
    first, second = (alert.facts for alert in told)
    assert (first["bars"], first["fills"], first["fees"], first["equity"]) == (3, 3, 6.0, 103.0)
    assert first["result"] == pytest.approx(0.03)
    assert first["drawdown"] == pytest.approx(1 / 104)
    assert first["alerts"] == {"order_filled": 3}
    assert (second["bars"], second["result"]) == (1, pytest.approx(90 / 103 - 1))
    assert headline(render(told[0], "demo")) == "day of 1970-01-05: +3.00 %, equity 103.00 · demo"


def test_weeks_begin_on_mondays() -> None:
    alerts, _ = watched(WatchPlan(var=None), (close(t, ts=MONDAY + t * DAY + 1) for t in range(-3, 16)))
    told = [alert for alert in alerts if alert.kind == "weekly_summary"]
    assert [(alert.key, alert.facts["bars"]) for alert in told] == [
        ("weekly_summary:1969-12-29", 3),
        ("weekly_summary:1970-01-05", 7),
        ("weekly_summary:1970-01-12", 7),
    ]
    assert told[1].facts["name"] == "calm"


# --- model health -------------------------------------------------------------------------------------------------

HEALTH = {**SILENT, "dwell": 1}


def drawn(fitted: Fitted, bars: int, seed: int, scale: float = 1.0) -> list[Step]:
    """Bars drawn from the model itself, times `scale`, and what its filter makes of them."""
    rng = np.random.default_rng(seed)
    regime, x = 0, np.empty(bars)
    for t in range(bars):
        regime = int(rng.random() > fitted.transition[regime, 0])
        x[t] = scale * rng.standard_normal() * math.sqrt(fitted.moments().variance[regime, 0])
    path = fitted.filter_path(x[:, None])
    return [close(t, path.probs[t].tolist(), logpdf=float(path.logpdf[t])) for t in range(bars)]


@pytest.mark.parametrize("seed", range(3))
def test_a_model_that_is_true_stays_healthy(seed: int) -> None:
    alerts, state = watched(WatchPlan(**HEALTH), drawn(FIT, 1500, seed))
    assert not [a for a in alerts if a.kind == "model_health" and "likelihood too low" in str(a.facts)]
    assert state["health"]["shortfall"] < 30.0


def test_a_turbulent_regime_is_no_broken_model() -> None:
    # Two hundred bars in the wild regime: the densities are low, and expected to be.
    rng = np.random.default_rng(0)
    x = rng.standard_normal(200) * 0.03
    path = FIT.filter_path(x[:, None])
    steps = [close(t, path.probs[t].tolist(), logpdf=float(path.logpdf[t])) for t in range(200)]
    alerts, state = watched(WatchPlan(**HEALTH, stay=1e6), steps)
    assert state["health"]["shortfall"] < 15.0
    assert "model_health" not in kinds(alerts)


def test_a_model_that_is_wrong_falls_ill_and_recovers() -> None:
    plan = WatchPlan(**HEALTH, stay=1e6)
    wrong, right = drawn(FIT, 60, 1, scale=8.0), drawn(FIT, 300, 2)
    state, alerts, flags = begin(plan), [], []
    for t, step in enumerate([*wrong, *right]):
        state, found, healthy = watch(plan, state, step._replace(bar=t, ts=MONDAY + t * DAY), about())
        alerts += [alert for alert in found if alert.kind == "model_health"]
        flags.append(healthy)
    assert [alert.facts["healthy"] for alert in alerts] == [False, True]
    assert [alert.severity for alert in alerts] == ["warning", "info"]
    ill, well = ((alert.ts - MONDAY) // DAY for alert in alerts)
    assert ill < 40
    assert flags == [True] * ill + [False] * (well - ill) + [True] * (len(flags) - well)
    assert "the model does not expect what it sees" in render(alerts[0], "demo").body
    assert headline(render(alerts[1], "demo")) == "the model is healthy again · demo"


def test_a_new_fit_begins_afresh() -> None:
    plan = WatchPlan(**HEALTH, stay=1e6)
    state = begin(plan)
    for step in drawn(FIT, 60, 1, scale=8.0):
        state, _, healthy = watch(plan, state, step, about())
    assert not healthy
    other = fit(sd=(0.04, 0.12))
    state, alerts, healthy = watch(plan, state, close(60, A, logpdf=1.0), about(other))
    assert healthy
    assert alerts[-1].facts["refitted"]


def test_no_single_bar_makes_a_model_unhealthy() -> None:
    for logpdf in (-1e300, -math.inf):
        _, state = watched(WatchPlan(**HEALTH), [close(0, A, logpdf=1.0), close(1, A, logpdf=logpdf), close(2, A)])
        assert state["health"]["shortfall"] == pytest.approx(5.5)


def test_what_was_not_known_before_a_bar_is_not_held_against_it() -> None:
    path = [close(0, A, logpdf=1.0), close(1, NAN, logpdf=math.nan), close(2, A, logpdf=-1e9)]
    assert watched(WatchPlan(**HEALTH), path)[1]["health"]["shortfall"] == 0.0
    _, state = watched(WatchPlan(**HEALTH), [*path, close(3, A, logpdf=-1e9)])
    assert state["health"]["shortfall"] == pytest.approx(5.5)


def test_a_model_in_doubt_is_told_after_the_window_and_not_at_every_bar() -> None:
    plan = WatchPlan(**HEALTH, window=10, entropy=0.9)
    wobble = [UNSURE, (0.3, 0.7)]  # entropy 1 and .88 of the largest
    path = [A] * 10 + [UNSURE] * 12 + [wobble[t % 2] for t in range(20)] + [A] * 10
    alerts, _ = watched(plan, (close(t, p) for t, p in enumerate(path)))
    told = [((a.ts - MONDAY) // DAY, a.facts["healthy"]) for a in alerts if a.kind == "model_health"]
    # .9 is passed when at most one of the ten is sure (.47): nine of ten are not.
    assert told == [(18, False), (43, True)]
    assert "cannot tell the regimes apart" in alerts[0].facts["causes"][0]


def test_a_stay_out_of_range_is_told() -> None:
    plan = WatchPlan(**HEALTH, stay=3.01)
    alerts, _ = watched(plan, (close(t, p) for t, p in enumerate([A, A] + [B] * 70 + [A])))
    told = [((a.ts - MONDAY) // DAY, a.facts["healthy"]) for a in alerts if a.kind == "model_health"]
    # Wild from bar 2 on, twenty bars are usual: more than sixty are out of range.
    assert told == [(63, False), (72, True)]


def test_a_regime_that_changes_too_often_is_told() -> None:
    plan = WatchPlan(**HEALTH, window=10)
    often = [A, A, B, A, B, A, A, A]
    alerts, _ = watched(plan, (close(t, p) for t, p in enumerate(often)))
    # About .29 changes in ten bars are usual; the third within ten is out of range.
    assert [(a.ts - MONDAY) // DAY for a in alerts if a.kind == "model_health"] == [4]
    assert "changes too often: 3 changes in 10 bars, 0.3 are usual" in str(alerts)


@pytest.mark.parametrize("fitted", [None, FIT])
def test_bars_without_a_belief_neither_break_nor_poison(fitted: Fitted | None) -> None:
    plan = WatchPlan(daily_summary=True)
    path = [A, A, NAN, A, NAN, B, B, A]
    steps = [close(t, p, net=1.0, logpdf=math.nan if p is NAN else 1.0) for t, p in enumerate(path)]
    steps.append(close(len(path), UNSURE, logpdf=math.nan, net=1.0))
    _, state = watched(plan, steps, about(fitted))
    json.dumps(state, allow_nan=False)
    assert state["regime"] == 1
    assert state["belief"] == list(UNSURE)


# --- laws, over real runs -----------------------------------------------------------------------------------------

PLAN = WatchPlan(daily_summary=True, window=5, cusum=5.0, entropy=0.5, drawdown=[0.01, 0.02, 0.05], early_warning=0.2)


def cut(result: bg.Result) -> list[Step]:
    """A run as the steps that the live loop would have made."""
    events, steps = result.arrays.events, []
    for row in range(len(result.arrays.table)):
        bar = result.first + row
        lo, hi = np.searchsorted(events[:, 2], [bar, bar + 1])
        facts = (result.arrays.table[row], result.arrays.weights[row], result.arrays.beliefs[row], events[lo:hi])
        steps.append(Step(bar, int(result.arrays.ts[row]), *facts, np.zeros((2, result.arrays.weights.shape[1]))))
    return steps


@functools.cache
def runs() -> dict[str, tuple[list[Step], list[About]]]:
    """Real runs by name, each bar with what was known of it: the fit in force included."""
    several = machines()
    learns = {"strategy": bg.strategy(follow), "fit": bg.Fit(window=60, every=25), "terms": bg.Terms(**TERMS)}
    chosen: dict[str, tuple[bg.Machine, History]] = {
        "learns": (several["learns"], learnable(bars=260)),
        "no density": (bg.Machine(model=kmeans(states=2, starts=2), **learns), learnable(bars=200)),
        "orders": (several["orders"], some_bars(bars=120, assets=3)),
        "guarded": (several["protected"], learnable(bars=160)),
    }
    found = {}
    for name, (machine, history) in chosen.items():
        result = bg.scan(machine, history)
        steps = cut(result)
        fits = [[one.fitted for one in result.fits if one.bar < step.bar] for step in steps]
        known = [About(name, history.symbols, before[-1] if before else None, 252.0, "24/7") for before in fits]
        found[name] = (steps, known)
    return found


@functools.cache
def straight(name: str) -> tuple[list[tuple[Alert, ...]], list[str]]:
    """The alerts and the states of a run without interruption."""
    state, alerts, states = begin(PLAN), [], []
    for step, who in zip(*runs()[name], strict=True):
        state, found, _ = watch(PLAN, state, step, who)
        alerts.append(found)
        states.append(json.dumps(state, allow_nan=False, sort_keys=True))
    return alerts, states


NAMES = ("learns", "no density", "orders", "guarded")


@pytest.mark.parametrize("name", NAMES)
def test_keys_are_unique_kinds_are_known_and_facts_are_plain(name: str) -> None:
    alerts = [alert for found in straight(name)[0] for alert in found]
    assert len({alert.key for alert in alerts}) == len(alerts) > 10
    for alert in alerts:
        assert alert.kind in KINDS
        assert alert.key.startswith(f"{alert.kind}:")
        assert json.loads(json.dumps(alert.facts, allow_nan=False)) == alert.facts
        message = render(alert, "demo")
        assert "does not work" not in message.body
        assert len(message.title) <= 100
        assert message.body.splitlines()[-1] == f"id: demo/{alert.key}"


def test_real_runs_bring_up_every_kind_that_is_made_here() -> None:
    found = {alert.kind for name in NAMES for alerts in straight(name)[0] for alert in alerts}
    assert found >= {"regime_change", "early_warning", "order_filled", "order_rejected", "guard", "drawdown"}
    assert found >= {"var_breach", "model_health", "daily_summary", "weekly_summary"}


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(NAMES), stops=st.sets(st.integers(0, 259)))
def test_resuming_from_json_at_any_bar_changes_nothing(name: str, stops: set[int]) -> None:
    alerts, states = straight(name)
    state = begin(PLAN)
    for t, (step, who) in enumerate(zip(*runs()[name], strict=True)):
        if t in stops:
            state = json.loads(json.dumps(state, sort_keys=True))
            outlook.cache_clear()
        state, found, _ = watch(PLAN, state, step, who)
        assert found == alerts[t]
        assert json.dumps(state, sort_keys=True) == states[t]


@settings(max_examples=25, deadline=None)
@given(name=st.sampled_from(NAMES), bar=st.integers(0, 99), seed=st.integers(0, 99))
def test_the_future_changes_nothing(name: str, bar: int, seed: int) -> None:
    steps, known = runs()[name]
    rng = np.random.default_rng(seed)
    later = rng.permutation(np.arange(bar + 1, len(steps)))
    state = begin(PLAN)
    for t in [*range(bar + 1), *later[:20]]:
        step = steps[t]._replace(bar=steps[0].bar + bar, ts=max(steps[t].ts, steps[bar].ts))
        state, found, _ = watch(PLAN, state, steps[t] if t <= bar else step, known[t])
        if t <= bar:
            assert found == straight(name)[0][t]


@pytest.mark.parametrize("name", NAMES)
def test_what_is_handed_in_is_not_changed(name: str) -> None:
    steps, known = runs()[name]
    state = begin(PLAN)
    for step, who in zip(steps, known, strict=True):
        before, arrays = copy.deepcopy(state), [np.array(part, copy=True) for part in step[2:]]
        after, _, _ = watch(PLAN, state, step, who)
        assert json.dumps(state) == json.dumps(before)
        assert all(np.array_equal(a, b, equal_nan=True) for a, b in zip(arrays, step[2:], strict=True))
        state = after


def test_a_plan_that_watches_nothing_tells_only_what_happened() -> None:
    plan = WatchPlan(**SILENT, probability=0.999999999999)
    steps, known = runs()["learns"]
    alerts, _ = watched(plan, steps, known[0])
    assert set(kinds(alerts)) <= {"order_filled", "order_rejected", "guard", "model_health"}


def test_states_stay_small() -> None:
    for name in NAMES:
        assert max(map(len, straight(name)[1])) < 6_000


def test_names_go_by_volatility_whatever_the_order() -> None:
    assert outlook(fit(sd=(0.03, 0.01)), 1).names == ("wild", "calm")
    model = gaussian_hmm(states=4, starts=1)
    rng = np.random.default_rng(0)
    fitted = model.fit((rng.standard_normal(800) * np.repeat([1.0, 3.0, 9.0, 27.0], 200))[:, None])
    assert outlook(fitted, 1).names == ("regime 0", "regime 1", "regime 2", "regime 3")


# --- the guide ----------------------------------------------------------------------------------------------------

GUIDE = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")


def test_the_guide_says_what_to_do_after_every_kind_of_alert() -> None:
    sections = GUIDE.partition("## What each kind means")[2].split("\n### ")[1:]
    told = {kind: body for body in sections for kind in KINDS if kind in body.splitlines()[0]}
    assert set(told) == set(KINDS)
    # A summary asks for nothing.
    for kind in set(KINDS) - {"daily_summary", "weekly_summary"}:
        assert "*What to do*" in told[kind]
        assert KINDS[kind] in told[kind].splitlines()[0]


@pytest.mark.parametrize("table", [WatchPlan, AlertPlan, Recipient])
def test_the_guide_names_every_key(table: Any) -> None:
    missing = [
        key for key in table.model_fields if not any(w in GUIDE for w in (f"`{key}`", f"\n{key} = ", f".{key}]]"))
    ]
    assert [key for key in missing if not key.endswith("_summary")] == []


def test_the_config_in_the_guide_is_one() -> None:
    text = GUIDE.partition("```toml\n")[2].partition("```")[0]
    plan = AlertPlan(**tomllib.loads(text)["paper"]["alerts"])
    assert list(plan.recipients()) == ["mail", "phone"]
