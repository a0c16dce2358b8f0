"""Where a deployment's bars come from: a chain of feeds, the best one first, and what is wrong with what they bring."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from barograph.config.build import feed_or_history, load_history
from barograph.config.secrets import redacted
from barograph.data.actions import ACTIONS, filled
from barograph.data.calendars import DAY, span_of
from barograph.data.gate import gated
from barograph.data.history import FIELDS, History
from barograph.data.stamped import beyond
from barograph.epoch import FIRST
from barograph.errors import BarographError, DataError, FeedError, IncompleteError
from barograph.paper.ports import Doors, Rest
from barograph.paper.schedule import SECOND, said
from barograph.types import Feed

if TYPE_CHECKING:
    from barograph.config.parts import Part
    from barograph.config.schema import Config

__all__ = ["Chain", "Fetched", "between", "feeds_of", "replaying", "seed"]

Now = Callable[[], int]

# Longer than any holiday.
_EARLIER: Final = 15 * DAY


class Fetched(NamedTuple):
    """What a look brought: bars or None, and which feeds failed before, with what they said.

    `missing` says by symbol why no feed has an answer for an asset; `beside` who has none, by (feed, symbol), for one
    that another feed has. `asked` are the feeds that were asked.
    """

    history: History | None
    failures: tuple[tuple[str, str], ...]
    missing: Mapping[str, str] = {}
    beside: Mapping[tuple[str, str], str] = {}
    asked: tuple[str, ...] = ()


class _Answer(NamedTuple):
    """What one feed answered, its columns in our order, and which assets it has no answer for."""

    feed: str
    history: History | None
    missing: Mapping[str, str]


class Chain:
    """Feeds in order of preference: each look begins with the best, so a feed that recovers is used again at once.

    One whose host has asked to be left alone for so long is left alone, by all feeds of that host and as long as the
    `doors` remember it: in a store also by the process that comes next.
    """

    def __init__(self, feeds: Sequence[Feed], symbols: Sequence[str] = (), doors: Doors | None = None) -> None:
        self.feeds, self.symbols, self.doors = list(feeds), tuple(symbols), doors
        self.ended: frozenset[str] = frozenset()

    def fetch(self, after: int, until: int, overdue: int = 0) -> Fetched:
        """Ask one feed after the other until one answers; raises `DataError` when none does.

        One that answers without the `overdue` bar is passed over for one that has it; an asset that it has no answer
        for is taken from the next one that has. A feed is anybody's code: what it does wrong is its own failure,
        whatever it raises. Of assets that have `ended` nothing is wanted.
        """
        failures: list[tuple[str, str]] = []
        answers: list[_Answer] = []
        for feed in self.feeds:
            answer = self._asked(feed, after, until, failures)
            if answer is None:
                continue
            answers.append(answer)
            late = _newest(answer.history) < overdue
            if late and len(self.feeds) > 1:
                failures.append((feed.name, "answers without the bar that is overdue"))
            elif not _lacking(answers, overdue):
                break
        if not answers:
            raise DataError("no feed answers: " + "; ".join(f"{name}: {said}" for name, said in failures))
        return _together(answers, overdue, failures)

    def _asked(self, feed: Feed, after: int, until: int, failures: list[tuple[str, str]]) -> _Answer | None:
        """Return a feed's answer, or note what it did wrong."""
        if shut := self._shut(feed, until):
            failures.append((feed.name, shut))
            return None
        try:
            return self._ours(feed, *_whole(feed, after, until), until)
        except BarographError as error:
            failures.append((feed.name, str(redacted(str(error)))))
            self._leave_alone(feed, error, until)
        except Exception as error:  # What is no error of ours may hold a secret: its name and place are enough.
            failures.append((feed.name, f"raised {type(error).__name__} ({_line(error)})"))
        return None

    def _shut(self, feed: Feed, now: int) -> str:
        """Return why a feed is not asked now, or nothing."""
        rest = None if self.doors is None else self.doors.resting(_door(feed), now)
        return "" if rest is None else f"asked to be left alone until {said(rest.until)}: {rest.said}"

    def _leave_alone(self, feed: Feed, error: BarographError, now: int) -> None:
        wait = error.wait if isinstance(error, FeedError) else 0.0
        if self.doors is not None and wait > 0.0:
            self.doors.rest(Rest(_door(feed), now, now + int(wait * SECOND), str(redacted(str(error)))))

    def close(self) -> None:
        """End what feeds hold open; one that holds a connection has a `close` beside its `fetch`."""
        for feed in self.feeds:
            end = getattr(feed.fetch, "close", None)
            if end is not None:
                end()

    def _ours(self, feed: Feed, found: History | None, missing: Mapping[str, str], until: int) -> _Answer:
        """Put the columns in our order, empty where there is none; refuse bars of the future."""
        lacking = {symbol: str(redacted(why)) for symbol, why in missing.items() if symbol not in self.ended}
        if found is None:
            return _Answer(feed.name, None, lacking)
        if len(found) and int(found.ts[-1]) > until:
            raise DataError(
                f"{feed.name}: has a bar that closes {found.when(-1)}, which is not over yet; check the clock"
            )
        absent = [symbol for symbol in self.symbols if symbol not in found.symbols]
        if len(absent) == len(self.symbols) > 0:
            raise DataError(f"{feed.name}: has no {', '.join(absent)}; it has {', '.join(found.symbols)}")
        told = f"has no such asset; it has {', '.join(found.symbols)}"
        lacking |= {symbol: told for symbol in absent if symbol not in {*lacking, *self.ended}}
        known = found if not self.symbols or found.symbols == self.symbols else _columns(found, self.symbols)
        return _Answer(feed.name, known, lacking)


def _whole(feed: Feed, after: int, until: int) -> tuple[History | None, Mapping[str, str]]:
    try:
        return feed.fetch(after, until), {}
    except IncompleteError as error:
        return error.history, error.missing


def _lacking(answers: Sequence[_Answer], overdue: int) -> set[str]:
    """Return the assets that no feed had an answer for so far."""
    have = [answer for answer in answers if _newest(answer.history) >= overdue] or answers
    return set.intersection(*(set(answer.missing) for answer in have))


def _together(answers: Sequence[_Answer], overdue: int, failures: list[tuple[str, str]]) -> Fetched:
    """Make one answer of several: the first that has the overdue bar, or that went furthest, and what others add."""
    best = next((one for one in answers if _newest(one.history) >= overdue), None)
    if best is None:
        # None has it: the best one that answered is as good as any, unless another went further.
        best = max(answers, key=lambda answer: _newest(answer.history))
    history, missing, beside = best.history, dict(best.missing), dict[tuple[str, str], str]()
    for other in answers:
        for symbol in [symbol for symbol in missing if symbol not in other.missing]:
            beside[best.feed, symbol] = missing.pop(symbol)
            history = _filled_from(history, other.history, symbol)
    for symbol, why in missing.items():
        others = [_told(one.feed, one.missing[symbol]) for one in answers if one is not best and symbol in one.missing]
        missing[symbol] = "; ".join([_told(best.feed, why), *others])
    return Fetched(history, tuple(failures), missing, beside, tuple(answer.feed for answer in answers))


def _told(feed: str, why: str) -> str:
    return why if why.startswith(f"{feed}:") else f"{feed}: {why}"


def _filled_from(history: History | None, other: History | None, symbol: str) -> History | None:
    """Put one asset's bars of another answer into the rows of this one."""
    if history is None or other is None:
        return other if history is None else history
    a, b = history.column(symbol), other.column(symbol)
    _, mine, theirs = np.intersect1d(history.ts, other.ts, return_indices=True)
    columns: dict[str, Any] = {name: getattr(history, name).copy() for name in FIELDS}
    for name in FIELDS:
        columns[name][mine, a] = getattr(other, name)[theirs, b]
    for name in ACTIONS:
        if getattr(history, name) is not None or getattr(other, name) is not None:
            columns[name] = filled(history.action_columns, name, history.close.shape).copy()
            columns[name][mine, a] = filled(other.action_columns, name, other.close.shape)[theirs, b]
    return replace(history, source=f"{history.source}, {symbol} {other.source}", **columns)


def _door(feed: Feed) -> str:
    return f"from:{feed.host or feed.name}"


def _newest(history: History | None) -> int:
    return 0 if history is None else int(history.ts[-1])


def _line(error: Exception) -> str:
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{Path(last.filename).name}, line {last.lineno}"


def _columns(history: History, symbols: Sequence[str]) -> History:
    """Return the columns of these assets in this order; one that the history lacks has no bar."""
    place = [history.symbols.index(symbol) if symbol in history.symbols else -1 for symbol in symbols]
    empty = [n for n, c in enumerate(place) if c < 0]

    def picked(name: str) -> Any:
        values = getattr(history, name)
        if values is None:
            return None
        chosen = values[:, place].copy()
        chosen[:, empty] = ACTIONS[name].neutral if name in ACTIONS else np.nan
        return chosen

    columns: dict[str, Any] = {name: picked(name) for name in (*FIELDS, *ACTIONS)}
    return replace(history, symbols=tuple(symbols), traded=tuple(history.traded[c] for c in place), **columns)


def feeds_of(config: Config, folder: Path, now: Now | None = None) -> list[Feed]:
    """Return the feeds of a config; without [paper] feeds, its [data] and what is observed are asked at every look.

    `now` is the clock of whoever asks, ns UTC: a loader whose bars go on after it fails.
    """
    gate = config.data.gate
    if config.paper.feeds:
        return [_asked(part, f"paper.feeds.{n}", folder, gate, now) for n, part in enumerate(config.paper.feeds)]
    data = _asked(config.data, "data", folder, gate, now)
    observed = [_asked(part, f"observed.{n}", folder, gate, now) for n, part in enumerate(config.observed)]
    end = span_of(None, config.run.end)[1]

    def fetch(after: int, until: int) -> History | None:
        try:
            found = _beside(data, observed, after, until)
        except IncompleteError as error:
            known = None if error.history is None else between(error.history, after, min(until, end))
            raise IncompleteError(error.missing, known) from error
        return None if found is None else between(found, after, min(until, end))

    return [data._replace(fetch=fetch) if observed or config.run.end is not None else data]


def _asked(part: Part, where: str, folder: Path, gate: str, now: Now | None) -> Feed:
    """Return a part as a feed: one that is a feed is asked, a loader loads again at every look."""
    found = feed_or_history(part, where, folder, growing=True, gate=gate)
    if isinstance(found, Feed):
        return found

    def load(after: int, until: int) -> History | None:
        again = feed_or_history(part, where, folder, growing=True, gate=gate)
        assert isinstance(again, History)
        _refuse_beyond(again, now)
        return between(again, after, until)

    return Feed(where, load)


def _refuse_beyond(history: History, now: Now | None) -> None:
    """Refuse a history that goes on after the clock of whoever asks: times are read wrongly, or the clock is wrong."""
    if now is not None and (told := beyond(history.source, history.ts, now())):
        raise DataError(told)


def _beside(data: Feed, observed: Sequence[Feed], after: int, until: int) -> History | None:
    """Return bars with what is observed beside them, from some days before: a row shows what closed since the last."""
    history, missing = _whole(data, after - _EARLIER, until)
    if history is None:
        return None
    for feed in observed:
        seen = feed.fetch(after - _EARLIER, until)
        if seen is None:
            raise FeedError(f"{feed.name}: has no bar in the span of {data.name}; wanted one to look at")
        history = history.join(seen.observe(*seen.symbols), rows="mine")
    if missing:
        raise IncompleteError(missing, history)
    return history


def replaying(history: History) -> Feed:
    """Return a feed that shows a history up to the moment it is asked at, and not a bar more."""
    return Feed("replay", lambda after, until: between(history, after, until))


def between(history: History, after: int, until: int) -> History | None:
    """Return the bars that closed in (after, until], or None."""
    first, last = (int(np.searchsorted(history.ts, t, side="right")) for t in (after, until))
    return history.slice(first, last) if last > first else None


def seed(config: Config, folder: Path, chain: Chain, until: int, now: Now | None = None, raw: bool = False) -> History:
    """Return all bars up to now, for a deployment that begins: those of [data], then what the feeds have since.

    They are as the gate shows them, or `raw`.
    """
    found = load_history(config, folder, growing=True, raw=True)
    history = between(found, FIRST, until)
    if history is None:
        raise DataError(f"{found.source}: has no bar before now; the first closes {found.when(0)}")
    _refuse_beyond(found, now)
    if config.paper.feeds:
        chain.symbols = history.symbols
        since = chain.fetch(int(history.ts[-1]), until)
        if since.missing:
            # One that goes on does without; one that begins, or is compared, wants them all.
            raise IncompleteError(since.missing)
        later = since.history
        history = history if later is None else history.then(replace(later, traded=history.traded))
    # Of the last bars of [data] the first ones of the feeds may speak.
    return history if raw or config.data.gate == "off" else gated(history)
