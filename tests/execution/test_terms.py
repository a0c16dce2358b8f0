"""The terms of trade: one noun, judged alike in a notebook and in a config."""

from __future__ import annotations

import inspect
import math
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph.config.load import load
from barograph.config.schema import Execution
from barograph.errors import ConfigError
from barograph.execution.options import ACCOUNTS

TERMS = {term.name: term.metadata for term in fields(bg.Terms)}
NUMBERS = [name for name, told in TERMS.items() if {"ge", "gt", "le", "lt"} & set(told)]
# What a config refused and a notebook took, when each had bounds of its own.
ONCE_TAKEN = {"fee": 0.7, "slippage": 0.9, "spread": 3.0, "borrow_rate": 5.0, "short_rate": 50.0, "cash_rate": -2.0}


def beyond(name: str) -> list[float]:
    """Return numbers just outside a term's bounds."""
    told, found = TERMS[name], [math.nan, math.inf]
    step = 1 if name == "resting" else 1e-9
    found += [told["ge"] - step] if "ge" in told else [told["gt"]]
    found += [told["le"] + step] if "le" in told else [told["lt"]] if "lt" in told else []
    return found


def config(folder: Path, name: str, value: Any) -> None:
    text = (
        'name = "one"\n[data]\nuse = "barograph_adapters.sample:sp500"\n[strategy]\n'
        f'use = "barograph_strategies.buy_and_hold:buy_and_hold"\n[execution]\n{name} = {value}\n'
    )
    (folder / "one.toml").write_text(text, encoding="utf-8")
    load(folder / "one.toml")


@pytest.mark.parametrize(("name", "value"), ONCE_TAKEN.items())
def test_a_notebook_is_refused_what_a_config_is(name: str, value: float, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"^{name} is {value}; wanted a number"):
        bg.Terms(**{name: value})
    with pytest.raises(ConfigError, match=f"execution.{name}"):
        config(tmp_path, name, value)


@pytest.mark.parametrize(("name", "value"), [(name, value) for name in NUMBERS for value in beyond(name)])
def test_what_is_beyond_a_bound_is_refused_by_both(name: str, value: float, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"^{name} is"):
        bg.Terms(**{name: value})
    with pytest.raises(ConfigError, match=f"execution.{name}"):
        config(tmp_path, name, value)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["0.1", None, True, [0.1]])
def test_what_is_no_number_is_refused(name: str, value: Any) -> None:
    if value is None and name == "maker_fee":
        assert bg.Terms(maker_fee=None).rules([True]).maker_fee == bg.Terms().fee
        return
    with pytest.raises(ConfigError, match=f"^{name} is"):
        bg.Terms(**{name: value})


def test_every_term_but_the_guards_is_a_key_with_the_same_default_and_description() -> None:
    assert set(Execution.model_fields) == set(TERMS) - {"guards"}
    assert all(key.description == TERMS[name]["about"] for name, key in Execution.model_fields.items())
    assert bg.Terms(**{k: v for k, v in dict(Execution()).items() if k != "tiers"}) == bg.Terms()


@pytest.mark.parametrize("name", TERMS)
def test_a_term_given_to_a_machine_is_told_where_it_belongs(name: str) -> None:
    value = getattr(bg.Terms(), name)
    with pytest.raises(ConfigError) as told:
        bg.Machine(strategy=HALF, **{name: value})
    assert str(told.value) == f"{name} is a term of trade: terms=bg.Terms({name}={value!r})"


@bg.kernel
def half(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    return state, bg.Target(0.5)


HALF = bg.strategy(half)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"stratgy": HALF}, "a machine has no 'stratgy'; did you mean 'strategy'\\?"),
        ({"strategy": HALF, "terms": {"fee": 0.0}}, "terms is {'fee': 0.0}; wanted bg.Terms"),
        ({"strategy": HALF, "fees": 0.0}, r"a machine has no 'fees'; did you mean terms=bg\.Terms\(fee=\.\.\.\)\?"),
    ],
)
def test_a_machine_says_what_it_does_not_know(words: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=f"^{told}"):
        bg.Machine(**words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"leverge": 2.0}, "'leverge' is no term of trade; did you mean 'leverage'\\?"),
        ({"account": "cahs"}, f"account is 'cahs'; wanted one of {', '.join(ACCOUNTS)}; did you mean 'cash'"),
        ({"account": "cash", "leverage": 2.0}, "a cash account has no leverage of 2.0"),
        ({"leverage": 5.0}, "leverage is 5.0, but maintenance 0.25 asks for at most 4 times equity"),
        ({"resting": 2.5}, "resting is 2.5; wanted a whole number of at least 1 and up to 64"),
        ({"guards": ["drawdown"]}, "guards holds 'drawdown'; wanted bg.Guard"),
        ({"tiers": [[0, 0.6, 0.0]]}, r"tiers is \[\[0, 0\.6, 0\.0\]\]; wanted rows .*, the fees fractions"),
        ({"tiers": 5}, "tiers is 5; wanted rows"),
        ({"tiers": np.zeros((2, 2))}, r"tiers is array\(\[\[0., 0.\], \[0., 0.\]\]\); wanted rows"),
        ({"tiers": [[0, 0.1, 0.0], [0, 0.1, 0.0]]}, r"tiers is .*, the values rising"),
        ({"cash": 10**400}, r"cash is 10{74,76}\.\.\.; wanted a number above 0"),
        ({"fee": 1 + 2j}, r"fee is \(1\+2j\); wanted a number"),
        ({"guards": None}, "guards is None; wanted a list of bg.Guard"),
        ({"guards": bg.Guard("drawdown", 0.2)}, r"guards is Guard\(on='drawdown'"),
    ],
)
def test_terms_say_what_cannot_be_meant(words: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=f"^{told}"):
        bg.Terms(**words)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ({"on": "drawdwn", "limit": 0.2}, "guard on 'drawdwn'; wanted one of .*; did you mean 'drawdown'"),
        ({"on": "drawdown", "limit": None}, "guard on drawdown: limit is None; wanted a number"),
        ({"on": "drawdown", "limit": "a fifth"}, "guard on drawdown: limit is 'a fifth'; wanted a number"),
        ({"on": "drawdown", "limit": 20}, "guard on drawdown: limit is 20; wanted a fraction between 0 and 1"),
        ({"on": "kill", "limit": 0.2}, "guard on kill: limit is 0.2; wanted a date"),
        ({"on": "kill", "limit": "soon"}, "guard on kill: limit is 'soon'; wanted a date"),
        ({"on": "drawdown", "limit": 0.2, "mode": "stop"}, "guard on drawdown: mode is 'stop'; wanted one of"),
        ({"on": "drawdown", "limit": 0.2, "cool_down": "x"}, "guard on drawdown: cool_down is 'x'; wanted a number"),
    ],
)
def test_a_guard_says_what_cannot_be_meant(words: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=f"^{told}"):
        bg.Guard(**words)


ODD = [np.array(["a", "b"]), np.array(5), np.timedelta64(3), 10**400, ["a"], {}, np.float32("inf"), b"x", object()]


@pytest.mark.parametrize("value", ODD, ids=lambda value: type(value).__name__)
@pytest.mark.parametrize("name", [*TERMS, "on", "limit", "mode", "cool_down"])
def test_whatever_is_given_is_told_on_one_line(name: str, value: Any) -> None:
    words: dict[str, Any] = {"on": "gross", "limit": 1.0, name: value}
    with pytest.raises(ConfigError) as told:
        bg.Terms(**{name: value}) if name in TERMS else bg.Guard(**words)
    assert "\n" not in str(told.value)
    assert len(str(told.value)) < 400


@pytest.mark.parametrize("when", ["", "NaT", "nan"])
def test_a_date_that_is_none_is_refused(when: str) -> None:
    with pytest.raises(ConfigError, match=r"^guard on kill: limit is"):
        bg.Guard("kill", when)


def test_terms_are_values_however_their_rows_were_given() -> None:
    """Two machines with the same terms are one machine to whatever remembers them."""
    rows = [[0.0, 0.001, 0.0005], [1e6, 0.0008, 0.0004]]
    given = [bg.Terms(tiers=rows), bg.Terms(tiers=np.array(rows)), bg.Terms(tiers=tuple(map(tuple, rows)))]
    assert len(set(given)) == 1
    assert bg.Terms(guards=[bg.Guard("drawdown", 0.2)]) == bg.Terms(guards=(bg.Guard("drawdown", 0.2),))


def test_a_notebook_shows_the_terms_and_the_fields() -> None:
    assert list(inspect.signature(bg.Terms).parameters) == list(TERMS)
    assert list(inspect.signature(bg.Machine).parameters) == list(bg.Machine.__dataclass_fields__)


def test_a_changed_term_is_judged_again() -> None:
    with pytest.raises(ConfigError, match=r"^fee is 0\.7"):
        replace(bg.Terms(), fee=0.7)
    assert replace(bg.Machine(strategy=HALF), terms=bg.Terms(fee=0.1)).terms.fee == 0.1
