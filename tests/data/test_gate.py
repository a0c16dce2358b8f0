"""The gate: which bars are held, what becomes of them, and that nobody knows it earlier than a deployment would."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from barograph.data.gate import gated, judged, refused
from barograph.data.gate.moves import LONG, Own, bounds, first_doubt
from barograph.data.gate.verdicts import verdicts
from barograph.data.history import FIELDS, History

DAY = 86_400_000_000_000


def walk(rows: int, seed: int = 0, assets: int = 1, usual: float = 0.01) -> History:
    """Bars that move by `usual`, and open where the last one closed."""
    rng = np.random.default_rng(seed)
    close = 100.0 * np.exp(np.cumsum(rng.normal(0.0, usual, (rows, assets)), axis=0))
    opened = np.vstack([close[:1], close[:-1]])
    high, low = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
    volume = rng.uniform(1e5, 2e5, close.shape)
    return History.from_arrays((1 + np.arange(rows)) * DAY, close, opened, high, low, volume, calendar="24/7")


def spoilt(history: History, t: int, a: int = 0, factor: float = 0.01, fields: Any = FIELDS[:4]) -> History:
    """Put one bar off by a factor."""
    columns = {name: getattr(history, name).copy() for name in fields}
    for values in columns.values():
        values[t, a] *= factor
    return replace(history, **columns)


def own(history: History) -> Own:
    n = len(history)
    return Own(*(getattr(history, name)[:, 0] for name in FIELDS), np.zeros(n), np.ones(n))


def test_the_usual_move_is_the_larger_of_two_means_by_hand() -> None:
    rng = np.random.default_rng(1)
    moves = rng.uniform(0.0, 0.02, LONG)
    weights = 0.5 ** (np.arange(60)[::-1] / 20.0)
    recent = float(np.average(moves[-60:], weights=weights))
    usual = 1.25 * max(float(np.mean(moves)), recent)
    assert bounds(moves[None, :])[0] == pytest.approx((1.0 + usual) ** 12, rel=1e-12)


def test_too_few_moves_bind_by_five_alone_and_calm_ones_by_five_percent() -> None:
    few = np.full((1, LONG), np.nan)
    few[0, -19:] = 0.001
    assert bounds(few)[0] == 5.0
    few[0, -20:] = 0.001
    assert bounds(few)[0] == 1.05


def test_bars_are_judged_by_true_ones_alone_and_each_alike_wherever_a_table_begins() -> None:
    history = spoilt(spoilt(walk(900, 3), 400), 700, factor=10.0)
    whole = verdicts(own(history))
    assert [(one.row, one.state) for one in whole] == [(400, "disproved"), (700, "disproved")]
    for known in (260, 399, 690):
        again = verdicts(own(history), known if known < 400 else 0)
        assert [one.doubt for one in again] == [one.doubt for one in whole if one.row >= (known if known < 400 else 0)]


@pytest.mark.parametrize(
    ("fields", "factor", "field"),
    [(FIELDS[:4], 0.01, "close"), (("low",), 0.005, "low"), (("high",), 1e304, "high"), (("open",), 3.0, "open"),
     (("volume",), 1e6, "volume"), (("volume",), -1.0, "volume"), (("high",), -1.0, "high")],
)  # fmt: skip
def test_each_field_is_looked_at(fields: Any, factor: float, field: str) -> None:
    doubt = first_doubt(own(spoilt(walk(300), 280, factor=factor, fields=fields)), 0)
    assert doubt is not None
    assert (doubt.row, doubt.field) == (280, field)


def test_a_calm_series_holds_nothing_and_one_that_leaps_holds_one_bar() -> None:
    assert gated(walk(2000, 5)).decides is None
    calm = walk(300, 6)
    leap = replace(calm, **{name: np.where(np.arange(300)[:, None] >= 200, 0.6, 1.0) * getattr(calm, name)
                            for name in FIELDS[:4]})  # fmt: skip
    seen = gated(leap)
    assert np.flatnonzero(~seen.deciding).tolist() == [200]
    assert seen.purpose[200] == 0
    assert np.array_equal(seen.close, leap.close)
    assert np.array_equal(seen.ts, leap.ts)
    assert [one.code for one in seen.findings] == ["proved_bar"]


def test_a_bar_that_never_was_is_left_out_and_the_last_one_is_not_shown() -> None:
    history = walk(300, 7)
    seen = gated(spoilt(spoilt(history, 100), 299))
    assert len(seen) == 298
    assert seen.decides is None
    assert 101 * DAY not in seen.ts
    assert 300 * DAY not in seen.ts
    assert {one.code: one.count for one in seen.findings} == {"disproved_bar": 1, "held_bar": 1}


def test_of_several_assets_the_others_are_decided_and_a_proved_one_has_a_late_row() -> None:
    history = walk(120, 8, assets=2)
    columns = {name: np.where((np.arange(120)[:, None] >= 80) & [[True, False]], 0.5, 1.0) * getattr(history, name)
               for name in FIELDS[:4]}  # fmt: skip
    seen = gated(replace(history, **columns))
    assert len(seen) == 121
    assert seen.ts[81] == history.ts[81] - 1
    assert not seen.deciding[81]
    assert seen.deciding[[80, 82]].all()
    assert seen.purpose[81] == -1
    assert np.isnan(seen.close[80, 0])
    assert seen.close[80, 1] == history.close[80, 1]
    assert seen.close[81, 0] == columns["close"][80, 0]
    assert np.isnan(seen.close[81, 1])


def test_a_declared_split_is_no_leap_and_one_on_a_bar_that_never_was_waits() -> None:
    history = walk(100, 9)
    after = np.arange(100)[:, None] >= 60
    columns = {name: np.where(after, 0.25, 1.0) * getattr(history, name) for name in FIELDS[:4]}
    splits = np.where(np.arange(100)[:, None] == 60, 4.0, 1.0)
    split = replace(history, splits=splits, **columns)
    assert gated(split).decides is None
    assert gated(replace(history, **columns)).decides is not None
    wrong = gated(spoilt(split, 60))
    assert len(wrong) == 99
    assert wrong.splits is not None
    assert wrong.splits[60, 0] == 4.0
    assert wrong.ts[60] == 62 * DAY


def test_two_wrong_bars_in_a_row_of_one_kind_are_believed_and_of_two_are_not() -> None:
    history = walk(300, 10)
    both = gated(spoilt(spoilt(history, 200), 201))
    assert np.flatnonzero(~both.deciding).tolist() == [200, 202]
    apart = gated(spoilt(spoilt(history, 200), 201, factor=30.0))
    assert len(apart) == 298
    assert apart.decides is None


def bar_by_bar(history: History) -> History:
    """Show a history to the gate as a feed would: a bar more at every look, with the last few again."""
    seen = history.head(1)
    for t in range(1, len(history)):
        rows = judged(seen, history.slice(max(0, t - 6), t + 1)).history
        seen = seen if rows is None else seen.then(rows)
    return seen


@st.composite
def torn(draw: st.DrawFn) -> History:
    """One to three assets with gaps, and bars put off by all kinds of factors."""
    assets, seed = draw(st.integers(1, 3)), draw(st.integers(0, 10**6))
    history = walk(60, seed, assets)
    gone = np.random.default_rng(seed).random((60, assets)) < draw(st.sampled_from([0.0, 0.2]))
    gone[0] = False
    history = replace(history, **{name: np.where(gone, np.nan, getattr(history, name)) for name in FIELDS})
    for _ in range(draw(st.integers(1, 5))):
        t, a = draw(st.integers(22, 59)), draw(st.integers(0, assets - 1))
        fields = draw(st.sampled_from([FIELDS[:4], ("low",), ("volume",)]))
        history = spoilt(history, t, a, draw(st.sampled_from([0.01, 0.5, 2.0, 100.0, 1e5])), fields)
    dividends, splits = np.zeros((60, assets)), np.ones((60, assets))
    if draw(st.booleans()):
        splits[draw(st.integers(22, 58)), draw(st.integers(0, assets - 1))] = 2.0
        dividends[draw(st.integers(22, 58)), draw(st.integers(0, assets - 1))] = 1.5
    return replace(history, dividends=dividends, splits=splits)


def alike(one: History, other: History) -> bool:
    names = ("ts", "purpose", "actions", *FIELDS)
    return all(np.array_equal(getattr(one, name), getattr(other, name), equal_nan=name != "purpose") for name in names)


@given(torn())
@settings(max_examples=max(40, settings.default.max_examples), deadline=None)
def test_whoever_sees_bar_by_bar_sees_the_same_rows(history: History) -> None:
    assert alike(bar_by_bar(history), gated(history))


@given(torn(), st.integers(30, 58))
@settings(max_examples=max(40, settings.default.max_examples), deadline=None)
def test_what_comes_later_changes_no_row_that_was_shown(history: History, cut: int) -> None:
    before, after = gated(history.head(cut)), gated(history)
    assert alike(before, after.head(len(before)))


def undeclared(history: History, last: int) -> History:
    """Return the rows so far as a source tells them that declares an action a day after its date."""
    told: dict[str, Any] = {name: getattr(history, name)[: last + 1].copy() for name in ("dividends", "splits")}
    told["dividends"][last], told["splits"][last] = 0.0, 1.0
    return replace(history.head(last + 1), **told)


@given(torn(), st.integers(23, 58), st.sampled_from([("splits", 4.0, 0.25), ("dividends", 60.0, 0.4)]))
@settings(max_examples=max(40, settings.default.max_examples), deadline=None)
def test_no_bar_that_is_held_is_lost_whatever_its_source_declares_of_it_later(
    history: History, at: int, action: tuple[str, float, float]
) -> None:
    name, value, level = action
    columns = {field: getattr(history, field).copy() for field in (*FIELDS[:4], name)}
    for field in FIELDS[:4]:
        columns[field][at:, 0] *= level
    columns[name][at, 0] = value
    history = replace(history, **columns)
    seen, holding, fates = history.head(1), set[tuple[str, int]](), dict[tuple[str, int], str]()
    for t in range(1, len(history)):
        rows, held = judged(seen, undeclared(history, t).slice(max(0, t - 20), t + 1), (), holding)
        seen = seen if rows is None else seen.then(rows)
        fates |= {(one.symbol, one.ts): one.state for one in held}
        holding = {bar for bar in {*holding, *fates} if fates[bar] == "held"}
        shown = {(s, int(ts)) for a, s in enumerate(seen.symbols) for ts in seen.ts[~np.isnan(seen.close[:, a])]}
        newest = {symbol: max([ts for of, ts in shown if of == symbol], default=0) for symbol in seen.symbols}
        # One that waits is older than no bar of its asset that was seen, unless its own row has decided it since.
        lost = [bar for bar in holding - shown if bar[1] < newest[bar[0]]]
        assert lost == [], (t, lost)


@pytest.mark.parametrize("assets", [1, 2])
def test_so_does_whoever_has_seen_more_than_a_bar_is_judged_by(assets: int) -> None:
    history = walk(620, 13, assets)
    gone = np.random.default_rng(1).random((620, assets)) < 0.1
    history = replace(history, **{name: np.where(gone, np.nan, getattr(history, name)) for name in FIELDS})
    for t, factor in ((500, 1.3), (540, 0.01), (580, 1.18), (600, 0.85)):
        history = spoilt(history, t, 0, factor)
    shown = gated(history)
    assert len(shown) < 620 + assets
    seen = gated(history.head(495))
    for t in range(495, 620):
        rows = judged(seen, history.slice(t - 6, t + 1)).history
        seen = seen if rows is None else seen.then(rows)
    assert alike(seen, shown)


def test_a_bar_that_was_refused_is_told_from_one_that_is_new() -> None:
    history = spoilt(walk(100, 11), 60)
    seen = gated(history.head(70))
    assert np.argwhere(refused(seen, history.slice(55, 70))).tolist() == [[5, 0]]
    assert not refused(seen, walk(100, 11).slice(55, 70)).any()


def test_a_bar_that_somebody_vouches_for_is_a_late_one_at_once() -> None:
    history = spoilt(walk(100, 12), 99)
    seen = gated(history.head(99))
    assert judged(seen, history.slice(95, 100)).history is None
    rows = judged(seen, history.slice(95, 100), {("ASSET0", 100 * DAY)}).history
    assert rows is not None
    assert rows.ts.tolist() == [100 * DAY]
    assert not rows.deciding.any()
