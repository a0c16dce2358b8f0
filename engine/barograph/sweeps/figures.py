"""The figures of a run as `barograph.metrics` defines them, for one run of thousands, without a table.

A single run is measured by numpy, which compiles nothing; this is the same arithmetic in compiled code, numpy's order
of summing included, and `tests/sweeps/test_figures.py` holds every figure to `Result.metrics` bit for bit.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.execution import events
from barograph.jit.kernel import Kernel, compiled, kernel, shared
from barograph.metrics.formulas import ROUNDING
from barograph.validation.block_sums import fill_both

__all__ = ["FIGURES", "FILL_ROWS", "SCRATCH_ROWS", "Market", "gather", "measure_run"]

# What a row of figures holds, in this order; what needs more than arithmetic is made of them by `finished`.
FIGURES: Final = ("first", "last", "total_return", "mean_return", "volatility", "sharpe", "sortino",
                  "max_drawdown", "max_drawdown_bars", "value_at_risk", "expected_shortfall", "skew", "hit_rate",
                  "fills", "turnover", "exposure", "invested", "fees", "slippage", "financing", "fee_rate",
                  "slippage_rate", "financing_rate", "dividends", "beta")  # fmt: skip
(FIRST, LAST, TOTAL_RETURN, MEAN_RETURN, VOLATILITY, SHARPE, SORTINO, MAX_DRAWDOWN, MAX_DRAWDOWN_BARS,
 VALUE_AT_RISK, EXPECTED_SHORTFALL, SKEW, HIT_RATE, FILLS, TURNOVER, EXPOSURE, INVESTED, FEES, SLIPPAGE, FINANCING,
 FEE_RATE, SLIPPAGE_RATE, FINANCING_RATE, DIVIDENDS, BETA) = range(25)  # fmt: skip

SCRATCH_ROWS: Final = 3
# Rows of a run's table, turned, and of the fills that are gathered beside it.
EQUITY, GROSS, FINANCED = 0, 2, 5
BAR, QUANTITY, PRICE, CHARGED, SLIPPED, VALUES, CHARGED_SHARES, SLIPPED_SHARES = range(8)
FILL_ROWS: Final = 8

# numpy's: so many numbers are added in eight sums, more of them in halves.
_BLOCK: Final = 128
_DEEPEST: Final = 64
# So many bars are looked at together for a new peak or a new low.
_STRETCH: Final = 32


class Market(NamedTuple):
    """The benchmark's returns (T,), the same less their mean, and their variance, 0 where that is but rounding."""

    returns: Any
    centred: Any
    variance: float


@compiled
def gather(log: Any, numbers: Any, end: int, fills: Any, count: int, paid: Any, payments: int) -> tuple[int, int]:
    """Put away fills, a column each (bar, quantity, price, fee, slippage), and dividends; return how many.

    `numbers` are the log's words as floats. There must be room for half as many as the log has words.
    """
    at = 0
    while at < end:
        event, bar, quantity, price, fee, slippage, at = events.deal_at(log, numbers, at)
        if event in (events.FILLED, events.PARTIAL):
            fills[BAR, count], fills[QUANTITY, count] = bar, quantity
            fills[PRICE, count], fills[CHARGED, count], fills[SLIPPED, count] = price, fee, slippage
            count += 1
        elif event == events.DIVIDEND:
            paid[payments] = quantity * price
            payments += 1
    return count, payments


@kernel
def _plain(values: Any, _beside: Any, _mean: float, j: int) -> float:
    return float(values[j])


@kernel
def _loss_squared(values: Any, _beside: Any, _mean: float, j: int) -> float:
    return float(min(values[j], 0.0) * min(values[j], 0.0))


@kernel
def _squared(values: Any, _beside: Any, mean: float, j: int) -> float:
    return float((values[j] - mean) * (values[j] - mean))


@kernel
def _cubed(values: Any, _beside: Any, mean: float, j: int) -> float:
    return float((values[j] - mean) * (values[j] - mean) * (values[j] - mean))


@kernel
def _times(values: Any, beside: Any, mean: float, j: int) -> float:
    return float((values[j] - mean) * beside[j])


@cache
def make_total(of: Kernel[..., float]) -> Kernel[..., float]:
    """Return ``total(values, beside, mean, count)``: the sum of ``of(values, beside, mean, j)``, j < count, as numpy's.

    numpy adds pairwise, so its result is not that of a plain loop (Higham 1993): halves down to 128, each in eight sums
    side by side. Here the halves wait on a stack, and what is added is written nowhere.
    """

    @kernel
    def eight(a, values, beside, mean, j):  # type: ignore[no-untyped-def]
        return (
            a[0] + of(values, beside, mean, j),
            a[1] + of(values, beside, mean, j + 1),
            a[2] + of(values, beside, mean, j + 2),
            a[3] + of(values, beside, mean, j + 3),
            a[4] + of(values, beside, mean, j + 4),
            a[5] + of(values, beside, mean, j + 5),
            a[6] + of(values, beside, mean, j + 6),
            a[7] + of(values, beside, mean, j + 7),
        )

    @kernel
    def few(values, beside, mean, first, count):  # type: ignore[no-untyped-def]
        found, whole = -0.0, count - count % 8
        if whole > 0:
            # Nothing added to -0.0 is what it was.
            a = eight((-0.0,) * 8, values, beside, mean, first)
            for j in range(first + 8, first + whole, 8):
                a = eight(a, values, beside, mean, j)
            found = ((a[0] + a[1]) + (a[2] + a[3])) + ((a[4] + a[5]) + (a[6] + a[7]))
        for j in range(first + whole, first + count):
            found += of(values, beside, mean, j)
        return found

    @shared
    def total(values, beside, mean, count):  # type: ignore[no-untyped-def]
        if count == 0:
            return 0.0
        begin, size, half = np.empty(_DEEPEST, np.int64), np.empty(_DEEPEST, np.int64), np.empty(_DEEPEST, np.int64)
        left = np.empty(_DEEPEST)
        begin[0], size[0], half[0], top, found = 0, count, 0, 0, 0.0
        while top >= 0:
            if size[top] > _BLOCK:
                part = size[top] // 2
                part -= part % 8
                begin[top + 1], size[top + 1], half[top + 1], half[top] = begin[top], part, 0, part
                top += 1
                continue
            found = few(values, beside, mean, begin[top], size[top])
            top -= 1
            while top >= 0 and half[top] < 0:
                found = left[top] + found
                top -= 1
            if top >= 0:
                left[top], part, half[top] = found, half[top], -1
                begin[top + 1], size[top + 1], half[top + 1] = begin[top] + part, size[top] - part, 0
                top += 1
        return found

    return total


_total, _losses, _squares, _cubes, _products = map(make_total, (_plain, _loss_squared, _squared, _cubed, _times))


@kernel
def total(values: Any, count: int) -> float:
    """Add the first `count` numbers as numpy does."""
    return float(_total(values, values, 0.0, count))


@kernel
def _mean(values: Any, count: int) -> float:
    return float(total(values, count) / count)


@compiled
def measure_run(table: Any, rows: Any, every: bool, fills: Any, count: int, first: int, paid: Any, payments: int,
                market: Market, periods: float, rank: int, scratch: Any, out: Any, sums: Any,
                beyond: Any) -> None:  # fmt: skip
    """Write the figures of one run from its table (6, n), a column a row, which begins at bar `first`, and its fills.

    `rows` are the rows between which returns lie (`barograph.metrics.steps`), `every` says that they are all of them,
    `rank` is that of the value at risk among the returns; `sums` and `beyond` (B, 3) are the block sums of the returns,
    and of those less the benchmark's.
    """
    equity, r, x, y, T = table[EQUITY], scratch[0], scratch[1], scratch[2], rows.size - 1
    years = T / periods
    _held(table, years, x, out)
    # Two loops of one kind: of rows that follow each other many are divided at a time.
    if every:
        for j in range(T):
            r[j] = equity[j + 1] / equity[j] - 1.0
    else:
        for j in range(T):
            r[j] = equity[rows[j + 1]] / equity[rows[j]] - 1.0
    out[FIRST], out[LAST] = equity[0], equity[equity.size - 1]
    out[TOTAL_RETURN], out[DIVIDENDS] = out[LAST] / out[FIRST] - 1.0, total(paid, payments)
    _moments(r, T, periods, out)
    _tail(r, T, rank, x, y, out)
    _deals(equity, fills, count, first, years, out)
    _beside(r, T, market, out)
    _drawdown(equity, equity.size, out)
    fill_both(r[:T], market.returns, sums, beyond)


@shared
def _held(table: Any, years: float, x: Any, out: Any) -> None:
    """Write what the table says without a return: exposure, and what was paid for loans."""
    equity, gross, financing, n, held, financed = table[EQUITY], table[GROSS], table[FINANCED], table.shape[1], 0, 0
    for t in range(1, n):
        held += 1 if gross[t] > 0.0 else 0
    for t in range(n):
        financed += 1 if financing[t] != 0.0 else 0
    out[EXPOSURE] = total(gross[1:], n - 1) / (n - 1) if n > 1 else math.nan
    out[INVESTED] = held / (n - 1) if n > 1 else math.nan
    out[FINANCING], out[FINANCING_RATE] = 0.0, 0.0 if years > 0.0 else math.nan
    if financed > 0:
        for t in range(n):
            x[t] = financing[t] / equity[max(t - 1, 0)]
        out[FINANCING] = total(financing, n)
        out[FINANCING_RATE] = total(x, n) / years if years > 0.0 else math.nan


@shared
def _moments(r: Any, T: int, periods: float, out: Any) -> None:
    moved, rising = 0, 0
    out[MEAN_RETURN] = out[VOLATILITY] = out[SHARPE] = out[SORTINO] = out[SKEW] = out[HIT_RATE] = math.nan
    if T == 0:
        return
    mean = _mean(r, T)
    out[MEAN_RETURN] = mean
    for t in range(T):
        moved += 1 if r[t] != 0.0 else 0
        rising += 1 if r[t] > 0.0 else 0
    out[HIT_RATE] = rising / moved if moved > 0 else math.nan
    downside = math.sqrt(_losses(r, r, 0.0, T) / T)
    out[SORTINO] = mean / downside * math.sqrt(periods) if downside > ROUNDING else math.nan
    if T < 2:
        return
    squares = _squares(r, r, mean, T)
    spread = math.sqrt(squares / (T - 1))
    out[VOLATILITY] = spread * math.sqrt(periods)
    out[SHARPE] = mean / spread * math.sqrt(periods) if spread > ROUNDING else math.nan
    second = squares / T
    if math.sqrt(second) > ROUNDING:
        out[SKEW] = _cubes(r, r, mean, T) / T / (second * math.sqrt(second))


@shared
def _tail(r: Any, T: int, rank: int, x: Any, y: Any, out: Any) -> None:
    """Write minus the `rank`-th smallest return, and minus the mean of those up to it.

    Few are as small as that: those up to a mark, taken from every sixteenth return, are put aside, the rest forgotten.
    """
    out[VALUE_AT_RISK] = out[EXPECTED_SHORTFALL] = math.nan
    if T == 0:
        return
    kept, step, mark = 0, 16, math.inf
    if 64 * step < T:
        sampled = 0
        for j in range(0, T, step):
            x[sampled] = r[j]
            sampled += 1
        # A little more than that share of the sample, so that nearly always enough lie below.
        mark = select(x, sampled, min(sampled, rank * sampled // T + 24))
    for j in range(T):
        y[kept] = r[j]
        kept += 1 if r[j] <= mark else 0
    if kept < rank:
        kept = T
        for j in range(T):
            y[j] = r[j]
    for j in range(kept):
        x[j] = y[j]
    worst, beyond = select(x, kept, rank), 0
    # They stand in the order of time, in which numpy adds them.
    for j in range(kept):
        x[beyond] = y[j]
        beyond += 1 if y[j] <= worst else 0
    out[VALUE_AT_RISK], out[EXPECTED_SHORTFALL] = -worst, -_mean(x, beyond)


@shared
def select(room: Any, count: int, rank: int) -> float:
    """Return the `rank`-th smallest of the first `count` numbers, which change places (Hoare 1961)."""
    low, high, wanted = 0, count - 1, rank - 1
    while low < high:
        pivot, i, j = room[(low + high) // 2], low, high
        while i <= j:
            while room[i] < pivot:
                i += 1
            while room[j] > pivot:
                j -= 1
            if i <= j:
                room[i], room[j] = room[j], room[i]
                i += 1
                j -= 1
        if wanted <= j:
            high = j
        elif wanted >= i:
            low = i
        else:
            break
    return float(room[wanted])


@shared
def _deals(equity: Any, fills: Any, count: int, first: int, years: float, out: Any) -> None:
    values, slipped, charged = fills[VALUES], fills[SLIPPED_SHARES], fills[CHARGED_SHARES]
    for j in range(count):
        before = equity[max(int(fills[BAR, j]) - first - 1, 0)]
        values[j] = abs(fills[QUANTITY, j] * fills[PRICE, j]) / before
        slipped[j], charged[j] = fills[SLIPPED, j] / before, fills[CHARGED, j] / before
    out[FILLS], out[SLIPPAGE], out[FEES] = count, total(fills[SLIPPED], count), total(fills[CHARGED], count)
    out[TURNOVER] = total(values, count) / years if years > 0.0 else math.nan
    out[SLIPPAGE_RATE] = total(slipped, count) / years if years > 0.0 else math.nan
    out[FEE_RATE] = total(charged, count) / years if years > 0.0 else math.nan


@shared
def _beside(r: Any, T: int, market: Market, out: Any) -> None:
    """Write the slope on the benchmark's returns, cov / var (`formulas.beta`)."""
    # The returns of a benchmark that lost everything end there, and those beside it too.
    paired = min(T, market.returns.size)
    mean = out[MEAN_RETURN] if paired == T else _mean(r, paired) if paired > 0 else math.nan
    risky = market.variance > 0.0 and paired > 1
    out[BETA] = _products(r, market.centred, mean, paired) / paired / market.variance if risky else math.nan


@shared
def _drawdown(equity: Any, n: int, out: Any) -> None:
    """Write the deepest fall below the peak so far, and how many bars lie between that peak and its next.

    A number between the peak and the lowest since it falls no deeper; where all of a stretch do, none is divided.
    """
    peak, lowest, deepest, trough, top, first = equity[0], equity[0], 0.0, 0, 0, 0
    for begin in range(0, n, _STRETCH):
        end, out_of = min(n, begin + _STRETCH), 0
        for t in range(begin, end):
            out_of += 1 if equity[t] >= peak or equity[t] < lowest else 0
        if out_of == 0:
            continue
        for t in range(begin, end):
            if equity[t] >= peak:
                peak, lowest, top = equity[t], equity[t], t
            elif equity[t] < lowest:
                lowest = equity[t]
                fall = lowest / peak - 1.0
                if fall < deepest:
                    deepest, trough, first = fall, t, top
    last = trough
    while last < n - 1 and equity[last] < equity[first]:
        last += 1
    out[MAX_DRAWDOWN], out[MAX_DRAWDOWN_BARS] = deepest, last - first
