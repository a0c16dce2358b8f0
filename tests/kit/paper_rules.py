"""The rules of docs/paper.md once more: what a perfect observer of the feeds decides and tells, and when.

Written without the service's own code, over the raw answers of the feeds at the moments of the looks.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from tests.fakes.market import DAY, MINUTE, Row

if TYPE_CHECKING:
    from tests.campaigns.sessions import Study


class Expected(NamedTuple):
    """What the rules say: the bars decided and when, where each came from, which decisions reduce, and what is told.

    `revised` are past bars (symbol, close) that a look saw changed: all that one look sees of an asset is one message.
    """

    decided: dict[int, dict[str, tuple[float, ...]]]
    moments: dict[int, int]
    sources: dict[int, str]
    reduced: set[int]
    told: list[tuple[str, int]]
    revised: set[tuple[str, int]]


class Observer:
    """The rules of docs/paper.md once more, over the raw answers of the feeds at the moments of the looks."""

    def __init__(self, study: Study, seen: list[Row], moments: list[int]) -> None:
        self.study, self.symbols = study, study.market().symbols
        self.sources, self.closes = study.sources(), [int(ts) for ts in study.market().closes]
        self.bars = dict(seen)
        self.order = sorted(self.bars)
        self.silence = 0
        self.found = Expected({}, {}, {}, set(), [], set())
        self.keys: set[Any] = set()
        self.lasting: dict[str, dict[str, int]] = {}
        self.missing: set[str] = set()
        for now in moments:
            self._look(now)

    def _tell(self, kind: str, ts: int, *more: Any) -> None:
        if (kind, ts, *more) not in self.keys:
            self.keys.add((kind, ts, *more))
            self.found.told.append((kind, ts))

    # An incident is told when it begins (or has lasted for a while), once a day while it lasts, and when it is over.

    def _met(self, subject: str, first: int, last: int, now: int, times: int = 0, after: int = 0) -> None:
        known = self.lasting.get(subject)
        if known is None:
            begun = {"first": first, "last": last, "times": max(times, 1), "told": now, "messages": int(not after)}
            self.lasting[subject] = begun | {"counted": max(times, 1)}
            if not after:
                self._tell_once(subject, first, first, "begun")
            return
        known["times"] = times or known["times"] + int(last != known["last"])
        known["last"] = last
        rarely = 2 ** min(known["messages"] - 1, 5) if subject.startswith(("bad_data:absent", "bad_data:door")) else 1
        if now - known["told"] >= (DAY * rarely if known["messages"] else after):
            number = 1 + known["messages"]
            known |= {"told": now, "messages": number, "counted": known["times"]}
            self._tell_once(subject, known["first"], now, "begun" if number == 1 else number)

    def _over(self, subject: str, now: int, always: bool = True) -> None:
        known = self.lasting.pop(subject, None)
        if known is not None and known["messages"] and (always or known["times"] != known["counted"]):
            self._tell_once(subject, known["first"], now, "over")

    def _tell_once(self, subject: str, first: int, ts: int, what: Any) -> None:
        key = (subject, first, what)
        if key not in self.keys:
            self.keys.add(key)
            self.found.told.append((subject.partition(":")[0], ts))

    def _look(self, now: int) -> None:
        last = self.order[-1]
        answer = self._answer(now)
        if answer is None:
            if "stale_data" not in self.lasting:
                self._met("bad_data:feeds", last, now, now)
        else:
            name, rows = answer
            self._over("bad_data:feeds", now)
            self._doors(now)
            doubt = self._compare([row for row in rows if row[0] <= last])
            fresh = [row for row in rows if row[0] > last]
            for n, (ts, bars) in enumerate(fresh):
                absent = [symbol for symbol, bar in bars.items() if np.isnan(bar[3])]
                lost = all(s in self.missing and f"bad_data:absent:{s}" in self.lasting for s in absent)
                if lost or n + 1 < len(fresh) or now >= ts + self.study.late:
                    self._decide(ts, bars, now, name, doubt)
                else:
                    break
        self._overdue(now)

    def _answer(self, now: int) -> tuple[str, list[Row]] | None:
        """Return the first answer that is one and has the bar that is overdue, or the one that goes furthest.

        An answer is in order, of the past, with some of our assets in it; others are taken from the next one.
        """
        answers: list[tuple[str, list[Row], set[str]]] = []
        overdue = max(self._due(self.order[-1], now - self.study.overdue), default=0)
        overlap = self.order[-self.study.overlap :][0]
        for source in self.sources:
            try:
                rows = source.answer(overlap - 1, now)
            except Exception:
                continue
            times = [ts for ts, _ in rows]
            has = set(rows[0][1]) & set(self.symbols) if rows else set(self.symbols)
            if times != sorted(set(times)) or max(times, default=0) > now or not has:
                continue
            known = [(ts, {s: bars.get(s, (np.nan,) * 5) for s in self.symbols}) for ts, bars in rows]
            answers.append((source.name, known, set(self.symbols) - has))
            ahead = [one for one in answers if max((ts for ts, _ in one[1]), default=0) >= overdue]
            late = max(times, default=0) < overdue
            if not (late and len(self.sources) > 1) and not set.intersection(*(one[2] for one in ahead or answers)):
                break
        self.asked = {name for name, _, _ in answers}
        if not answers:
            return None
        return self._together(answers, overdue)

    def _together(self, answers: list[tuple[str, list[Row], set[str]]], overdue: int) -> tuple[str, list[Row]]:
        """Return the best answer, and in it what others have of assets that it has not."""
        newest = {name: max((ts for ts, _ in rows), default=0) for name, rows, _ in answers}
        ahead = [one for one in answers if newest[one[0]] >= overdue]
        name, rows, lacking = ahead[0] if ahead else max(answers, key=lambda one: newest[one[0]])
        best, self.beside, self.missing = name, set[tuple[str, str]](), set(lacking)
        for other, theirs, without in answers:
            for symbol in [s for s in self.symbols if s in self.missing and s not in without]:
                self.missing.discard(symbol)
                self.beside.add((best, symbol))
                if theirs:
                    bars = dict(theirs)
                    rows = [
                        (ts, {**mine, symbol: bars[ts][symbol] if ts in bars else mine[symbol]}) for ts, mine in rows
                    ]
                    name = f"{name}, {symbol} {other}"
        return name, rows

    def _doors(self, now: int) -> None:
        """Tell of a feed that has not for long had an answer for an asset which another one has."""
        for feed, symbol in sorted(self.beside):
            self._met(f"bad_data:door:{feed}:{symbol}", now, now, now, after=self.study.patience * MINUTE)
        for subject in sorted(self.lasting):
            if subject.startswith("bad_data:door:"):
                _, _, feed, symbol = subject.split(":")
                if feed in self.asked and (feed, symbol) not in self.beside:
                    self._over(subject, now)

    def _compare(self, past: list[Row]) -> bool:
        """Tell of every past bar that is not what was decided on; return whether there is one."""
        wrong = False
        for ts, bars in past:
            for symbol, bar in bars.items():
                was = self.bars[ts][symbol] if ts in self.bars else (np.nan,) * 5
                if symbol in self.missing:
                    continue
                if not np.allclose(was[:4], bar[:4], rtol=1e-6, atol=0.0, equal_nan=True):
                    self.found.revised.add((symbol, ts))
                    wrong = True
        return wrong

    def _decide(self, ts: int, bars: dict[str, tuple[float, ...]], now: int, source: str, doubt: bool) -> None:
        missed = len(self._due(self.order[-1], ts - 1))
        stale = missed > self._longest()
        self.silence = max(self.silence, missed)
        if now > ts + self.study.late + self.study.retry * MINUTE:
            self._met("late_cycle", ts, ts, now)
        else:
            self._over("late_cycle", now, always=False)
        for symbol, bar in bars.items():
            if np.isnan(bar[3]):
                self._met(f"bad_data:absent:{symbol}", ts, ts, now)
            else:
                self._over(f"bad_data:absent:{symbol}", now)
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
        return due if len(due) > self._longest() else []

    def _longest(self) -> int:
        return max(2 * self.silence, 0 if self.study.every == "session" else 1)

    def _overdue(self, now: int) -> None:
        overdue = self._unheard(now - self.study.late)
        if overdue:
            self.lasting.pop("bad_data:feeds", None)
            self._met("stale_data", overdue[0], overdue[-1], now, len(overdue))
        else:
            self._over("stale_data", now)
