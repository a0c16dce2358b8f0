"""What becomes of a doubtful bar: it is held until the asset's next bar, which is nearer to it or to the one before."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, Literal, NamedTuple

import numpy as np

from barograph.data.gate.moves import LONG, Doubt, Own, apart, first_doubt

__all__ = ["Verdict", "verdicts"]

_BLOCK: Final = 2048


class Verdict(NamedTuple):
    """What is known of a doubtful bar, the `row`-th of its asset, and why it is doubtful.

    One that is "proved" is true, and known to be so from the asset's next bar on, or since somebody vouched for it; one
    that is "disproved" never was; one that is "held" waits; one that was held and is "mended" nobody doubts any more.
    """

    row: int
    state: Literal["held", "proved", "disproved", "mended"]
    doubt: Doubt | None


def verdicts(bars: Own, known: int = 0, sure: Any = False, vouched: Collection[int] = ()) -> list[Verdict]:
    """Return what becomes of every doubtful bar of an asset, in order; the first `known` bars are true.

    Where `sure`, (n,) or for all, nobody doubts; doubtful bars that are `vouched` for are proved.
    What took effect before a bar that never was takes effect before the next one: `bars` is left as it is.

    >>> close = np.concatenate([np.full(40, 100.0) + np.arange(40) % 2, [1.0, 100.0, 50.0, 51.0, 510.0]])
    >>> none, no = np.full(close.size, np.nan), np.zeros(close.size)
    >>> own = Own(close, close, close, close, none, no, no + 1.0)
    >>> [(one.row, one.state) for one in verdicts(own)]
    [(40, 'disproved'), (42, 'proved'), (44, 'held')]
    """
    bars, there = bars.at(slice(None)), np.ones(len(bars.close), dtype=bool)
    bars = bars._replace(dividends=bars.dividends.copy(), splits=bars.splits.copy())
    sure = np.broadcast_to(sure, len(there))
    found, t = list[Verdict](), known
    while t < len(bars.close):
        # A bar is judged by the true ones before it alone.
        before = np.flatnonzero(there[:t])[-LONG - 1 :]
        rows = np.concatenate([before, np.arange(t, min(len(bars.close), t + _BLOCK))])
        doubt = first_doubt(bars.at(rows), len(before), sure[rows])
        if doubt is None:
            t = int(rows[-1]) + 1
            continue
        t = int(rows[doubt.row])
        doubt = doubt._replace(row=t)
        verdict = Verdict(t, "proved", doubt) if t in vouched else _judged(bars, doubt)
        found.append(verdict)
        there[t] = verdict.state == "proved"
        if verdict.state == "disproved" and t + 1 < len(bars.close):
            _pass_on(bars, t)
        t += 1
    return found


def _judged(bars: Own, doubt: Doubt) -> Verdict:
    """Let the next bar speak; what can be no bar at all is not waited for."""
    following = doubt.row + 1
    if doubt.bound == 0.0:
        return Verdict(doubt.row, "disproved", doubt)
    if following == len(bars.close):
        return Verdict(doubt.row, "held", doubt)
    if doubt.field == "volume":
        now, split = float(bars.volume[following]), 1.0
    else:
        split = float(bars.splits[following])
        now = (float(bars.close[following]) + float(bars.dividends[following])) * split
    nearer = apart(now, doubt.found) < apart(now, doubt.before)
    return Verdict(doubt.row, "proved" if nearer else "disproved", doubt)


def _pass_on(bars: Own, t: int) -> None:
    """Let what took effect before bar `t` take effect before the next one, in shares as they are then."""
    bars.dividends[t + 1] += bars.dividends[t] / bars.splits[t + 1]
    bars.splits[t + 1] *= bars.splits[t]
