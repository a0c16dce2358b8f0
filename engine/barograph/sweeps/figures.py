"""The figures of a run as `barograph.metrics` defines them, for one run of thousands, without a table.

A single run is measured by numpy, which compiles nothing; this is the same arithmetic in compiled code, numpy's order
of summing included, and `tests/sweeps/test_figures.py` holds every figure to `Result.metrics` bit for bit.
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.execution import events
from barograph.jit.kernel import compiled, kernel, shared
from barograph.metrics.formulas import ROUNDING
from barograph.validation.block_sums import fill_from_returns

__all__ = ["FIGURES", "FILL_ROWS", "SCRATCH_ROWS", "Market", "gather", "measure_run"]

# What a row of figures holds, in this order; what needs more than arithmetic is made of them by `finished`.
FIGURES: Final = ("first", "last", "total_return", "mean_return", "volatility", "sharpe", "sortino",
                  "max_drawdown", "max_drawdown_bars", "value_at_risk", "expected_shortfall", "skew", "hit_rate",
                  "fills", "turnover", "exposure", "invested", "fees", "slippage", "financing", "fee_rate",
                  "slippage_rate", "financing_rate", "dividends", "beta")  # fmt: skip
(FIRST, LAST, TOTAL_RETURN, MEAN_RETURN, VOLATILITY, SHARPE, SORTINO, MAX_DRAWDOWN, MAX_DRAWDOWN_BARS,
 VALUE_AT_RISK, EXPECTED_SHORTFALL, SKEW, HIT_RATE, FILLS, TURNOVER, EXPOSURE, INVESTED, FEES, SLIPPAGE, FINANCING,
 FEE_RATE, SLIPPAGE_RATE, FINANCING_RATE, DIVIDENDS, BETA) = range(25)  # fmt: skip

SCRATCH_ROWS: Final = 4
# Columns of a run's table, and of the fills that are gathered beside it.
EQUITY, GROSS, FINANCED = 0, 2, 5
BAR, QUANTITY, PRICE, CHARGED, SLIPPED, VALUES, CHARGED_SHARES, SLIPPED_SHARES = range(8)
FILL_ROWS: Final = 8

# numpy's: so many numbers are added in eight sums, more of them in halves.
_BLOCK: Final = 128
_DEEPEST: Final = 64


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
def _few(values: Any, first: int, count: int) -> float:
    """Add up to 128 numbers as numpy does."""
    if count < 8:
        found = -0.0
        for j in range(first, first + count):
            found += values[j]
        return found
    a, b, c, d = values[first], values[first + 1], values[first + 2], values[first + 3]
    e, f, g, h = values[first + 4], values[first + 5], values[first + 6], values[first + 7]
    whole = count - count % 8
    for j in range(first + 8, first + whole, 8):
        a += values[j]
        b += values[j + 1]
        c += values[j + 2]
        d += values[j + 3]
        e += values[j + 4]
        f += values[j + 5]
        g += values[j + 6]
        h += values[j + 7]
    found = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for j in range(first + whole, first + count):
        found += values[j]
    return float(found)


@shared
def total(values: Any, count: int) -> float:
    """Add the first `count` numbers in numpy's order: halves down to 128, each in eight sums side by side.

    numpy adds pairwise, so its result is not that of a plain loop (Higham 1993); here the halves wait on a stack.
    """
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
        found = _few(values, begin[top], size[top])
        top -= 1
        while top >= 0 and half[top] < 0:
            found = left[top] + found
            top -= 1
        if top >= 0:
            left[top], part, half[top] = found, half[top], -1
            begin[top + 1], size[top + 1], half[top + 1] = begin[top] + part, size[top] - part, 0
            top += 1
    return found


@kernel
def _mean(values: Any, count: int) -> float:
    return float(total(values, count) / count)


@compiled
def measure_run(table: Any, rows: Any, every: bool, fills: Any, count: int, first: int, paid: Any, payments: int,
                market: Market, periods: float, rank: int, scratch: Any, out: Any, sums: Any,
                beyond: Any) -> None:  # fmt: skip
    """Write the figures of one run from its table (n, 6), which begins at bar `first`, and its fills.

    `rows` are the rows between which returns lie (`barograph.metrics.steps`), `every` says that they are all of them,
    `rank` is that of the value at risk among the returns; `sums` and `beyond` (B, 3) are the block sums of the returns,
    and of those less the benchmark's.
    """
    r, x, y, equity, T = scratch[0], scratch[1], scratch[2], scratch[3], rows.size - 1
    years = T / periods
    _table(table, years, equity, x, y, out)
    # Two loops of one kind: of rows that follow each other many are divided at a time.
    if every:
        for j in range(T):
            r[j] = equity[j + 1] / equity[j] - 1.0
    else:
        for j in range(T):
            r[j] = equity[rows[j + 1]] / equity[rows[j]] - 1.0
    out[FIRST], out[LAST] = equity[0], equity[table.shape[0] - 1]
    out[TOTAL_RETURN], out[DIVIDENDS] = out[LAST] / out[FIRST] - 1.0, total(paid, payments)
    _moments(r, T, periods, x, out)
    _tail(r, T, rank, x, y, out)
    _deals(equity, fills, count, first, years, out)
    _beside(r, T, market, x, out)
    _drawdown(equity, table.shape[0], x, out)
    fill_from_returns(r[:T], sums)
    for t in range(T):
        x[t] = r[t] - market.returns[t] if t < market.returns.size else math.nan
    fill_from_returns(x[:T], beyond)


@shared
def _table(table: Any, years: float, equity: Any, x: Any, y: Any, out: Any) -> None:
    """Take the columns out of the table in one pass, and write what they say without a return."""
    n, held, financed = table.shape[0], 0, False
    for t in range(n):
        equity[t], x[t] = table[t, EQUITY], table[t, GROSS]
        held += 1 if x[t] > 0.0 and t > 0 else 0
        financed = financed or table[t, FINANCED] != 0.0
    out[EXPOSURE] = total(x[1:], n - 1) / (n - 1) if n > 1 else math.nan
    out[INVESTED] = held / (n - 1) if n > 1 else math.nan
    out[FINANCING], out[FINANCING_RATE] = 0.0, 0.0 if years > 0.0 else math.nan
    if financed:
        for t in range(n):
            x[t] = table[t, FINANCED]
            y[t] = x[t] / equity[max(t - 1, 0)]
        out[FINANCING], out[FINANCING_RATE] = total(x, n), total(y, n) / years if years > 0.0 else math.nan


@shared
def _moments(r: Any, T: int, periods: float, x: Any, out: Any) -> None:
    moved, rising = 0, 0
    out[MEAN_RETURN] = out[VOLATILITY] = out[SHARPE] = out[SORTINO] = out[SKEW] = out[HIT_RATE] = math.nan
    if T == 0:
        return
    mean = _mean(r, T)
    out[MEAN_RETURN] = mean
    for t in range(T):
        moved += 1 if r[t] != 0.0 else 0
        rising += 1 if r[t] > 0.0 else 0
        x[t] = min(r[t], 0.0) * min(r[t], 0.0)
    out[HIT_RATE] = rising / moved if moved > 0 else math.nan
    downside = math.sqrt(_mean(x, T))
    out[SORTINO] = mean / downside * math.sqrt(periods) if downside > ROUNDING else math.nan
    if T < 2:
        return
    for t in range(T):
        x[t] = (r[t] - mean) * (r[t] - mean)
    squares = total(x, T)
    spread = math.sqrt(squares / (T - 1))
    out[VOLATILITY] = spread * math.sqrt(periods)
    out[SHARPE] = mean / spread * math.sqrt(periods) if spread > ROUNDING else math.nan
    second = squares / T
    if math.sqrt(second) > ROUNDING:
        for t in range(T):
            x[t] = x[t] * (r[t] - mean)
        out[SKEW] = _mean(x, T) / (second * math.sqrt(second))


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
def _beside(r: Any, T: int, market: Market, x: Any, out: Any) -> None:
    """Write the slope on the benchmark's returns, cov / var (`formulas.beta`)."""
    # The returns of a benchmark that lost everything end there, and those beside it too.
    paired = min(T, market.returns.size)
    mean = out[MEAN_RETURN] if paired == T else _mean(r, paired) if paired > 0 else math.nan
    for t in range(paired):
        x[t] = (r[t] - mean) * market.centred[t]
    out[BETA] = _mean(x, paired) / market.variance if market.variance > 0.0 and paired > 1 else math.nan


@shared
def _drawdown(equity: Any, n: int, path: Any, out: Any) -> None:
    peak = equity[0]
    for t in range(n):
        peak = max(peak, equity[t])
        path[t] = peak
    for t in range(n):
        path[t] = equity[t] / path[t] - 1.0
    deepest, trough = 0.0, 0
    for t in range(n):
        if path[t] < deepest:
            deepest, trough = path[t], t
    first, end = trough, trough
    while first > 0 and path[first] < 0.0:
        first -= 1
    while end < n - 1 and path[end] < 0.0:
        end += 1
    out[MAX_DRAWDOWN], out[MAX_DRAWDOWN_BARS] = deepest, end - first
