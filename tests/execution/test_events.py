"""The words of the log: every number that stands in a journal is pinned here, and what is written is read again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from barograph import orders
from barograph.execution import book as col
from barograph.execution import events, options
from barograph.execution.book import log_birth, log_event, open_book
from barograph.execution.events import (
    WIDEST,
    Written,
    account_events,
    born,
    changes,
    fills,
    pack_terms,
    table,
    write,
    write_birth,
)
from barograph.jit.kernel import compiled

# Journals hold these numbers. A word may be added with a number of its own; none may ever change or be used again.
PINNED: dict[str, tuple[Mapping[int, str], dict[int, str]]] = {
    "events": (
        events.EVENTS,
        {
            0: "born",
            1: "filled",
            2: "cancelled",
            3: "rejected",
            4: "partial",
            5: "expired",
            6: "triggered",
            7: "dividend",
            8: "split",
            9: "delisted",
            10: "margin_warning",
            11: "margin_call",
            12: "guard",
            13: "released",
        },
    ),
    "reasons": (
        events.REASONS,
        {
            0: "as wanted",
            1: "shrunk: no room under the leverage limit",
            2: "no room under the leverage limit",
            3: "replaced by a newer target",
            4: "less than one lot",
            5: "already at the target",
            6: "participation: the rest waits for more volume",
            7: "below the smallest order value",
            8: "cash account: nothing to sell",
            9: "reduce only: nothing to reduce",
            10: "the other order of the pair filled",
            11: "nothing left to protect",
            12: "replaced by a newer order",
            13: "cancelled by the strategy",
            14: "its day is over",
            15: "its date has passed",
            16: "the asset is delisted",
            17: "the asset is not traded",
            18: "margin call",
            19: "drawdown limit",
            20: "daily loss limit",
            21: "gross exposure limit",
            22: "net exposure limit",
            23: "position limit",
            24: "turnover limit",
            25: "cool-down after a stop-out",
            26: "kill switch",
            27: "halted by the operator",
            28: "flattened by the operator",
            29: "the model is unhealthy or the data are stale",
            30: "as wanted, after the reductions it waited for",
            31: "its reductions did not come in another session",
            32: "less than one tick",
            33: "cash account: all there was",
            34: "reduce only: all there was",
            35: "no room yet: the rest waits for reductions",
        },
    ),
    "roles": (
        events.ROLES,
        {0: "entry", 1: "stop_loss", 2: "take_profit", 3: "trailing_stop", 4: "liquidation"},
    ),
    "kinds": (
        orders.KINDS,
        {0: "market", 1: "limit", 2: "stop", 3: "stop_limit", 4: "trailing_stop", 5: "market_on_close"},
    ),
    "lives": (orders.LIVES, {0: "GTC", 1: "DAY", 2: "GTD"}),
    "modes": (options.MODES, {0: "free", 1: "no_new_risk", 2: "reduce_only", 3: "flatten"}),
}
COLUMNS = {
    **{"EVENT": 0, "ORDER": 1, "BAR": 2, "ASSET": 3, "WEIGHT": 4, "QUANTITY": 5, "PRICE": 6, "FEE": 7, "SLIPPAGE": 8},
    **{"REASON": 9, "ASKED": 5, "LIMIT": 6, "STOP": 7, "TRAIL": 8, "PACKED_TERMS": 9},
    **{"UNTIL": 10, "PARENT": 11, "GROUP": 12, "TAG": 13},
}


@pytest.mark.parametrize("name", PINNED)
def test_the_numbers_of_the_journals_never_change(name: str) -> None:
    """A new word is pinned here with its number, or this fails; one that is inserted moves those behind it."""
    found, pinned = PINNED[name]
    assert dict(found) == pinned
    assert len(set(found.values())) == len(found)


def test_the_columns_of_the_journals_never_change() -> None:
    assert {name: getattr(events, name) for name in COLUMNS} == COLUMNS


@pytest.mark.parametrize("role", events.ROLES)
@pytest.mark.parametrize("life", orders.LIVES)
@pytest.mark.parametrize("kind", orders.KINDS)
def test_what_is_packed_is_read(kind: int, life: int, role: int) -> None:
    assert pack_terms(kind, life, role) == 100 + kind + 8 * life + 32 * role
    row = [events.BORN, 5, 3, 1, np.nan, 10.0, 99.0, np.nan, 0.5, pack_terms(kind, life, role), np.inf, 4, 4, 7]
    order = born(np.array([row], dtype=np.float64))
    assert (order.kind[0], order.life[0], order.role[0]) == (
        orders.KINDS[kind],
        orders.LIVES[life],
        events.ROLES[role],
    )
    assert (order.asked[0], order.limit[0], order.trail[0], order.tag[0]) == (10.0, 99.0, 0.5, 7)
    assert order.termed[0]


@pytest.mark.parametrize("width", [10, 14])
def test_a_target_has_a_weight_and_no_terms(width: int) -> None:
    rows = np.zeros((2, width))
    rows[:, : events.WEIGHT + 1] = [[events.BORN, 5, 3, 1, 0.4], [events.BORN, 6, 3, 0, np.nan]]
    rows[1, events.REASON] = events.CALLED_IN
    found = born(rows)
    assert found.role.tolist() == ["entry", "liquidation"]
    assert found.kind.tolist() == ["market"] * 2
    assert not found.termed.any()
    assert np.isnan([found.asked, found.limit, found.stop, found.trail]).all()
    assert np.isinf(found.until).all()
    assert found.weight[0] == 0.4


def row(what: int, order: int = 1, reason: int = 0, q: float = 0.0, **more: Any) -> list[float]:
    return [what, order, 2, 0, more.get("weight", 0.0), q, more.get("price", 0.0), 0.1, 0.2, reason]


def test_every_row_is_read_once() -> None:
    log = np.array([row(what, reason=events.KILL, q=3.0) for what in events.EVENTS])
    told = [len(read(log).order) for read in (born, changes, account_events)]
    assert told == [1, 5, 8]
    assert sum(told) == len(log)


def test_what_became_of_orders_is_told_in_its_order() -> None:
    log = np.array([row(events.PARTIAL, 1, events.NO_VOLUME, 4.0), row(events.CANCELLED, 2, events.NEWER),
                    row(events.FILLED, 1, events.AS_WANTED, 6.0)])  # fmt: skip
    found = changes(log)
    assert found.order.tolist() == [1, 2, 1]
    assert found.filled.tolist() == [4.0, 0.0, 6.0]
    assert found.status.tolist() == ["", "cancelled", "filled"]
    assert found.reason.tolist() == ["", "replaced by a newer order", "as wanted"]
    assert fills(log).whole.tolist() == [False, True]


def test_what_needs_no_reason_has_none() -> None:
    log = np.array([row(what, reason=0) for what in (events.TRIGGERED, events.DIVIDEND, events.SPLIT, events.GUARD)])
    assert account_events(log).reason.tolist() == ["", "", "", "as wanted"]


# Numbers that say something, nothing, or nearly nothing: the last three are no numbers, and not the usual one.
NUMBERS = st.one_of(
    st.sampled_from([0.0, -0.0, np.nan, np.inf, -np.inf, 1.0, -1.0, 5e-324]),
    st.floats(),
    st.sampled_from([-(2**51), 2**63 - 1, 0x7FF0000000000001]).map(lambda bits: float(np.int64(bits).view(np.float64))),
)
WHO = (st.integers(0, 2**38), st.integers(0, 2**38), st.integers(-1, 2**24 - 2))
HAPPENED = st.one_of(
    st.tuples(st.sampled_from(list(events.EVENTS)), *WHO, *[NUMBERS] * 5, st.sampled_from(list(events.REASONS))),
    st.tuples(
        st.just(events.BORN),
        *WHO,
        st.just(np.nan),
        *[NUMBERS] * 4,
        st.builds(
            pack_terms,
            st.sampled_from(list(orders.KINDS)),
            st.sampled_from(list(orders.LIVES)),
            st.sampled_from(list(events.ROLES)),
        ),
        *[NUMBERS] * 4,
    ),
)


@compiled
def write_all(log: Any, rows: Any, whole: Any) -> int:
    """Write rows, and what of them is whole numbers, into a log."""
    at = 0
    for r in range(rows.shape[0]):
        row, (what, order, t, a, reason) = rows[r], whole[r]
        if what == events.BORN and reason >= events.PACKED:
            at = write_birth(log, at, order, t, a, row[5], row[6], row[7], row[8], reason, row[10], row[11], row[12],
                             row[13])  # fmt: skip
        else:
            at = write(log, at, what, order, t, a, row[4], row[5], row[6], row[7], row[8], reason)
    return at


@pytest.mark.parametrize("how", [write_all, write_all.py_func], ids=["compiled", "plain"])
@given(told=st.lists(HAPPENED, min_size=1, max_size=30), cut=st.integers(0, 30))
def test_what_is_written_is_read_to_the_last_bit(how: Any, told: list[tuple[float, ...]], cut: int) -> None:
    """Every event, every number, in one piece of a log or two: the rows are those that were told."""
    rows = np.array([(*row, *[0.0] * (14 - len(row))) for row in told])
    whole = np.array([[int(row[j]) for j in (0, 1, 2, 3, 9)] for row in told])
    pieces = []
    for part in (slice(0, cut), slice(cut, None)):
        log = np.full(WIDEST * (len(rows[part]) + 1), -1)
        pieces.append(log[: how(log, rows[part], whole[part])])
        assert len(pieces[-1]) <= WIDEST * len(rows[part])
    assert table(Written(tuple(pieces), 14)).tobytes() == rows.tobytes()


def test_a_light_log_is_read_narrow() -> None:
    log = np.zeros(2 * WIDEST, dtype=np.int64)
    end = write(log, 0, events.BORN, 5, 3, 1, 0.4, 0.0, 0.0, 0.0, 0.0, events.AS_WANTED)
    end = write(log, end, events.FILLED, 5, 4, 1, 0.4, 10.0, 99.0, 0.5, 0.25, events.AS_WANTED)
    wanted = [[events.BORN, 5, 3, 1, 0.4, 0, 0, 0, 0, 0], [events.FILLED, 5, 4, 1, 0.4, 10, 99, 0.5, 0.25, 0]]
    assert table(Written((log[:end],), 10)).tolist() == wanted
    # A birth to a weight says one number, and a cancelled resting order none.
    assert end == 3 + 7
    assert write(log, 0, events.CANCELLED, 5, 3, 1, np.nan, 0.0, 0.0, 0.0, 0.0, events.NEWER) == 2


@pytest.mark.parametrize("birth", [False, True])
@pytest.mark.parametrize(("room", "fault"), [(WIDEST, col.FINE), (WIDEST - 1, col.LOG_FULL)])
def test_a_log_is_full_where_its_longest_event_would_not_fit(room: int, fault: int, birth: bool) -> None:
    book, log = open_book(1000.0, 1, resting=1), np.full(3 + room, -7)
    book.counters[col.LOGGED] = 3
    if birth:
        log_birth(book, log, 1, 2, 0, 1.0, 2.0, 3.0, 4.0, pack_terms(1, 0, 0), 5.0, 6.0, 7.0, 8.0)
    else:
        log_event(book, log, events.FILLED, 1, 2, 0, 0.5, 1.0, 2.0, 3.0, 4.0, events.AS_WANTED)
    assert book.counters[col.FAULT] == fault
    written = (10 if birth else 7) if fault == col.FINE else 0
    assert book.counters[col.LOGGED] == 3 + written
    assert (log[3 + written + 1 :] == -7).all()
    assert (log[:3] == -7).all()
