"""A past that is rewritten while bars are held, or an asset has none: each action acts once, in its own scale."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from barograph.data.history import History
from barograph.paper.feeds import between
from barograph.paper.holding.behind import Behind
from barograph.paper.parity import parity
from barograph.paper.past.comparing import as_shown, as_told_now, rewritten
from barograph.paper.past.corrections import in_force
from barograph.paper.verify import verify
from tests.paper.test_gate_paper import BEGIN, Deployed, bars, scaled


def without_bars(history: History, rows: Any, asset: int = 0) -> History:
    """Leave out some bars of an asset."""
    columns: dict[str, Any] = {
        name: getattr(history, name).copy() for name in ("open", "high", "low", "close", "volume")
    }
    for values in columns.values():
        values[rows, asset] = np.nan
    return replace(history, **columns)


def declared(history: History, name: str, row: int, value: float, asset: int = 0) -> History:
    """Declare one action."""
    neutral = 1.0 if name == "splits" else 0.0
    values = np.full(history.close.shape, neutral) if (was := getattr(history, name)) is None else was.copy()
    values[row, asset] = value
    columns: dict[str, Any] = {name: values}
    return replace(history, **columns)


def path(one: Deployed, asset: int = 0) -> Any:
    """Return what one share at the beginning is worth at each bar of an asset, by the splits on record."""
    history = one.store.bars("d")
    shares = np.broadcast_to(history.actions, (len(history), *history.actions.shape[1:]))[:, 2, asset].cumprod()
    there = np.flatnonzero(~np.isnan(history.close[:, asset]))
    return (history.close[:, asset] * shares)[there]


def late_at(one: Deployed, row: int) -> Any:
    """Return what the source's bars before a row declare that the record does not, as parity asks."""
    seen = in_force(one.store.bars("d"), one.store.entries("d"))
    past = as_shown(seen, one.shown.head(row))
    return rewritten(seen, Behind(True).past(as_told_now(seen, past, 0.0), past), 0.0).late


def sound(one: Deployed) -> None:
    deployed = one.store.find("d")
    found = parity(one.store, deployed).difference
    assert found is None or found.cause == "clock", found
    assert verify(one.store, deployed).wrong == ()


@pytest.mark.parametrize("absent", [1, 3])
def test_a_scale_is_carried_once_however_long_an_asset_has_no_bar(tmp_path: Path, absent: int) -> None:
    truth = without_bars(bars(2, 11), slice(45, 45 + absent))
    one = Deployed(tmp_path, truth)
    for row in range(BEGIN + 1, 52):
        if row == 45:
            one.shown = scaled(truth, slice(None), 0.25)
        one.look(row, after=180 * 60_000_000_000)
    known = truth.close[:52, 0]
    assert path(one) == pytest.approx(known[~np.isnan(known)], rel=1e-9)
    assert len(one.told("correction")) == 1
    sound(one)


@pytest.mark.parametrize("level", [0.5, 4.0])
def test_a_scale_that_comes_while_a_bar_is_held_leads_to_that_bar(tmp_path: Path, level: float) -> None:
    """A level that stays is held on one day; on the next its source has split 4 for 1, all its past with it."""
    truth = scaled(bars(2, 12), slice(45, None), level)
    one = Deployed(tmp_path, truth)
    for row in range(BEGIN + 1, 50):
        if row == 46:
            one.shown = scaled(truth, slice(None), 0.25)
        one.look(row)
    assert path(one) == pytest.approx(truth.close[:50, 0], rel=1e-9)
    assert len(one.told("correction")) == 1
    assert len(one.told()) == 2, one.told()
    sound(one)


@pytest.mark.parametrize("assets", [1, 2])
def test_a_bar_that_never_was_is_none_in_another_scale(tmp_path: Path, assets: int) -> None:
    """Four times too high, in a past that is scaled to a quarter it would look right."""
    truth = scaled(bars(assets, 13), 43, 4.0)
    one = Deployed(tmp_path, truth)
    for row in range(BEGIN + 1, 50):
        if row == 46:
            one.shown = scaled(truth, slice(None), 0.25)
        one.look(row)
    assert path(one) == pytest.approx(np.delete(truth.close[:50, 0], 43), rel=1e-9)
    # It was held, and it was over: nothing else.
    assert len(one.told()) == 2, one.told()
    sound(one)


@pytest.mark.parametrize(("name", "value", "level"), [("dividends", 1.0, 0.5), ("splits", 2.0, 0.25)])
def test_an_action_of_a_held_bar_acts_once(tmp_path: Path, name: str, value: float, level: float) -> None:
    """The row is shown by B; what A's bar declares acts on the row in which it is proved, in the source on the next."""
    one = Deployed(tmp_path, declared(scaled(bars(2, 14), slice(45, None), level), name, 45, value))
    for row in range(BEGIN + 1, 50):
        one.look(row)
    assert len(one.told()) == 2
    assert one.told("correction") == []
    assert late_at(one, 50) == ()
    sound(one)


@pytest.mark.parametrize(("assets", "when"), [(2, 46), (1, 47), (2, 47), (1, 48), (2, 48)])
def test_a_special_dividend_of_a_held_bar_is_paid_on_what_was_held_before_it(
    tmp_path: Path, assets: int, when: int
) -> None:
    """It is declared while its bar waits in a row that another asset has shown, or after it was proved.

    An order of before it was filled in the late row.
    """
    plain = scaled(bars(assets, 15), slice(45, None), 0.6)
    one = Deployed(tmp_path, plain)
    special = float(plain.close[45, 0] / 0.6 * 0.4)
    for row in range(BEGIN + 1, 50):
        if row == when:
            one.shown = declared(plain, "dividends", 45, special)
        one.look(row)
    (made,) = [
        json.loads(entry.text)["correction"] for entry in one.store.entries("d") if '"correction":' in entry.text
    ]
    (held,) = [
        row["quantity"]
        for row in one.store.rows("positions", "d")
        if (row["ts"], row["symbol"]) == (int(plain.ts[44]), "A")
    ]
    assert [owed["cash"] for owed in made["credits"]] == [pytest.approx(held * special, rel=1e-12)]
    assert (late_at(one, 50), len(one.told())) == ((), 2)
    assert path(one) == pytest.approx(plain.close[:50, 0], rel=1e-12)
    sound(one)


def test_a_split_that_is_declared_while_its_bar_waits_acts_once(tmp_path: Path) -> None:
    plain = scaled(bars(2, 17), slice(45, None), 0.25)
    one = Deployed(tmp_path, plain)
    for row in range(BEGIN + 1, 50):
        if row == 46:
            one.shown = declared(plain, "splits", 45, 4.0)
        one.look(row)
    in_shares = in_force(one.store.bars("d"), one.store.entries("d"))
    shares = in_shares.actions[:, 2, 0].cumprod()[~np.isnan(in_shares.close[:, 0])]
    assert shares.tolist() == [1.0] * 45 + [4.0] * 5
    assert (late_at(one, 50), len(one.told()), len(one.told("correction"))) == ((), 2, 1)
    sound(one)


@pytest.mark.parametrize("at_once", [True, False])
def test_a_bar_that_is_mended_in_a_row_that_another_asset_has_shown_is_seen_late(tmp_path: Path, at_once: bool) -> None:
    """Whoever starts anew in between holds it still; nothing is decided at its close, and no past was revised."""
    truth = bars(2, 18)
    one = Deployed(tmp_path, scaled(truth, 45, 0.01))
    for row in range(BEGIN + 1, 46):
        one.look(row)
    one.service.stop()
    one.start()
    one.truth = one.shown = truth
    decided = [one.look(45, after=30 * 60_000_000_000)] if at_once else []
    assert [*decided, *(one.look(row) for row in range(46, 50))] == [0] * at_once + [1] * 4
    assert path(one) == pytest.approx(truth.close[:50, 0], rel=1e-12)
    history = one.store.bars("d")
    (late,) = np.flatnonzero(~history.deciding)
    assert (int(history.ts[late]), history.purpose[late]) == (
        int(truth.ts[45]) + 1 if at_once else int(truth.ts[46]) - 1,
        -1,
    )
    assert "its source has mended it" in one.told()[1]
    assert len(one.told()) == 2
    sound(one)


@pytest.mark.parametrize("other", [{"source": "another"}, {"missing": {"A": "no answer"}}])
def test_a_deep_look_that_is_answered_otherwise_is_not_the_first_ones(tmp_path: Path, other: dict[str, Any]) -> None:
    truth = bars(2, 16)
    one = Deployed(tmp_path, truth)
    for row in range(BEGIN + 1, 46):
        one.look(row)
    one.shown, fetch = scaled(truth, slice(None), 0.25), one.service.chain.fetch

    def answered(after: int, *more: Any) -> Any:
        fetched = fetch(after, *more)
        if after >= int(truth.ts[0]):
            return fetched
        unscaled = between(truth, after, int(fetched.history.ts[-1]))
        history = replace(unscaled, source=other.get("source", fetched.history.source))
        return fetched._replace(history=history, missing=other.get("missing", {}))

    one.service.chain.fetch = answered  # type: ignore[method-assign]
    for row in range(46, 50):
        one.look(row)
    assert path(one) == pytest.approx(truth.close[:50, 0], rel=1e-9)
