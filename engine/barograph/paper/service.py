"""The service: a look at the feeds, and one transaction for every bar they bring. Starting is recovering.

Whatever happens (a kill, a full disk, a database that is gone, a look that comes twice), what is in the store is whole
up to some bar, and the next look goes on from there. Nothing in memory is trusted after an error: it is read again.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from barograph.config.build import build
from barograph.config.modules import load
from barograph.config.paper import seconds
from barograph.config.provenance import code_hash
from barograph.data.calendars import DAY, Times, horizon
from barograph.data.history import History
from barograph.errors import BarographError, ConfigError, DataError, LeaseError, RefusalError, ShortageError, short_of
from barograph.jit.arithmetic import ARITHMETIC
from barograph.paper.alerts.incidents import Incidents
from barograph.paper.deployment import Deployment, described, sealed
from barograph.paper.ends import emptied, with_ends
from barograph.paper.feeds import Chain, Fetched, between, feeds_of, seed
from barograph.paper.holding.behind import FATES, NOTHING, Behind, confirmations, obeyed_at
from barograph.paper.journal import GENESIS, begun_with
from barograph.paper.past.comparing import DEEP, Rewritten, as_shown, as_told_now, compared_from, rewritten
from barograph.paper.past.corrections import carried, correcting, in_force
from barograph.paper.past.plausible import odd_dividends
from barograph.paper.past.revisions import revisions_told
from barograph.paper.ports import Clock
from barograph.paper.schedule import SECOND, late, longest_closure, next_look, said, silence, stale, timetable
from barograph.paper.status import last_word, manners
from barograph.paper.store import Deployed, Lease, Note, Store
from barograph.paper.testnet.mirror import brought
from barograph.paper.verify import misfit

if TYPE_CHECKING:
    from barograph.config.schema import Config
    from barograph.data.closes import Timetable
    from barograph.data.gate import Held

__all__ = ["Plan", "Service", "deployable"]

# How long before its end one is told of it, every day.
_MONTH: Final = 31 * DAY

log: Final = logging.getLogger("barograph.paper")


class Plan(NamedTuple):
    """What is to be deployed: a config, the folder its paths begin at, a name, and how the first bars are had.

    `seed(until)` returns all bars so far and the row of the first one that is decided; `kind` is paper or replay.
    Without `fresh` a deployment that is not there is refused, not begun.
    """

    config: Config
    folder: Path
    name: str
    kind: str
    seed: Callable[[int], tuple[History, int]]
    fresh: bool = True


class Service:
    """One deployment at work; `look` does all that is due, however often and whenever it is called."""

    def __init__(self, store: Store, plan: Plan, chain: Chain, clock: Clock) -> None:
        self.store, self.plan, self.chain, self.clock = store, plan, chain, clock
        self.paper = plan.config.paper
        self.machine = build(plan.config, plan.folder)
        self.lease: Lease | None = None
        self.deployment: Deployment | None = None
        self.due: Timetable | None = None
        self.silence = 0
        self.doubts: list[str] = []
        self.past = Rewritten()
        self.found = False
        self.incidents = Incidents(store, plan.name, clock, quiet=plan.kind == "replay")
        self.judging, self.beyond = threading.Lock(), 0
        self.gate, self.behind = Behind(plan.config.data.gate == "on"), NOTHING
        self.missing: Mapping[str, str] = {}
        self.said, self.source = "", ""
        chain.doors = store if plan.kind == "paper" else None

    # Starting, which is recovering.

    def start(self, patience: float = 30.0) -> None:
        """Take the lease and read the state back; raises `LeaseError` or `RefusalError` when it must not trade."""
        self.lease = self.store.acquire(self.plan.name, patience)
        try:
            self._recover()
        except BarographError:
            self.store.release(self.lease)
            raise

    def stop(self) -> None:
        """Give the lease back."""
        if self.lease is not None:
            self.store.release(self.lease)
            self.lease = None

    def _recover(self) -> None:
        """Read the last state and go on from it; there is none before the first look of a deployment."""
        name = self.plan.name
        self.incidents.read_again()
        deployed = self.store.find(name)
        if deployed is None:
            self._refuse_nothing()
            return
        self.found = True
        self._refuse_another(deployed)
        self._mind_code(deployed)
        self._refuse_broken()
        entry, snapshot = self.store.snapshot(name)
        if entry.content["state"] != sealed(snapshot):
            raise RefusalError(f"deployment {name}: its state is not the one its journal names; restore a backup")
        try:
            history = in_force(self.store.bars(name), self.store.entries(name))
            modules = partial(load, folder=self.plan.folder)
            self.deployment = Deployment.resume(deployed, self.paper, self.machine, history, entry, snapshot, modules)
        except DataError as error:
            raise RefusalError(f"deployment {name}: {error}; restore a backup, or deploy under another name") from error
        self.chain.symbols = deployed.symbols
        self._learn_closes(history)
        self._due()

    def _learn_closes(self, history: History) -> None:
        """Learn from the bars so far when the next ones close, and how long their source was silent."""
        if self.plan.kind == "paper":
            self._close(timetable(self.paper, history), history)

    def _close(self, due: Timetable, seen: History) -> None:
        self._note_once("manners", manners(self.paper))
        self._note_once("closes", f"bars close {due!r}")
        self.due, self.silence = due, silence(due, seen.ts[seen.deciding])

    def _note_once(self, kind: str, text: str) -> None:
        """Note what is new; it is no news at the next start."""
        if text != last_word(self.store, self.plan.name, kind):
            self.store.note(self.plan.name, Note(self.clock.now(), kind, text))

    def _refuse_nothing(self) -> None:
        """Begin anew only where that was asked for: a state that is missing is not a reason to start over."""
        if self.found or not self.plan.fresh:
            raise RefusalError(
                f"no deployment {self.plan.name!r} in {self.store!r}: its state is missing; restore a backup, "
                "name the right --store, or begin it with --new"
            )

    def _refuse_another(self, deployed: Deployed) -> None:
        # What an earlier program could not say is as this one has it by default.
        mine, theirs = self.plan.config.redacted(), type(self.plan.config).model_validate(deployed.config).redacted()
        other = sorted(key for key in {*mine, *theirs} if mine.get(key) != theirs.get(key))
        if deployed.kind != self.plan.kind:
            raise RefusalError(f"deployment {deployed.name} is a {deployed.kind} one; give this one another --name")
        if other:
            raise RefusalError(
                f"deployment {deployed.name} was begun with another config: [{'], ['.join(other)}] differ; "
                "put them back, or deploy under another --name"
            )

    def _mind_code(self, deployed: Deployed) -> None:
        """Note that the program, or a module of the user's, is not the one that began it: once for each."""
        now = code_hash(self.plan.config, self.plan.folder)
        if now == deployed.code_hash:
            return
        text = f"the code is {now[:8]}, the deployment was begun with {deployed.code_hash[:8]}: parity will say so"
        begun = begun_with(self.store.entries(deployed.name))
        if begun not in (ARITHMETIC, None):
            text = f"begun with arithmetic {begun}, it goes on with {ARITHMETIC}: parity can compare nothing of it"
        if all(note.text != text for note in self.store.notes(deployed.name, 50)):
            self.store.note(deployed.name, Note(self.clock.now(), "code", text))
            log.warning("%s: %s", deployed.name, text)

    def _refuse_broken(self) -> None:
        """Follow the chain of hashes from its beginning: a changed past is no ground to go on from."""
        head = GENESIS
        for number, entry in enumerate(self.store.entries(self.plan.name)):
            if found := misfit(entry, number, head):
                raise RefusalError(f"deployment {self.plan.name}: {found}; restore a backup")
            head = entry.hash

    # Looking.

    def look(self) -> int:
        """Do all that is due now; return how many bars were decided.

        What a feed cannot tell is an alert and another look later. Raises `StoreError` when nothing can be written,
        `ShortageError` when the machine has run out of something, `LeaseError` when another process has taken over;
        all leave the store whole.
        """
        now = self.clock.now()
        try:
            if self.deployment is None:
                self._recover()
            return self._begin(now) if self.deployment is None else self._catch_up(now)
        except BaseException as error:
            # Whether the last transaction was written, or how far a part came, is not known: memory is no witness.
            self.deployment = None
            if not isinstance(error, BarographError) and (short := short_of(error)):
                raise ShortageError(f"this machine is short of {short}: {error}") from error
            raise

    @property
    def last(self) -> int:
        """The close that was decided last, ns UTC; 0 before the first."""
        # Other threads ask while a look may take it away: it is read once.
        deployment = self.deployment
        return 0 if deployment is None else int(deployment.live.history.ts[-1])

    @property
    def equity(self) -> float:
        """The equity at the close that was decided last."""
        deployment = self.deployment
        return float("nan") if deployment is None else deployment.live.equity

    def next(self) -> int:
        """Return when the next look is due, ns UTC."""
        if self.due is None:
            return self.clock.now() + seconds(self.paper.retry) * SECOND
        return next_look(self.paper, self.due, self.last, self.clock.now())

    def awaited(self) -> str:
        """Say which bar is waited for, and of which assets where others have theirs; nothing where none is due."""
        deployment, due = self.deployment, self.due
        if deployment is None or due is None:
            return ""
        closes = np.setdiff1d(due.between(self.last, self.clock.now()), self.behind.closes())
        rows = self.behind.rows
        row = None if rows is None else between(rows, self.last, int(rows.ts[-1]))
        absent = [] if row is None else self._absent(row.head(1))
        if absent and row is not None:
            return f"{', '.join(absent)} of {said(int(row.ts[0]))}"
        return f"the bar of {said(int(closes[0]))}" if len(closes) else ""

    def sees_ahead(self, now: int) -> bool:
        """Tell whether the next look that a close calls for is known, and no further than its markets ever close."""
        if self.due is None:
            return False
        following = self.due.next(max(self.last, now - seconds(self.paper.delay) * SECOND))
        year = int(str(np.datetime64(now, "ns"))[:4])
        return following is not None and following - now <= longest_closure(self.due, year)

    def _begin(self, now: int) -> int:
        """Deploy: the bars so far warm it up, the newest one is decided."""
        history, start = self.plan.seed(now)
        due = timetable(self.paper, history) if self.plan.kind == "paper" else None
        deployed = described(self.plan.name, self.plan.kind, self.plan.config, self.plan.folder, history, start)
        made, batches = Deployment.begin(deployed, self.paper, self.machine, history, time.time_ns())
        if due is not None:
            batches[-1] = batches[-1]._replace(next_look=next_look(self.paper, due, int(history.ts[start]), now))
        self.store.create(self._mine(), deployed, history.head(start) if start else None, batches)
        self.deployment, self.chain.symbols, self.found = made, history.symbols, True
        if due is not None:
            self._close(due, history)
        told = f"{start} bars before warm it up, the first decided is that of {history.when(start)}"
        if self.plan.kind == "paper":
            log.info("%s: deployed anew in %r; %s", self.plan.name, self.store, told)
        self._due()
        return 1

    def _mine(self) -> Lease:
        if self.lease is None:
            raise LeaseError(f"deployment {self.plan.name} is not started")
        return self.lease

    def _catch_up(self, now: int) -> int:
        fresh = self._fresh(now)
        # A feed may have taken its time.
        now = self.clock.now()
        done = 0
        for t in range(0 if fresh is None else len(fresh)):
            assert fresh is not None
            if self._unknown(fresh, t) or not self._complete(fresh, t, now):
                break
            self._hold(int(fresh.ts[t]), now)
            ended = self._ended()
            self._cycle(fresh.slice(t, t + 1), now)
            done += int(fresh.deciding[t])
            if self._ended() != ended:
                # What follows was found before that end.
                break
        else:
            self._hold(now, now)
        self._free()
        self.judge_lateness(now)
        self.judge_calendar(now)
        return done

    def _fresh(self, now: int) -> History | None:
        """Return the bars after the last one; earlier ones are compared with those that were decided on."""
        assert self.deployment is not None
        seen = self.deployment.live.history
        after = min([int(seen.ts[compared_from(seen, self.paper.overlap)]), *self._held()]) - 1
        self.doubts, self.past = [], Rewritten()
        try:
            self.chain.ended = frozenset(self._ended())
            fetched = self.chain.fetch(after, now, self._overdue(now))
        except DataError as error:
            self.said = str(error)
            if self.incidents.lasting("stale_data") is None:
                self.incidents.met("bad_data:feeds", self.said, self.last, now)
            self._note(now, str(error))
            return None
        self.said = ""
        self.incidents.over("bad_data:feeds", "a feed answers again")
        for name, told in fetched.failures:
            if self._note(now, f"{name} failed: {told}"):
                log.warning("%s: feed: %s failed: %s", self.plan.name, name, told)
        self.missing = fetched.missing
        self._judge_doors(fetched, now)
        found = None if fetched.history is None else self._after_the_end(fetched.history)
        if found is None:
            return None
        past = int(np.searchsorted(found.ts, self.last, side="right"))
        if past:
            self.past = self._compared(seen, found.slice(0, past), fetched.missing, now)
            if self.past.revised and self.paper.revised == "reduce_only":
                self.doubts = ["past bars were revised"]
            self._revised(found.source)
        fresh = self._on_time(found.slice(past, len(found))) if past < len(found) else None
        confirmed = confirmations(self.store.asked(self.plan.name))
        # The gate looks at one scale; which row leads into it is known when it is known which one comes first.
        gone_by = self._of_the_living(found.slice(0, past)) if past else None
        seen = seen if gone_by is None else as_told_now(seen, as_shown(seen, gone_by), self.paper.tolerance)
        look = self.gate.look(seen, gone_by, fresh, confirmed, self.deployment.holding)
        self.behind = look._replace(rows=None if look.rows is None else carried(look.rows, self.past.carry))
        self.source = found.source
        return self.behind.rows

    def _compared(self, seen: History, past: History, missing: Mapping[str, str], now: int) -> Rewritten:
        """Compare a source's past with the bars in force; where it differs, further back than it is read each time."""
        # Who has no answer for an asset says nothing of its past, and after its end nobody does.
        silent = {*missing, *self._ended()}
        found = rewritten(seen, self._shown_of(past, seen), self.paper.tolerance).without(silent)
        if not found:
            return found
        after = int(seen.ts[max(0, len(seen) - DEEP)]) - 1
        try:
            more = self.chain.fetch(after, now, self._overdue(now))
        except DataError:
            return found
        # Another feed may have answered this time, or the same one for fewer assets: that is no more of the same.
        if more.history is None or more.history.source != past.source or more.missing.keys() - silent:
            return found
        older = between(self._after_the_end(more.history), after, self.last)
        if older is None:
            return found
        return rewritten(seen, self._shown_of(older, seen), self.paper.tolerance).without(silent)

    def _shown_of(self, past: History, seen: History) -> History:
        """Leave out past bars that were not seen: none closes then, or the gate would not have them."""
        assert self.deployment is not None
        past = as_shown(seen, self._without_strays(past, seen))
        return self.gate.past(as_told_now(seen, past, self.paper.tolerance), past, self.deployment.holding)

    def _without_strays(self, past: History, seen: History) -> History:
        """Leave out past bars that were refused because none closes then: they are no revision."""
        refused = np.zeros(0, dtype=np.int64) if self.due is None else self.due.off(past.ts)
        kept = ~np.isin(past.ts, refused[~np.isin(refused, seen.ts)])
        return past.at(np.flatnonzero(kept)) if kept.any() else seen.slice(len(seen) - 1, len(seen))

    def _on_time(self, fresh: History) -> History | None:
        """Return the bars that close when bars of this source do; each of the others is refused by name."""
        assert self.deployment is not None
        if self.due is None or not len(self._strays(fresh)):
            self.incidents.over("bad_data:off", "all bars close when bars of this source do", always=False)
            return fresh
        seen = self.deployment.live.history
        again = self._learned_again(seen, fresh)
        if again is not None:
            self._close(again, seen)
        strays = self._strays(fresh)
        for ts in strays.tolist():
            text = f"{fresh.source} has a bar of {said(ts)}, when none closes ({self.due!r}); it was left out"
            self.incidents.met("bad_data:off", text, ts)
        kept = np.flatnonzero(~np.isin(fresh.ts, strays))
        return fresh.at(kept) if len(kept) else None

    def _strays(self, fresh: History) -> Times:
        """Return when bars close though none does; of what comes after the calendar's end nobody knows."""
        assert self.due is not None
        return self.due.off(fresh.ts[: self._known(fresh)])

    def _known(self, fresh: History) -> int:
        """Return how many bars are of times that the calendar knows: of a week or month that it cuts, not the end."""
        assert self.deployment is not None
        reach = {"week": 7 * DAY, "month": 31 * DAY}.get(self.paper.every, 0)
        return int(np.searchsorted(fresh.ts, horizon(self.deployment.deployed.calendar) - reach))

    def _learned_again(self, seen: History, fresh: History) -> Timetable | None:
        """Return a way to close that explains more of these: the full hour of New York may prove to be that of UTC."""
        if self.paper.closes is not None:
            return None
        known = fresh.head(self._known(fresh))
        try:
            again = timetable(self.paper, seen.then(replace(known, traded=seen.traded)))
        except DataError:
            # No way does: the bars are refused by who asked, and named.
            return None
        return again if len(again.off(known.ts)) < len(self._strays(fresh)) else None

    def _ended(self) -> dict[str, int]:
        """Return the assets that have a final price, and since when."""
        assert self.deployment is not None
        seen = self.deployment.live.history
        if seen.final is None:
            return {}
        rows, columns = np.nonzero(~np.isnan(seen.final))
        return {seen.symbols[a]: int(seen.ts[t]) for t, a in zip(rows.tolist(), columns.tolist(), strict=True)}

    def _after_the_end(self, found: History) -> History:
        """Leave out what a feed says of an asset after its final price, which may have been the operator's word."""
        for symbol, ts in self._ended().items():
            found = emptied(found, symbol, found.ts > ts)
        return found

    def _held(self) -> list[int]:
        """Return when held bars closed: each is asked for until its asset has another one, however long that takes."""
        assert self.deployment is not None
        return [one.ts for one in self.deployment.holding]

    def _of_the_living(self, past: History) -> History:
        """Leave out all bars of assets that have ended: none is waited for, not even one from before the end."""
        for symbol in self._ended():
            past = emptied(past, symbol, np.ones(len(past), dtype=bool))
        return past

    def _judge_doors(self, fetched: Fetched, now: int) -> None:
        """Tell of feeds that have no answer for an asset which another one has, once that lasts."""
        patience = seconds(self.paper.patience) * SECOND
        for (feed, symbol), why in fetched.beside.items():
            self.incidents.met(f"bad_data:door:{feed}:{symbol}", f"{symbol} at {feed}: {why}", now, after=patience)
        for subject in self.incidents.all():
            _, door, named = subject.partition("bad_data:door:")
            feed, _, symbol = named.rpartition(":")
            if door and feed in fetched.asked and (feed, symbol) not in fetched.beside:
                self.incidents.over(subject, f"{feed} has an answer for {symbol} again")

    def _note(self, now: int, text: str) -> bool:
        """Write down what a feed did wrong, unless it is one of the last things that were; return whether it is new."""
        new = all(note.text != text for note in self.store.notes(self.plan.name, 5))
        if new:
            self.store.note(self.plan.name, Note(now, "feed", text))
        return new

    def _overdue(self, now: int) -> int:
        """Return the newest close whose bar should be there: half of the patience is over; 0 if there is none."""
        if self.due is None:
            return 0
        since = now - (seconds(self.paper.delay) + seconds(self.paper.patience) // 2) * SECOND
        closes = self.due.between(self.last, since)
        return int(closes[-1]) if len(closes) else 0

    def _unheard(self, until: int) -> Times:
        """Return the closes up to a moment without a bar, once silence is longer than this source's own; or none."""
        # Another thread may take the state away, and with it the last bar.
        last = self.last
        closes = self.due.between(last, until) if self.due is not None and last else np.zeros(0, dtype=np.int64)
        closes = np.setdiff1d(closes, self.behind.closes())
        return closes if stale(self.paper, len(closes), self.silence) else closes[:0]

    def _hold(self, until: int, now: int) -> None:
        """Write down which bars are held, up to a moment, and tell of them; those of a past look are known."""
        assert self.deployment is not None
        known = {(one.symbol, one.ts) for one in self.deployment.holding}
        for one in self.behind.until(until, self.last):
            if one.symbol in self._ended():
                continue
            about = f"bad_data:held:{one.symbol}"
            if (one.symbol, one.ts) not in known:
                batch = self.deployment.hold(one, self.source)
                self.store.commit(self._mine(), batch._replace(next_look=self._following(one.ts)))
            if one.state != "held" and self.incidents.lasting(about) is not None:
                continue
            mend = f"the next bar speaks of it, or: barograph confirm {self.plan.name} {one.symbol} {said(one.ts)!r}"
            self.incidents.met(
                about, f"{one.symbol} of {said(one.ts)} is held: {one.why}; {mend}", one.ts, severity="critical"
            )

    def _following(self, ts: int) -> int:
        """Return when the bar after a held one is looked for; until then nothing is overdue."""
        last, now = max(self.last, ts), self.clock.now()
        return 0 if self.due is None else next_look(self.paper, self.due, last, now)

    def _release(self, released: Sequence[Held]) -> None:
        """Say what became of bars that are held no longer."""
        assert self.deployment is not None
        holding = {one.symbol for one in self.deployment.holding}
        for one in released:
            if one.symbol not in holding:
                self.incidents.over(f"bad_data:held:{one.symbol}", f"{one.symbol} of {said(one.ts)} {FATES[one.state]}")

    def _free(self) -> None:
        """End what is told of assets of which no bar is held: a kill may have come between a verdict and its word."""
        assert self.deployment is not None
        holding = {one.symbol for one in self.deployment.holding}
        holding |= {one.symbol for one in self.behind.held if one.state == "held"}
        for subject in self.incidents.all():
            _, held, symbol = subject.partition("bad_data:held:")
            if held and symbol not in holding:
                self.incidents.over(subject, f"no bar of {symbol} is held any more")

    def _unknown(self, fresh: History, t: int) -> bool:
        """Tell whether a bar closes after the calendar's end: it may be any day's, and waits for one who knows."""
        assert self.deployment is not None
        beyond = fresh.ts[t:] >= horizon(self.deployment.deployed.calendar)
        self.beyond = int(beyond.sum()) if beyond[0] else 0
        return self.beyond > 0

    def _complete(self, fresh: History, t: int, now: int) -> bool:
        """Tell whether every asset has its bar, or was waited for long enough; a later bar ends the waiting.

        One that no feed has an answer for, and that was waited for before in vain, is not waited for again.
        """
        absent = [] if fresh.deciding[t + 1 :].any() or not fresh.deciding[t] else self._absent(fresh.head(t + 1))
        if all(self._lost(symbol) for symbol in absent):
            return True
        return self.plan.kind == "replay" or now >= int(fresh.ts[t]) + late(self.paper)

    def _lost(self, symbol: str) -> bool:
        return symbol in self.missing and self.incidents.lasting(f"bad_data:absent:{symbol}") is not None

    def _absent(self, fresh: History) -> list[str]:
        """Return the assets without a bar in the last of these rows, but for those whose market has ended."""
        assert self.deployment is not None
        missing = np.isnan(fresh.close[-1])
        for one in (self.deployment.live.history, fresh):
            if one.final is not None:
                missing &= np.isnan(one.final).all(axis=0)
        doubtful = self.behind.withheld(int(fresh.ts[-1]))
        return [symbol for symbol, gone in zip(fresh.symbols, missing, strict=True) if gone and symbol not in doubtful]

    def _cycle(self, row: History, now: int) -> None:
        """Decide one bar: one transaction, then the choice and the fit that are due, one each."""
        assert self.deployment is not None
        arrived = time.time_ns()
        name, late, ts = self.plan.name, not row.deciding[0], int(row.ts[0])
        commands = obeyed_at(self.store.asked(name), self.behind, ts, late)
        seen, rows = self.deployment.live.history, lambda table: self.store.rows(table, name)
        corrected = correcting(self.past, seen, rows, lambda: self.store.entries(name))
        row = with_ends(row, commands, self._ended())
        self.past = Rewritten()
        if odd := odd_dividends(row, seen):
            self.store.tell(name, odd)
        trouble = [] if self.plan.kind == "replay" or late else [*self._gaps(row, now), *self.doubts]
        self.deployment.live.append(row)
        held = brought(self.store.placed_orders(name)) if self.deployment.mirrors else None
        released = self.behind.released(row, self.deployment.holding, self._ended())
        batch = self.deployment.cycle(row.source, commands, trouble, arrived, held, released, corrected)
        self.store.commit(self._mine(), batch._replace(next_look=self.next()))
        self._release(released)
        self._due()

    def _due(self) -> None:
        if self.deployment is not None:
            for batch in self.deployment.due():
                self.store.commit(self._mine(), batch)

    # What is wrong with data and clock.

    def _gaps(self, row: History, now: int) -> list[str]:
        """Tell of assets without a bar, and of a bar that is late; return why this one may only reduce.

        Closes before it that have no bar are a fact, once the source has a later one: a backtest of its bars sees the
        same. What is longer than this source has ever been silent is noted.
        """
        assert self.deployment is not None
        assert self.due is not None
        ts = int(row.ts[0])
        missed = len(np.setdiff1d(self.due.between(self.last, ts - 1), self.behind.closes()))
        lost, known = stale(self.paper, missed, self.silence), self.silence
        if missed > known:
            told = f"{missed} closes before the bar of {said(ts)} have none; at most {known} in a row had none before"
            self.store.note(self.plan.name, Note(now, "gap", told))
            self.silence = missed
        # The last look that still waits for a bar comes up to one retry after patience is over.
        if now > ts + late(self.paper) + seconds(self.paper.retry) * SECOND:
            text = f"its bar was decided {np.timedelta64((now - ts) // SECOND, 's').item()} (h:mm:ss) after the close"
            self.incidents.met("late_cycle", text, ts)
        else:
            self.incidents.over("late_cycle", f"the bar of {said(ts)} was decided in time", always=False)
        absent = self._absent(row)
        for symbol in row.symbols:
            if symbol in absent:
                self.incidents.met(f"bad_data:absent:{symbol}", self._missed(symbol, ts), ts)
            else:
                self.incidents.over(f"bad_data:absent:{symbol}", f"{symbol} has a bar again, that of {said(ts)}")
        if lost and self.paper.stale == "reduce_only":
            return [f"{missed} bars are missing before this one"]
        return []

    def _missed(self, symbol: str, ts: int) -> str:
        text = f"{symbol} has no bar of {said(ts)}, which was decided without it"
        if symbol not in self.missing:
            return text
        mend = f"if it is gone for good, end it: barograph end {self.plan.name} {symbol} PRICE"
        return f"{text} ({self.missing[symbol]}); {mend}"

    def judge_lateness(self, now: int) -> bool:
        """Tell that data are stale: a close is past, with all patience, and its bar is not there; return whether so."""
        if self.plan.kind == "replay" or self.deployment is None:
            return False
        # Two threads ask, and one of them may just have decided the bar that the other one misses.
        with self.judging:
            overdue = self._unheard(now - late(self.paper))
            if len(overdue):
                # What the feeds say is part of it from here on, and no incident of its own.
                self.incidents.forget("bad_data:feeds")
                passed = "1 close has passed" if len(overdue) == 1 else f"{len(overdue)} closes have passed"
                text = f"no bar since {said(self.last)}; {passed} without one{f' ({self.said})' if self.said else ''}"
                self.incidents.met("stale_data", text, int(overdue[0]), int(overdue[-1]), len(overdue))
            elif self.last:
                self.incidents.over("stale_data", f"the bars are back, the newest is that of {said(self.last)}")
        return len(overdue) > 0

    def judge_calendar(self, now: int) -> None:
        """Tell from a month before that the calendar ends, and after it that nothing is decided any more."""
        deployment = self.deployment
        if self.plan.kind == "replay" or deployment is None:
            return
        calendar = deployment.deployed.calendar
        until = horizon(calendar)
        told = f"the calendar {calendar} is known until {_day(until - 1)}"
        mend = "install a release of exchange_calendars that knows more"
        with self.judging:
            if now >= until:
                held = f"; {self.beyond} bars are held until it is known whose they are" if self.beyond else ""
                text = f"{told}: what comes after it is not decided{held}; {mend}"
                self.incidents.met("calendar_end", text, until, severity="critical")
            elif now >= until - _MONTH:
                self.incidents.met("calendar_end", f"{told}: after it nothing will be decided; {mend}", until)
            else:
                self.incidents.over("calendar_end", told)

    def _revised(self, source: str) -> None:
        """Tell of past bars that no action explains; once each, unless it changes again."""
        if self.past.revised:
            before = self.store.rows("alerts", self.plan.name)
            self.store.tell(self.plan.name, revisions_told(self.past.revised, source, before))


def deployable(config: Config, folder: Path, store: Store, name: str, clock: Clock, fresh: bool = True) -> Service:
    """Return the service of a config on its own feeds; when it is deployed, the newest bar is the first decided."""
    chain = Chain(feeds_of(config, folder, clock.now))

    def begin(until: int) -> tuple[History, int]:
        history = seed(config, folder, chain, until, clock.now)
        _refuse_unknown(history.calendar, until)
        _refuse_spacing(config.paper.every, history)
        due = timetable(config.paper, history)
        # A bar that is under way, or of no close at all, is not the first to decide.
        while len(history) > 2 and len(due.off(history.ts[-1:])):
            history = history.head(len(history) - 1)
        overdue = due.between(int(history.ts[-1]), until - late(config.paper))
        if stale(config.paper, len(overdue), silence(due, history.ts[history.deciding])):
            raise DataError(
                f"{history.source}: the newest bar is that of {history.when(-1)}, {len(overdue)} closes have passed "
                "since; give [paper] feeds that go on to today, or try the config with --replay"
            )
        return history, len(history) - 1

    return Service(store, Plan(config, folder, name, "paper", begin, fresh), chain, clock)


def _refuse_unknown(calendar: str, now: int) -> None:
    """Refuse to begin where the calendar has ended: nobody could say when the next bar is due."""
    if now >= (until := horizon(calendar)):
        raise DataError(
            f"the calendar {calendar} is known until {_day(until - 1)}: nothing can be decided after it; "
            "install a release of exchange_calendars that knows more"
        )


def _refuse_spacing(every: str, history: History) -> None:
    """Refuse bars that do not come as [paper] every says: each would look like a gap, or like too many."""
    found = history.spacing // SECOND
    days = {"session": 1, "week": 7, "month": 30}
    wanted = days[every] * DAY // SECOND if every in days else seconds(every)
    if len(history) > 2 and not wanted / 2 < found < wanted * 2:
        told = f"{found // 3600}h" if found % 3600 == 0 else f"{found // 60}m"
        raise ConfigError(
            f"paper.every is {every!r}, but the bars of {history.source} are {told} apart; "
            "set paper.every to that, or to session, week or month"
        )


def _day(ts: int) -> str:
    return str(np.datetime64(ts, "ns").astype("M8[D]"))
