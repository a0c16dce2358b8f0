"""Bars as vendors stamp them: from the opening in the exchange's offset, by full hours of UTC, in milliseconds."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from barograph.data.calendars import Sessions, Times, sessions
from barograph.data.closes import duration
from barograph.data.history import History

VENDORS: Final = ("opening", "hours", "milliseconds")
"""Yahoo's way (from the opening, anew after the break), Alpaca's (full hours of UTC), Binance's (as epochs)."""


def stamps(calendar: str, step: str, vendor: str, first: str, last: str) -> Any:
    """Return what a vendor writes beside the bars of a span: moments of their beginning, or dates."""
    known = sessions(calendar, np.datetime64(first), np.datetime64(last))
    if step in ("session", "week"):
        days = known.days
        if step == "week":
            days = np.unique((known.days - 4).astype("M8[W]").astype("M8[D]") + 4)
        return pd.DatetimeIndex(days.astype("M8[ns]"))
    length = duration(step)
    marks = _from_the_opening(known, length) if vendor == "opening" else _on_the_clock(known, length)
    if vendor == "milliseconds":
        return marks // 1_000_000
    zone = known.time_zone if vendor == "opening" else "UTC"
    return pd.DatetimeIndex(marks.astype("M8[ns]"), tz="UTC").tz_convert(zone)


def _from_the_opening(known: Sessions, length: int) -> Times:
    begins = np.stack([known.opens, known.pauses[:, 1]], axis=1).ravel()
    ends = np.stack([known.pauses[:, 0], known.closes], axis=1).ravel()
    marks = [np.arange(b, e, length, dtype=np.int64) for b, e in zip(begins, ends, strict=True)]
    return np.unique(np.concatenate(marks))


def _on_the_clock(known: Sessions, length: int) -> Times:
    found = []
    for o, c, (p, q) in zip(known.opens, known.closes, known.pauses, strict=True):
        marks = np.arange(o // length * length, c, length, dtype=np.int64)
        traded = ((marks < p) & (marks + length > o)) | ((marks < c) & (marks + length > q))
        found.append(marks[traded])
    return np.unique(np.concatenate(found))


def table(calendar: str, step: str, vendor: str, first: str, last: str, seed: int = 0) -> pd.DataFrame:
    """Return such bars with prices that wander."""
    index = stamps(calendar, step, vendor, first, last)
    drawn = np.random.default_rng(seed).standard_normal((2, len(index)))
    close = 100.0 * np.exp(np.cumsum(0.003 * drawn[0]))
    opened = close * np.exp(0.001 * drawn[1])
    wide = np.maximum(opened, close) * 1.001, np.minimum(opened, close) * 0.999
    columns = {"open": opened, "high": wide[0], "low": wide[1], "close": close}
    return pd.DataFrame({"time": index, **columns, "volume": 1000.0 + np.arange(len(index))})


def loaded(calendar: str, step: str, vendor: str, frame: pd.DataFrame) -> History:
    """Load such a table as a user would say that it is to be loaded."""
    told: dict[str, Any] = {"calendar": calendar, "bars_mark": "close" if step == "session" else "open"}
    if vendor == "milliseconds" and step not in ("session", "week"):
        told["date_format"] = "ms"
    return History.from_pandas(frame, "ABC", **told)
