"""Troubles that last: each is told when it begins, at most once a day while it goes on, and when it is over.

What goes wrong at every look, or at every close, is one incident and not one alert each: a week without a feed on bars
of a minute is ten thousand closes and eight messages. An incident lies in the store, so that whoever starts again goes
on with it; times on the wall say only when it is told of again, and a clock that is set back tells nothing twice.
"""

from __future__ import annotations

import logging
import threading
from typing import Any, Final

from barograph.config.paper import KINDS
from barograph.paper.ports import Alert, Casebook, Clock, Incident
from barograph.paper.schedule import said

__all__ = ["Incidents"]

_DAY: Final = 86_400_000_000_000
# What nobody may ever mend is told of ever less often: after one day, two, four, ... and then once a month.
_FADING: Final = ("bad_data:absent:", "bad_data:door:")
_RAREST: Final = 32
_WORDS: Final = {"stale_data": "stale", "late_cycle": "missed", "bad_data": "bad data", "calendar_end": "calendar"}

log: Final = logging.getLogger("barograph.paper")


class Incidents:
    """The incidents of one deployment. A subject begins with its kind of alert: ``bad_data:absent:SPY``.

    What is told of them is a line of the log as well, unless it is `quiet`.
    """

    def __init__(self, store: Casebook, deployment: str, clock: Clock, quiet: bool = False) -> None:
        self.store, self.deployment, self.clock, self.quiet = store, deployment, clock, quiet
        # Two threads of one process write, and no other process does: it would not hold the lease.
        self.writing = threading.RLock()
        self.known: dict[str, Incident] | None = None

    def read_again(self) -> None:
        """Trust nothing that is remembered: what lasts stands in the store."""
        self.known = None

    def lasting(self, subject: str) -> Incident | None:
        """Return an incident that is not over, or None."""
        known = self.known
        return self.all().get(subject) if known is None else known.get(subject)

    def all(self) -> dict[str, Incident]:
        """Return all that are not over, by subject."""
        with self.writing:
            if self.known is None:
                self.known = {one.subject: one for one in self.store.incidents(self.deployment)}
            return dict(self.known)

    def met(
        self,
        subject: str,
        text: str,
        first: int,
        last: int | None = None,
        count: int = 0,
        severity: str | None = None,
        after: int = 0,
    ) -> None:
        """Say that something is wrong: `first` and `last` are the closes (or moments, ns UTC) that it concerns.

        `count` is how often it was met in all; without it one more, unless `last` is the one that was met before. It is
        told once it has lasted for `after`, ns.
        """
        last, kind, now = first if last is None else last, subject.partition(":")[0], self.clock.now()
        known, severe = self.lasting(subject), severity or KINDS[kind]
        if known is None:
            once = max(count, 1)
            begun = Incident(subject, kind, severe, first, last, once, now, now, int(after == 0), once, text)
            self._keep(begun, [] if after else [self._alert(begun, text, "begun", first)])
            return
        grown = count or known.times + int(last != known.last)
        seen = known._replace(last=last, times=grown, text=text, told=min(known.told, now), severity=severe)
        pause = self._pause(known) if known.messages else after
        if now - seen.told < pause and severe == known.severity:
            if seen != known:
                self._keep(seen, [])
            return
        seen = seen._replace(told=now, messages=known.messages + 1, counted=grown)
        often = "" if count or grown == 1 else f"; {grown} times since {said(seen.first)}"
        still = "still: " if known.messages else ""
        self._keep(seen, [self._alert(seen, f"{still}{text}{often}", "lasting" if still else "begun", now)])

    def over(self, subject: str, text: str, always: bool = True) -> None:
        """Say that something is well again; unless `always`, it is told only when it was met since it was told."""
        known, now = self.lasting(subject), self.clock.now()
        if known is None:
            return
        ended = known._replace(messages=known.messages + 1)
        told = known.messages > 0 and (always or known.times != known.counted)
        often = f"; {known.times} times from {said(known.first)} to {said(known.last)}" if known.times > 1 else ""
        alerts = [self._alert(ended, f"over: {text}{often}", "over", now)] if told else []
        self._keep(ended, alerts, over=True)

    def forget(self, subject: str) -> None:
        """Leave an incident to another one that says the same and more."""
        if known := self.lasting(subject):
            self._keep(known, [], over=True)

    def _pause(self, incident: Incident) -> int:
        """Return how long an incident is not told of again."""
        fading = incident.subject.startswith(_FADING)
        return _DAY * (min(1 << (incident.messages - 1), _RAREST) if fading else 1)

    def _keep(self, incident: Incident, alerts: list[Alert], over: bool = False) -> None:
        with self.writing:
            # Until it is written nothing is known.
            others, self.known = self.all(), None
            self.store.keep(self.deployment, incident, alerts, over)
            others.pop(incident.subject, None)
            self.known = others if over else {**others, incident.subject: incident}
        for alert in () if self.quiet else alerts:
            word = _WORDS.get(incident.kind, incident.kind)
            log.log(logging.INFO if over else logging.WARNING, "%s: %s: %s", self.deployment, word, alert.facts["text"])

    def _alert(self, incident: Incident, text: str, state: str, ts: int) -> Alert:
        key = f"{incident.subject}:{incident.first}"
        about = {"key": key, "state": state, "message": incident.messages}
        about |= {name: getattr(incident, name) for name in ("first", "last", "times")}
        facts: dict[str, Any] = {"text": text, "incident": about}
        numbered = {"begun": key, "lasting": f"{key}:{incident.messages}", "over": f"{key}:over"}
        return Alert(numbered[state], incident.kind, incident.severity, ts, facts)
