"""The walk over what parts hold: which objects are tables, which are constants, and whose code is walked."""

from __future__ import annotations

import enum
import functools
import logging
import math
import re
import threading
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import pytest

import barograph as bg
from barograph.audit.holdings import SMALL, held
from barograph.audit.opened import watching
from barograph.audit.vouching import KEPT, RESTS, Unvouched, files, resting, unvouched
from barograph.features import log_return, sma
from barograph.testing import coin
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_strategies.fixed_weights import fixed_weights
from barograph_strategies.regime_filter import regime_filter


class Params(NamedTuple):
    given: Any


def _step(state, bars, belief, portfolio, params):
    return state, bg.Target(0.0)


def told(given: Any, assets: int = 1) -> list[str]:
    """Return what is told of a value in a rule's params."""
    machine = bg.Machine(strategy=bg.strategy(_step, Params(given)))
    return [f"{one.name}: {one.what}" for one in held(machine, assets).objects if one.table]


@pytest.mark.parametrize("make", [list, tuple, set, np.array, lambda n: pd.Series(n), lambda n: dict.fromkeys(n, 1.0)])
def test_sixteen_numbers_are_constants_and_seventeen_a_table(make: Any) -> None:
    assert told(make(range(SMALL))) == []
    assert len(told(make(range(SMALL + 1)))) == 1


def test_what_is_inside_a_small_table_counts_together() -> None:
    assert told([[1.0] * 4] * 4) == []
    assert told([[1.0] * 4] * 5) == ["params.given: list of 5"]
    assert told({"a": {"b": np.zeros(17)}}) == ["params.given: dict of 1"]


def test_one_number_an_asset_is_no_table() -> None:
    assert told(np.zeros(40), assets=40) == []
    assert told(np.zeros(41), assets=40) == ["params.given: array (41,) of float64"]
    machine = bg.Machine(strategy=fixed_weights([0.01] * 40))
    assert not [one for one in held(machine, 40).objects if one.table]


@pytest.mark.parametrize("text", ["a" * 200, b"a" * 200, 1 << 1000, 1.5, None, True, 2j, np.float64(3.0), "2008-01-01"])
def test_words_and_numbers_are_constants(text: Any) -> None:
    assert told(text) == []


def test_long_ones_are_not() -> None:
    assert told("a" * 201) == ["params.given: str"]
    assert told(1 << 1100) == ["params.given: int"]


def test_a_fitted_model_is_told_whatever_its_size() -> None:
    rows = np.random.default_rng(0).standard_normal((200, 1)) * np.repeat([[1.0], [4.0]], 100, axis=0)
    fitted = gaussian_hmm(states=2, starts=2).fit(rows)
    machine = bg.Machine(strategy=regime_filter(), model=fitted)
    assert [str(one.name) for one in held(machine).objects if one.table] == ["itself"]
    by_hand = bg.Machine(strategy=regime_filter(), filter=fitted.filter())
    found = [one for one in held(by_hand).objects if one.table]
    assert [(one.part, one.what) for one in found] == [
        ("filter gaussian_hmm", "GaussianParams, the parameters of a fitted model")
    ]


def test_what_ships_holds_nothing() -> None:
    parts: dict[str, Any] = {"features": [log_return(), sma(200)], "model": gaussian_hmm(), "fit": bg.Fit(window=500)}
    for machine in (bg.Machine(strategy=regime_filter(), **parts), bg.Machine(strategy=regime_filter(), filter=coin())):
        assert not [one for one in held(machine).objects if one.table]


def test_a_thing_that_nobody_can_read_is_told() -> None:
    assert told(np.random.default_rng(0))[0].startswith("params.given: Generator")
    assert told(object()) == []


class Colour(enum.Enum):
    RED = 1
    BLUE = 2


@dataclass
class Setting:
    width: float = 1.5
    names: tuple[str, ...] = ("a", "b")

    def wide(self) -> float:
        return self.width * COUNT


COUNT = 3
HARMLESS = [
    Colour.RED, Colour, Setting(), Setting().wide, pd.Timestamp("2020-01-01"), pd.Timedelta(days=1), Decimal("0.1"),
    logging.getLogger("x"), re.compile("x+"), Path("x"), threading.Lock(), partial(math.pow, 2.0), np.dtype("f8"), math,
    np.nan, ZoneInfo("UTC"), lambda: COUNT, max, bg.HOLD, pd.isna, functools.lru_cache(lambda n: n), bg.Asset("V"), ...,
]  # fmt: skip


@pytest.mark.parametrize("given", HARMLESS, ids=lambda value: type(value).__name__)
def test_what_holds_no_numbers_of_a_market_is_left_alone(given: Any) -> None:
    assert told(given) == []


def test_a_table_in_the_builtins_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("builtins.LABELS", list(range(99)), raising=False)

    def rule(state, bars, belief, portfolio, params):
        return state, bg.Target(LABELS[0])  # noqa: F821

    assert [one.name for one in held(bg.Machine(strategy=bg.strategy(rule))).objects if one.table] == [
        "builtins.LABELS"
    ]


class Sealed:
    def __len__(self) -> int:
        raise RuntimeError("sealed")


def test_what_cannot_be_looked_at_is_told_and_stops_nothing() -> None:
    assert told(Sealed()) == ["params.given: Sealed, at which RuntimeError is raised"]


def test_two_closures_of_one_factory_are_both_told() -> None:
    def table(values: list[float]) -> Any:
        return lambda k: values[k]

    one, other = table([1.0] * 20), table([2.0] * 30)

    def rule(state, bars, belief, portfolio, params):
        return state, bg.Target(one(0) - other(0))

    found = held(bg.Machine(strategy=bg.strategy(rule))).objects
    assert [one.what for one in found if one.table] == ["list of 20", "list of 30"]


def test_marks_are_of_the_first_rows() -> None:
    def marks(values: Any, rows: int) -> dict[str, str]:
        machine = bg.Machine(strategy=bg.strategy(_step, Params(values)))
        return {one.name: one.mark for one in held(machine, rows=rows).objects}

    assert marks(np.arange(50.0), 20) == marks(np.arange(20.0), 20)
    assert marks(pd.DataFrame({"a": range(50)}), 20) == marks(pd.DataFrame({"a": range(20)}), 20)
    assert marks(list(range(50)), 20) == marks(list(range(20)), 20)
    assert marks(np.arange(50.0), 21) != marks(np.arange(20.0), 21)


def test_what_a_run_changes_is_told_even_if_it_is_small() -> None:
    seen = {"n": 0}

    def rule(state, bars, belief, portfolio, params):
        return state, bg.Target(float(seen["n"]))

    machine = bg.Machine(strategy=bg.strategy(rule))
    before = held(machine)
    assert unvouched(before, held(machine)) == []
    seen["n"] += 1
    (one,) = unvouched(before, held(machine))
    assert (one.part, one.why) == ("strategy rule", KEPT)
    (rest,) = resting(held(machine).objects, before.objects)
    assert rest == one._replace(why=RESTS)


def test_a_thing_of_two_parts_is_told_once() -> None:
    table = list(range(99))

    def step(state, bars, params):
        return state, float(table[0])

    both = [bg.Feature(lambda _: 0, step, (), name) for name in ("one", "two")]
    machine = bg.Machine(strategy=regime_filter(), filter=coin(), features=both)
    (found,) = unvouched(held(machine), held(machine))
    assert found.part == "feature one, feature two"
    assert str(found).startswith("feature one, feature two: table in the closure of test_a_thing_of_two_parts_is_told")


def test_a_file_is_told_with_the_part_that_reads_it(tmp_path: Any) -> None:
    path = tmp_path / "labels.csv"
    path.write_text("1\n2\n")

    def step(state, bars, params):
        return state, float(path.read_text()[0])

    machine = bg.Machine(strategy=regime_filter(), filter=coin(), features=[bg.Feature(lambda _: 0, step, (), "own")])
    with watching() as opened:
        step(0, None, ())
        path.write_text("3\n")
        pd.read_csv(path)
    found = files(opened, held(machine), "while it ran")
    assert [(one.part, one.name) for one in found] == [("feature own", "labels.csv")] * 2
    assert all(isinstance(one, Unvouched) and "test_holdings.py, line" in one.where for one in found)
    with watching() as later:
        pass
    assert later == []


def test_candidates_of_a_choice_are_told_apart_and_their_code_is_told_once() -> None:
    labels = list(range(100))

    def rule(state, bars, belief, portfolio, params):
        return state, bg.Target(float(labels[bars.ts % 100] > params))

    machine = bg.choose(lambda w: bg.Machine(strategy=bg.strategy(rule, w)), {"w": [1.0, 2.0]}, window=9)
    found = held(machine)
    assert [(one.part, one.what) for one in found.objects if one.table] == [("strategy rule (w=1.0)", "list of 100")]
    assert list(found.codes) == [
        "feature log_return (w=1.0)", "strategy rule (w=1.0)", "feature log_return (w=2.0)", "strategy rule (w=2.0)"
    ]  # fmt: skip
    own = bg.choose(lambda w: bg.Machine(strategy=bg.strategy(rule, tuple(range(w)))), {"w": [20, 30]}, window=9)
    tables = [one.what for one in held(own).objects if "params" in one.name and one.table]
    assert tables == ["tuple of 20", "tuple of 30"]
