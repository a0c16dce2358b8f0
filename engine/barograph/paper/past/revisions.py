"""Past bars that no action explains: what is told of them, once each."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any

import numpy as np

from barograph.config.paper import KINDS
from barograph.paper.past.comparing import Revision
from barograph.paper.ports import Alert
from barograph.paper.schedule import said

__all__ = ["revisions_told"]


def revisions_told(revisions: Sequence[Revision], source: str, before: Iterable[Mapping[str, Any]]) -> list[Alert]:
    """Return an alert for every asset of whose past something changed that was not told yet.

    `before` are the alerts so far, as the store has them.
    """
    known = {mark for row in before if ":revised:" in row["key"] for mark in json.loads(row["facts"]).get("bars", [])}
    fresh = [(one, mark) for one, mark in _marked(revisions) if mark not in known]
    order = {symbol: n for n, symbol in enumerate(dict.fromkeys(one.symbol for one, _ in fresh))}
    fresh.sort(key=lambda pair: order[pair[0].symbol])
    return [_alert(symbol, list(found), source) for symbol, found in groupby(fresh, key=lambda pair: pair[0].symbol)]


def _marked(revisions: Sequence[Revision]) -> list[tuple[Revision, str]]:
    """Return each revision with a mark of all that is said of its bar."""
    bars: dict[tuple[int, str], list[Revision]] = {}
    for one in revisions:
        bars.setdefault((one.ts, one.symbol), []).append(one)
    marks = {key: hashlib.sha256(f"{key[0]}:{_told(found)}".encode()).hexdigest()[:8] for key, found in bars.items()}
    return [(one, marks[one.ts, one.symbol]) for one in revisions]


def _alert(symbol: str, found: list[tuple[Revision, str]], source: str) -> Alert:
    revisions, marks = [one for one, _ in found], list(dict.fromkeys(mark for _, mark in found))
    closes = sorted({one.ts for one in revisions})
    if len(closes) == 1:
        text = f"{symbol} of {said(closes[0])} at {source}: {_told(revisions)}"
    else:
        most = max(revisions, key=_size)
        text = (
            f"{symbol} at {source}: {len(closes)} past bars changed by no common factor, {said(closes[0])} to "
            f"{said(closes[-1])}; most that of {said(most.ts)}: {_told([most])}"
        )
    key = f"bad_data:revised:{closes[-1]}:{symbol}:{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    facts = {"symbol": symbol, "source": source, "text": text, "bars": marks}
    return Alert(key, "bad_data", KINDS["bad_data"], closes[-1], facts)


def _size(one: Revision) -> float:
    """Return how large a change is; a bar that came or went is the largest."""
    change = abs(one.now - one.before) / max(abs(one.before), 1e-300)
    return float("inf") if np.isnan(change) else change


def _told(found: Sequence[Revision]) -> str:
    return ", ".join(f"{one.column} was {_number(one.before)}, is now {_number(one.now)}" for one in found)


def _number(value: float) -> str:
    return "nothing" if np.isnan(value) else f"{value:.10g}"
