"""All the tables once more: in other units of account, in the other book, and to the last cell of the log."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph.execution.events import (
    CANCELLED,
    DATE_PASSED,
    DAY_OVER,
    EXPIRED,
    NEWER,
    OTHER_FILLED,
    REJECTED,
    TRIGGERED,
    UNPROTECTED,
    WITHDRAWN,
)
from tests.execution import (
    test_anchors,
    test_capacity,
    test_fees,
    test_guards,
    test_life,
    test_margin,
    test_money,
    test_orders,
    test_review,
)
from tests.kit.tables import FREE, FULL, Ask, Case, play

NONE = math.nan
MODULES = (test_anchors, test_capacity, test_fees, test_guards, test_life,
           test_margin, test_money, test_orders, test_review)  # fmt: skip
CASES = [
    case
    for module in MODULES
    for value in vars(module).values()
    if isinstance(value, list)
    for case in value
    if isinstance(case, Case) and case.name[0] in "01234567"
]
# Powers of two: no rounding is in the way. All prices and quantities of the tables get smaller than one.
UNITS, PRICE = 2.0**-12, 2.0**-9
MONEY = UNITS * PRICE
# What the numbers of a request are, after its quantity.
NUMBERS = {"cancel": (1.0,), "cancel_all": (), "trailing_percent": (UNITS, 1.0)}
TERMS = {"lot": UNITS, "tick": PRICE, "unit_fee": PRICE, "fixed_fee": MONEY, "minimum_fee": MONEY, "cash": MONEY,
         "min_notional": MONEY}  # fmt: skip


def smaller(case: Case) -> Case:
    """Return a case in other units of account and other units of the asset."""
    texts = [case.bars] if isinstance(case.bars, str) else list(case.bars)
    terms = {**FREE, **case.terms}
    terms = {name: value * TERMS[name] if name in TERMS else value for name, value in terms.items()}
    if "tiers" in terms:
        terms["tiers"] = [(value * MONEY, *fees) for value, *fees in terms["tiers"]]
    actions = {
        name: {bar: value if name == "splits" else np.multiply(value, PRICE) for bar, value in told.items()}
        for name, told in case.actions.items()
    }
    script = {bar: _smaller(asked) for bar, asked in case.script.items()}
    return case._replace(bars=[_bars(text) for text in texts], script=script, terms=terms, actions=actions)


def _smaller(asked: Any) -> Any:
    if isinstance(asked, bg.Protected):
        return asked._replace(stop=np.multiply(asked.stop, PRICE), take=np.multiply(asked.take, PRICE))
    return [_request(request) for request in asked] if isinstance(asked, list) else asked


def _request(asked: Ask) -> Ask:
    units = NUMBERS.get(asked.kind, (UNITS, PRICE, PRICE))
    numbers = tuple(number * unit for number, unit in zip(asked.numbers, units, strict=False))
    levels = {"bracket": tuple(PRICE * x for x in asked.more["bracket"])} if "bracket" in asked.more else {}
    return asked._replace(numbers=numbers, more={**asked.more, **levels})


def _bars(text: str) -> str:
    return " | ".join(part if part.strip() in ("=", "-") else _bar(part.split()) for part in text.split("|"))


def _bar(words: list[str]) -> str:
    volume = float(words.pop()[1:]) if words[-1][0] == "v" else 1e6
    return " ".join([*(repr(float(word) * PRICE) for word in words), f"v{volume * UNITS!r}"])


def same_in_other_units(case: Case) -> None:
    """Run a case in the full book, twice: in prices and quantities smaller than one the same comes of it."""
    case = case._replace(terms={**FULL, **case.terms})
    one, other = play(case), play(smaller(case))
    np.testing.assert_array_equal(one.arrays.table * [MONEY, MONEY, 1.0, 1.0, MONEY, MONEY], other.arrays.table)
    np.testing.assert_array_equal(one.arrays.weights, other.arrays.weights)
    np.testing.assert_array_equal(one.arrays.events[:, [0, 1, 2, 3, 9]], other.arrays.events[:, [0, 1, 2, 3, 9]])
    _check_log(one)


def _check_log(run: bg.Result) -> None:
    """What ends has a number and an asset, and neither trades nor costs; what rested has no price and no weight."""
    ended = run.arrays.events[np.isin(run.arrays.events[:, 0], (CANCELLED, REJECTED, EXPIRED))]
    assert (ended[:, 1] > 0.0).all()
    assert np.isin(ended[:, 3], range(len(run.history.symbols))).all()
    np.testing.assert_array_equal(ended[:, [5, 7, 8]], 0.0)
    rested = ended[np.isin(ended[:, 9], (NEWER, UNPROTECTED, OTHER_FILLED, WITHDRAWN, DAY_OVER, DATE_PASSED))]
    np.testing.assert_array_equal(rested[:, 4], NONE)
    np.testing.assert_array_equal(rested[:, 6], 0.0)
    triggered = run.arrays.events[run.arrays.events[:, 0] == TRIGGERED]
    np.testing.assert_array_equal(triggered[:, 4], NONE)
    np.testing.assert_array_equal(triggered[:, [5, 7, 8]], 0.0)


@pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])
def test_the_units_of_account_change_nothing(case: Case) -> None:
    same_in_other_units(case)


WEIGHTS = [case for case in CASES if not isinstance(next(iter(case.script.values())), list | bg.Protected)]
PLAIN = {"fee", "fixed_fee", "slippage", "spread", "lot", "leverage", "cash", "borrow_rate", "cash_rate", "short_rate",
         "band", "guards", "fill", "maintenance", "warning"}  # fmt: skip
LIGHT = [case for case in WEIGHTS if set(case.terms) <= PLAIN]


@pytest.mark.parametrize("case", LIGHT, ids=[case.name for case in LIGHT])
def test_both_books_write_the_same_bits(case: Case) -> None:
    """Whatever the light book does with weights the full one does too, to the last cell of the log."""
    light, full = play(case), play(case, min_notional=1e-300)
    assert light.world.book.order_codes.size == 0 < full.world.book.order_codes.size
    np.testing.assert_array_equal(light.arrays.table, full.arrays.table)
    np.testing.assert_array_equal(light.arrays.events, full.arrays.events[:, :10])
