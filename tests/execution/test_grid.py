"""Lots and ticks: what is whole is whole in decimals, what is not is rounded one way, and nothing overflows."""

from __future__ import annotations

import math
from decimal import ROUND_DOWN, Decimal, localcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

import barograph as bg
from barograph.execution.grid import above, below, grid_of, settled, toward_zero
from barograph.execution.sizes import ends, moved, units_of
from barograph.jit.kernel import compiled
from tests.kit.tables import Case, limit, market, play

STEPS = st.sampled_from(
    ["0.1", "0.01", "0.05", "0.25", "1", "10", "0.3", "0.0001", "1e-8", "1e-18", "0.15", "2.5", "1000"]
)
WHOLE = st.integers(-(10**12), 10**12)


def exact(step: str, count: int) -> float:
    """Return a multiple as its decimals are read."""
    return float(Decimal(step) * count)


@given(step=STEPS, count=WHOLE)
def test_a_multiple_is_its_own_double(step: str, count: int) -> None:
    x, grid = exact(step, count), grid_of(float(step))
    assert below(x, abs(x), grid) == above(x, abs(x), grid) == toward_zero(x, grid) == settled(x, abs(x), grid) == x


@given(step=STEPS, count=WHOLE, other=WHOLE)
def test_sums_of_multiples_settle(step: str, count: int, other: int) -> None:
    one, two, grid = exact(step, count), exact(step, other), grid_of(float(step))
    assert settled(one + two, max(abs(one), abs(two)), grid) == exact(step, count + other)


@given(step=STEPS, x=st.floats(1e-8, 1e12))
def test_rounding_is_that_of_decimals(step: str, x: float) -> None:
    """Within a few units of the last digit of a multiple either is right; finer than a double can tell, any is."""
    grid = grid_of(float(step))
    with localcontext() as context:
        context.prec = 60
        count = Decimal(x) / Decimal(step)
        near = abs(count - count.to_integral_value()) <= Decimal(2) ** -48 * count
        wanted = count.to_integral_value(ROUND_DOWN) * Decimal(step)
    if count >= Decimal("0.9e15"):
        assert math.isclose(below(x, x, grid), x, rel_tol=2e-15)
    elif not near:
        assert below(x, x, grid) == float(wanted)
        assert above(x, x, grid) == pytest.approx(float(wanted + Decimal(step)), rel=1e-15)
    assert below(-x, x, grid) == -above(x, x, grid)


@given(step=STEPS, held=WHOLE, size=st.floats(-1e9, 1e9))
def test_a_position_moves_by_whole_lots_and_never_beyond_what_is_wanted(step: str, held: int, size: float) -> None:
    n, lot = exact(step, held), grid_of(float(step))
    m = moved(n, size, lot)
    assert abs(m) <= abs(size) * (1.0 + 1e-14)
    assert m * size >= 0.0
    assert settled(m, max(abs(n), abs(m)), lot) == m


def test_no_step_is_too_small_or_too_large() -> None:
    for step in (5e-324, 1e-300, 1e-30, 1e30, 1e300, 1.7e308):
        for x in (1e-8, 1.0, 1e12):
            assert below(x, x, grid_of(step)) == (x if step < 1.0 else 0.0)
    assert [below(x, abs(x), grid_of(0.0)) for x in (0.3, -0.3)] == [0.3, -0.3]
    assert math.copysign(1.0, toward_zero(-0.3, grid_of(1.0))) == 1.0


def test_what_ends_a_position_is_let_through() -> None:
    lot = grid_of(1.0)
    assert units_of(-9.5, 9.5, lot) == -9.5
    assert units_of(-9.4, 9.5, lot) == -9.0
    assert ends(0.1 + 0.2, -0.3)
    assert not ends(0.0, 0.0)


def test_the_same_compiled() -> None:
    for step in (0.1, 1e-8, 1e-18, 0.3, 0.0):
        grid = grid_of(step)
        for x in (0.6, 0.7000000000000001, 1e12 + 0.3, -29.0, math.inf, math.nan):
            assert str(_rounded(x, abs(x), grid)) == str((below(x, abs(x), grid), settled(x, abs(x), grid)))


@compiled
def _rounded(x, scale, grid):  # type: ignore[no-untyped-def]
    return below(x, scale, grid), settled(x, scale, grid)


FLAT = "100 | = | = | = | = | ="


def test_what_was_bought_in_parts_is_sold_in_parts() -> None:
    """Section 1: 0.6 bought, 0.4 and 0.2 sold leaves nothing, and no short of 0.1."""
    run = play(Case("", FLAT, {1: [market(0.6)], 2: [market(-0.4)], 3: [market(-0.2)]}, [], []), lot=0.1)
    assert run.tables["fills"]["quantity"].tolist() == [0.6, -0.4, -0.2]
    assert run.tables["equity"]["weight_A"].iloc[-1] == 0.0


@pytest.mark.parametrize("level", [98.1, 98.3, 98.7, 99.3])
def test_a_level_on_the_tick_is_touched_by_a_price_on_the_tick(level: float) -> None:
    run = play(Case("", f"100 | 100 101 {level} 100", {1: [limit(1, level)]}, [], []), tick=0.1)
    assert run.tables["fills"]["price"].tolist() == [level]


def test_the_last_bit_below_the_least_value_can_be_sold() -> None:
    run = play(
        Case("", FLAT, {1: [market(0.7)], 2: [market(-0.6)], 3: [market(-0.1)]}, [], []), lot=0.1, min_notional=20.0
    )
    assert run.tables["orders"]["reason"].tolist() == ["as wanted"] * 3


@pytest.mark.parametrize("before", [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8])
def test_a_gap_of_the_band_is_traded_wherever_it_lies(before: float) -> None:
    run = play(Case("", FLAT, {1: before, 3: round(before + 0.1, 1)}, [], []), band=0.1)
    assert len(run.tables["fills"]) == 2
    near = play(Case("", FLAT, {1: before, 3: round(before + 0.09, 2)}, [], []), band=0.1)
    assert len(near.tables["fills"]) == 1


def test_a_price_that_the_tick_makes_nothing_is_refused() -> None:
    run = play(Case("", FLAT, {1: [limit(1, 0.3)]}, [], []), tick=1.0)
    assert run.tables["orders"]["reason"].tolist() == ["less than one tick"]


@pytest.mark.parametrize(("term", "value"), [("lot", -0.1), ("tick", math.nan), ("lot", math.inf), ("tick", "1")])
def test_a_step_nobody_can_mean_is_named(term: str, value: object) -> None:
    with pytest.raises(bg.ConfigError, match=f"^{term} is "):
        bg.Terms(**{term: value})


REVERSE = {"splits": {3: 0.01}}


def test_after_a_reverse_split_what_rests_is_whole_lots_or_nothing() -> None:
    bars = "1 | 1 | 100 101 99 100 | 100 110 99 108 | 108"
    told = Case("", bars, {1: [market(950)], 2: [limit(-950, 1.05), limit(-120, 1.06), limit(-9, 1.07)]}, [], [],
                actions=REVERSE)  # fmt: skip
    run = play(told, lot=1.0)
    asked = run.tables["orders"]
    # All of the odd 9.5, the one whole of 1.2, and nothing of 0.09; the second finds a short where it may go on.
    assert asked["quantity"].tolist() == [950.0, -9.5, -1.0, 0.0]
    assert asked["reason"].tolist()[-1] == "less than one lot"


def test_after_a_reverse_split_the_odd_lot_is_sold_by_an_order_and_by_a_target() -> None:
    bars = "1 | 1 | 100 | 100 | 100 | 100"
    sold = play(Case("", bars, {1: [market(950)], 3: [market(-9.5)]}, [], [], actions=REVERSE), lot=1.0)
    assert sold.tables["fills"]["quantity"].tolist() == [950.0, -9.5]
    less = play(Case("", bars, {1: 0.095, 3: 0.05, 4: 0.0}, [], [], actions=REVERSE), lot=1.0)
    assert less.tables["fills"]["quantity"].tolist() == [950.0, -5.0, -4.5]
