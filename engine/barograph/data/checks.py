"""Can these bars be true? Every load asks, and every answer names file, row and value.

An *error* stops the run, because a backtest on such bars is a number about nothing, unless `accept` lists its code. A
*warning* does not. Both stay with the history and are printed in the report. Findings of one code are told once: the
first place, and how many.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from barograph.data import calendars
from barograph.data.actions import effective
from barograph.data.calendars import ALWAYS, DAY
from barograph.data.exdates import held_twice
from barograph.data.findings import CODES, Finding, Mask, finding
from barograph.data.stamped import early_stamps
from barograph.data.table import Table, impossible, spacing, volume_is_unknown
from barograph.epoch import HOUR
from barograph.types import Floats

__all__ = ["check"]

_FROZEN_BARS: Final = 5
_SPLITS: Final = np.array([1.5, 2, 3, 4, 5, 6, 7, 8, 10, 15, 20, 25, 30, 50, 100, 1000])


def check(table: Table) -> tuple[Finding, ...]:
    """Return all that is wrong with one asset's bars, errors first.

    >>> from barograph.data.reading import read
    >>> from barograph.data.table import Reading
    >>> import pandas as pd
    >>> days = pd.date_range("2024-07-01", periods=2)
    >>> frame = pd.DataFrame({"open": [5.0, 5.0], "high": [6, 4.0], "low": [4, 3.0], "close": [5.5, 3.5]}, index=days)
    >>> check(read(frame, Reading(source="abc.csv", symbol="ABC")))[0].message
    'abc.csv: impossible_ohlc: row 1 (2024-07-02): open 5 lies outside [low 3, high 4]'
    """
    found = [*_noted(table), *_order(table)]
    table = table.at(np.unique(table.ts, return_index=True)[1])
    found.extend(_lost_actions(table))
    table = _carried(table)
    for rule in _RULES:
        found.extend(rule(table))
    rank = list(CODES)
    return tuple(sorted(found, key=lambda one: (rank.index(one.code), one.row)))


def _noted(table: Table) -> Iterator[Finding]:
    """What was found out while the times were read; the rows that show it may have been cut off."""
    for note in table.notes:
        message = f"{table.source}: {note.code}: {table.place} {note.row}: {note.text}"
        yield Finding(note.code, CODES[note.code].severity, table.source, note.row, None, "time", "", message)


def _prices(table: Table) -> Floats:
    return np.stack([table.open, table.high, table.low, table.close])


def _daily(table: Table) -> bool:
    return table.days is not None and spacing(table.ts) <= 4 * DAY


def _order(table: Table) -> Iterator[Finding]:
    steps = np.diff(table.ts)
    back = np.concatenate([[False], steps < 0])
    if len(steps) and (steps <= 0).all() and (steps < 0).any():
        yield from finding(table, "newest_first", np.array([0]), "time", None, "newest first", count=len(table.ts))
    else:
        yield from finding(table, "wrong_order", back, "time", None, "is older than the row before it")
    first = np.unique(table.ts, return_index=True)[1]
    again = np.ones(len(table.ts), dtype=bool)
    again[first] = False
    yield from finding(table, "duplicate_time", again, "time", None, _again(table))


def _again(table: Table) -> str:
    told = "the same time as an earlier row"
    if table.apart is None:
        return told
    part, name, few = table.apart
    meant = "the time of day" if part == "clock" else "the asset"
    told += f", and column {name!r} tells them apart ({few}): if it is {meant}, say columns = {{{part} = {name!r}}}"
    return told.replace("{", "{{").replace("}", "}}")


def _actions(table: Table) -> tuple[Floats, Floats, Floats]:
    """Return dividends, splits and final prices (T,), neutral where the file has none."""
    rows = len(table.ts)
    dividends = np.zeros(rows) if table.dividends is None else table.dividends
    splits = np.ones(rows) if table.splits is None else table.splits
    return dividends, splits, np.full(rows, np.nan) if table.final is None else table.final


def _lost_actions(table: Table) -> Iterator[Finding]:
    """A dividend or a split on a row without prices, and no bar or final price after it to take it."""
    dividends, splits, final = _actions(table)
    here = np.isfinite(_prices(table)).all(axis=0) | ~np.isnan(final)
    later = np.logical_or.accumulate(here[::-1])[::-1]
    for name, values, lost in (("dividend", dividends, dividends != 0.0), ("split", splits, splits != 1.0)):
        text = f"a {name} of {{value}} where there is no bar, nor any later one"
        yield from finding(table, "lost_action", lost & ~later, name, values, text)


def _carried(table: Table) -> Table:
    """Return the table with actions on the bars where they take effect, less the rows that hold nothing else."""
    dividends, splits, final = _actions(table)
    prices = _prices(table)
    close = np.where(np.isfinite(prices).all(axis=0), table.close, np.nan)
    moved = effective(*(values[:, None] for values in (close, dividends, splits, final)))
    alone = np.isnan(prices).all(axis=0) & ((dividends != 0.0) | (splits != 1.0) | ~np.isnan(final))
    table = table._replace(dividends=moved[0][:, 0], splits=moved[1][:, 0])
    return table if alone.all() else table.at(~alone)


def _held(table: Table) -> Floats:
    """Return how many shares one share of the first row has become, by the splits that are declared."""
    return np.asarray(np.cumprod(_actions(table)[1]), dtype=np.float64)


def _missing_prices(table: Table) -> Iterator[Finding]:
    for name, values in zip(("open", "high", "low", "close"), _prices(table), strict=True):
        if name == "close" or not table.close_only:
            yield from finding(table, "nan_price", ~np.isfinite(values), name, values, f"{name} is {{value}}")
            yield from finding(table, "non_positive_price", values <= 0.0, name, values, f"{name} is {{value}}")
    if table.close_only:
        yield from finding(table, "close_only", np.array([0]), "close", None, "only a close", count=len(table.ts))


def _impossible_ohlc(table: Table) -> Iterator[Finding]:
    where = impossible(table)
    if not where.any():
        return
    at = int(np.argmax(where))
    low, high = float(table.low[at]), float(table.high[at])
    inside = f"lies outside [low {low:.10g}, high {high:.10g}]"
    if low > high:
        yield from finding(table, "impossible_ohlc", where, "high", table.high, f"high {{value}} below low {low:.10g}")
    elif not low <= table.close[at] <= high:
        yield from finding(table, "impossible_ohlc", where, "close", table.close, f"close {{value}} {inside}")
    else:
        yield from finding(table, "impossible_ohlc", where, "open", table.open, f"open {{value}} {inside}")


def _scale_jumps(table: Table) -> Iterator[Finding]:
    """A value that is its surroundings times or over 10, 100 or 1000, while they stay: 58000 read as 580."""
    held = _held(table)
    level = _level(table.close * held)
    for name in ("open", "high", "low", "close"):
        if table.close_only and name != "close":
            continue
        values: Floats = getattr(table, name)
        text = f"{name} {{value}} is off its neighbours by a power of ten"
        yield from finding(table, "scale_jump", _off_scale(values * held, level), name, values, text)


def _level(close: Floats) -> Floats:
    return _median(np.where(close > 0, close, np.nan), 5, 5)


def _off_scale(values: Floats, level: Floats) -> Mask:
    with np.errstate(divide="ignore", invalid="ignore"):
        tens = np.log10(values / level)
        power = np.round(tens)
        return np.asarray((np.abs(tens - power) < 0.1) & (power != 0) & (np.abs(power) <= 4))


def _median(values: Floats, back: int, ahead: int) -> Floats:
    """Return at each row the (lower) median of the values from `back` rows before it to `ahead` after; NaN is none."""
    padded = np.concatenate([np.full(back, np.nan), values, np.full(ahead, np.nan)])
    # NaN sorts last.
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(padded, back + ahead + 1), axis=1)
    known = np.sum(~np.isnan(windows), axis=1)
    return np.asarray(windows[np.arange(len(values)), np.maximum(known - 1, 0) // 2])


def _splits(table: Table) -> Iterator[Finding]:
    """An open at a simple fraction of the last close, between calm bars, at whose level the price then stays."""
    if len(table.ts) < 3:
        return
    close, opened = table.close * _held(table), table.open * _held(table)
    move = _moves(table)
    close = np.where(_off_scale(close, _level(close)), np.nan, close)
    with np.errstate(divide="ignore", invalid="ignore"):
        jump = np.abs(np.log(opened[1:] / close[:-1]))
        stays = np.abs(np.log(_median(close, 0, 4)[1:] / _median(close, 4, 0)[:-1])) > 0.5 * jump
    near = np.abs(jump[:, None] - np.log(_SPLITS)[None, :]).min(axis=1) < 0.03
    calm = np.fmax(move[1:], move[:-1]) < 0.25 * jump
    usual = _typical(jump) + _typical(move)
    declared = _actions(table)[1][1:] != 1.0
    where = np.concatenate([[False], near & calm & stays & (jump > 8.0 * usual) & ~declared])
    text = "open {value} against a calm close before it looks like a split"
    yield from finding(table, "unadjusted_split", where, "open", table.open, text)


def _moves(table: Table) -> Floats:
    """Return how far each bar moved in itself, as a logarithm; of closes alone, the smaller move to a neighbour."""
    with np.errstate(divide="ignore", invalid="ignore"):
        if not table.close_only:
            return np.asarray(np.abs(np.log(table.high / table.low)))
        steps = np.abs(np.diff(np.log(table.close)))
    return np.asarray(np.fmin(np.concatenate([steps[:1], steps]), np.concatenate([steps, steps[-1:]])))


def _still_prices(table: Table) -> Iterator[Finding]:
    """A declared split, larger than the usual move, after which the price opened nearer to where it was."""
    splits = _actions(table)[1][1:]
    if len(table.ts) < 2 or not (splits != 1.0).any():
        return
    last = pd.Series(table.close).ffill().to_numpy()[:-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        raw = np.log(table.open[1:] / last)
        usual = _typical(np.abs(raw)) + _typical(_moves(table))
        still = (np.abs(raw + np.log(splits)) > np.abs(raw)) & (np.abs(np.log(splits)) > 2.0 * usual)
    where = np.concatenate([[False], still])
    text = "a split of {value}, and the price did not jump: it may be split-adjusted already"
    yield from finding(table, "split_without_jump", where, "split", _actions(table)[1], text)


def _typical(values: Floats) -> float:
    known = values[np.isfinite(values)]
    return float(np.median(known)) if len(known) else 0.0


def _frozen(table: Table) -> Iterator[Finding]:
    same = (np.diff(_prices(table), axis=1) == 0.0).all(axis=0)
    ends = np.flatnonzero(np.diff(np.concatenate([[0], same.astype(np.int8), [0]])))
    starts, lengths = ends[::2], np.diff(ends)[::2] + 1
    long = lengths >= _FROZEN_BARS
    count = int(lengths[long].sum())
    text = f"the same bar {int(lengths[long][0]) if long.any() else 0} times in a row, close {{value}}"
    yield from finding(table, "frozen_price", starts[long], "close", table.close, text, count)


def _illiquid(table: Table) -> Iterator[Finding]:
    flat = table.high == table.low
    share = float(np.mean(flat))
    limit = 0.02 if table.days is not None else 0.2
    if table.traded and not table.close_only and share > limit:
        text = f"{share:.1%} of the bars have high = low, such as {{value}}: hardly traded, or another instrument"
        yield from finding(table, "illiquid", flat, "high", table.high, text)


def _volumes(table: Table) -> Iterator[Finding]:
    volume = table.volume
    if not table.has_volume:
        yield from finding(table, "unknown_volume", np.array([0]), "volume", None, "no volume", count=len(volume))
    elif volume_is_unknown(table):
        text = "volume is {value} on every row, which tells nothing"
        yield from finding(table, "unknown_volume", np.array([0]), "volume", volume, text, len(volume))
    else:
        yield from finding(table, "unknown_volume", np.isnan(volume), "volume", volume, "volume is {value}")
        yield from finding(table, "zero_volume", volume == 0.0, "volume", volume, "volume is {value}")
        yield from finding(table, "negative_volume", volume < 0.0, "volume", volume, "volume is {value}")


def _swapped(table: Table) -> Iterator[Finding]:
    volume, price = table.volume, table.close
    with np.errstate(divide="ignore", invalid="ignore"):
        if table.quote_volume is not None:
            fits = np.abs(np.log(volume * price / table.quote_volume))
            crossed = np.abs(np.log(table.quote_volume * price / volume))
            text = "volume {value} times price is not the quote volume, but the other way round it is"
            yield from finding(table, "swapped_columns", (crossed < 0.2) & ~(fits < 0.2), "volume", volume, text)
        else:
            shift, start = _largest_shift(np.log(np.where(volume > 0, volume / _held(table), np.nan)))
            worth = float(np.log(price[start]))
            if worth > 3.0 and abs(shift - worth) < 0.25 * worth:
                text = "from here volume {value} is on another level, apart by the price: units or money?"
                yield from finding(table, "swapped_columns", np.array([start]), "volume", volume, text)


def _largest_shift(values: Floats, width: int = 24) -> tuple[float, int]:
    """Return the largest shift of level at one row, and that row: 24 values before it all lie apart from 24 after."""
    if len(values) < 2 * width:
        return 0.0, 0
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(values, width), axis=1)
    before, after = windows[:-width], windows[width:]
    apart = np.fmax(after[:, 0] - before[:, -1], before[:, 0] - after[:, -1])
    shifts = np.abs(after[:, width // 2] - before[:, width // 2])
    shifts = np.where(apart > 0.25 * shifts, shifts, 0.0)
    at = int(np.argmax(shifts))
    return float(shifts[at]), at + width


def _sessions(table: Table) -> Iterator[Finding]:
    """Dates against the exchange's calendar."""
    days = table.days
    if days is None or not _daily(table):
        return
    known = calendars.sessions(table.calendar, days[0], days[-1]).days
    if len(known) == 0:
        return
    strange = ~np.isin(days, known) & (days >= known[0]) & (days <= known[-1])
    missing = known[~np.isin(known, days)]
    if len(days) > 20 and (strange.mean() > 0.05 or (table.calendar == ALWAYS and len(missing) > 0.25 * len(known))):
        text = f"the dates do not fit {table.calendar}: {strange.sum()} are no session, {len(missing)} are missing"
        first = np.array([int(np.argmax(strange))])
        yield from finding(table, "wrong_calendar", first, "time", None, text, int(strange.sum()) + len(missing))
        return
    yield from finding(table, "not_a_session", strange, "time", None, f"is no session of {table.calendar}")
    after = np.unique(np.searchsorted(days, missing)) - 1
    text = (
        f"{table.calendar} was open after it, such as on {missing[0] if len(missing) else ''}, and the bars are missing"
    )
    yield from finding(table, "gap", after, "time", None, text, len(missing))


def _beyond(table: Table) -> Iterator[Finding]:
    """Bars after the last day that the exchange's calendar knows, whose closes are guessed."""
    until = calendars.horizon(table.calendar)
    text = f"lies after {_date(until - 1)}, where {table.calendar} ends: whether and when it closed is a guess"
    yield from finding(table, "beyond_calendar", table.ts > until, "time", None, text)


def _date(ts: int) -> str:
    return str(np.datetime64(ts, "ns").astype("M8[D]"))


def _moments(table: Table) -> Iterator[Finding]:
    """Times of day, and bars of weeks and months, against their own spacing."""
    step = spacing(table.ts)
    if step == 0 or _daily(table):
        return
    missing = np.round(np.diff(table.ts) / step).astype(np.int64) - 1
    if table.calendar != ALWAYS and step < 12 * HOUR:
        known, at, inside = calendars.placed(table.calendar, table.ts)
        if len(known.days):
            yield from _hours(table, at, inside)
            missing[(np.diff(at) != 0) | ~inside[1:] | ~inside[:-1]] = 0
            # What is missing in most sessions is the exchange's lunch.
            sizes, counts = np.unique(missing[missing > 0], return_counts=True)
            missing[np.isin(missing, sizes[counts > 0.5 * len(np.unique(at))])] = 0
    after = np.flatnonzero(missing > 0)
    text = "bars are missing after it"
    yield from finding(table, "gap", after, "time", None, text, int(missing[after].sum()))


def _hours(table: Table, at: NDArray[np.int64], inside: Mask) -> Iterator[Finding]:
    """Times of day against the exchange's trading hours; `at` is each bar's session."""
    if inside.mean() < 0.5:
        text = f"most bars do not end in the trading hours of {table.calendar}"
        yield from finding(table, "outside_hours", ~inside, "time", None, text)
        return
    skipped = np.diff(at) - 1
    after = np.flatnonzero(skipped > 0)
    text = f"whole sessions of {table.calendar} are missing after it"
    yield from finding(table, "gap", after, "time", None, text, int(skipped[after].sum()))


_RULES: Final[tuple[Callable[[Table], Iterator[Finding]], ...]] = (
    early_stamps,
    _missing_prices,
    _impossible_ohlc,
    _scale_jumps,
    _splits,
    _still_prices,
    held_twice,
    _frozen,
    _illiquid,
    _volumes,
    _swapped,
    _sessions,
    _beyond,
    _moments,
)
