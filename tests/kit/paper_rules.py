"""The rules of docs/paper.md once more: what a perfect observer of the feeds decides and tells, and when.

Written without the service's own code, over the raw answers of the feeds at the moments of the looks.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tests.fakes.market import MINUTE, Row

if TYPE_CHECKING:
    from tests.campaigns.sessions import Study


class Expected(NamedTuple):
    """What the rules say: the bars decided and when, where each came from, which decisions reduce, and what is told."""

    decided: dict[int, dict[str, tuple[float, ...]]]
    moments: dict[int, int]
    sources: dict[int, str]
    reduced: set[int]
    told: list[tuple[str, int]]


class Observer:
    """The rules of docs/paper.md once more, over the raw answers of the feeds at the moments of the looks."""

    def __init__(self, study: Study, seen: list[Row], moments: list[int]) -> None:
        self.study, self.symbols = study, study.market().symbols
        self.sources, self.closes = study.sources(), [int(ts) for ts in study.market().closes]
        self.bars = dict(seen)
        self.order = sorted(self.bars)
        self.silence = 0
        self.found = Expected({}, {}, {}, set(), [])
        self.keys: set[Any] = set()
        for now in moments:
            self._look(now)

    def _tell(self, kind: str, ts: int, *more: Any) -> None:
        if (kind, ts, *more) not in self.keys:
            self.keys.add((kind, ts, *more))
            self.found.told.append((kind, ts))

    def _look(self, now: int) -> None:
        last = self.order[-1]
        answer = self._answer(now)
        if answer is None:
            self._tell("bad_data", last)
        else:
            name, rows = answer
            doubt = self._compare([row for row in rows if row[0] <= last])
            fresh = [row for row in rows if row[0] > last]
            for n, (ts, bars) in enumerate(fresh):
                if self._whole(bars) or n + 1 < len(fresh) or now >= ts + self.study.late:
                    self._decide(ts, bars, now, name, doubt)
                else:
                    break
        self._overdue(now)

    def _answer(self, now: int) -> tuple[str, list[Row]] | None:
        """Return the first answer that is one and has the bar that is overdue, or the one that goes furthest.

        An answer is in order, of the past, with all our assets in it.
        """
        answers: list[tuple[str, list[Row]]] = []
        overdue = max(self._unheard(now - self.study.overdue), default=0)
        overlap = self.order[-self.study.overlap :][0]
        for source in self.sources:
            try:
                rows = source.answer(overlap - 1, now)
            except Exception:
                continue
            times = [ts for ts, _ in rows]
            whole = all(set(self.symbols) <= set(bars) for _, bars in rows)
            if times == sorted(set(times)) and max(times, default=0) <= now and whole:
                answers.append((source.name, [(ts, {s: bars[s] for s in self.symbols}) for ts, bars in rows]))
                if max(times, default=0) >= overdue:
                    return answers[-1]
        return max(answers, key=lambda answer: max((ts for ts, _ in answer[1]), default=0), default=None)

    def _whole(self, bars: dict[str, tuple[float, ...]]) -> bool:
        return not any(np.isnan(bar[3]) for bar in bars.values())

    def _compare(self, past: list[Row]) -> bool:
        """Tell of every past bar that is not what was decided on; return whether there is one."""
        wrong = False
        for ts, bars in past:
            for symbol, bar in bars.items():
                was = self.bars[ts][symbol] if ts in self.bars else (np.nan,) * 5
                if not np.allclose(was[:4], bar[:4], rtol=1e-6, atol=0.0, equal_nan=True):
                    self._tell("bad_data", ts, symbol, bar[:4])
                    wrong = True
        return wrong

    def _decide(self, ts: int, bars: dict[str, tuple[float, ...]], now: int, source: str, doubt: bool) -> None:
        missed = len(self._due(self.order[-1], ts - 1))
        stale = missed > 2 * self.silence
        self.silence = max(self.silence, missed)
        if now > ts + self.study.late + self.study.retry * MINUTE:
            self._tell("late_cycle", ts)
        if not self._whole(bars):
            self._tell("bad_data", ts, "absent")
        if self.study.reducing and (doubt or stale):
            self.found.reduced.add(ts)
        self.bars[ts] = bars
        self.order.append(ts)
        self.found.decided[ts], self.found.moments[ts], self.found.sources[ts] = bars, now, source

    def _due(self, after: int, until: int) -> list[int]:
        return self.closes[bisect_right(self.closes, after) : bisect_right(self.closes, until)]

    def _unheard(self, until: int) -> list[int]:
        """Return the closes without a bar, once they are more than twice what the source ever left out in a row."""
        due = self._due(self.order[-1], until)
        return due if len(due) > 2 * self.silence else []

    def _overdue(self, now: int) -> None:
        overdue = self._unheard(now - self.study.late)
        if overdue:
            self._tell("stale_data", overdue[0])
