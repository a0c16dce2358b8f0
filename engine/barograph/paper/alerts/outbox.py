"""Who is told what, and when: policy over rows that a store hands out. It delivers at least once, and loses nothing.

An alert is written by the cycle's own transaction, and nothing else happens then. `dispatch` runs beside the cycles: it
first routes new alerts to recipients (a row each), then tries the rows that are due. What a store must keep:

**alerts**: deployment, key (unique together), kind, severity, ts, facts; and `routed`, a boolean, false at first.

**deliveries**, one row an alert and recipient:

| column | what it is |
|---|---|
| deployment, alert_key, recipient | primary key; the recipient is a name of the config, or "1", "2", ... |
| state | "waiting", "sent" or "given_up" |
| attempts | how often it was tried, 0 at first |
| first_try | ns UTC of the first try, or null |
| next_try | ns UTC before which it is not tried again; 0 at first |
| error | one line, what the last try said; "" at first. It never holds a secret |
| message | key of the message that carried it: its own, or the digest's; "" at first |
| ended_at | ns UTC at which it was sent or given up, or null |

An index on (deployment, state, next_try) serves `waiting`, one on (deployment, recipient, ended_at) `recently_sent`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from barograph.config.paper import SEVERITIES, AlertPlan, Recipient, seconds
from barograph.errors import NotifyError
from barograph.paper.alerts.messages import digest, render
from barograph.paper.ports import Alert, Clock, Message, Notifier, Outbox, Row

__all__ = ["Sent", "delay", "dispatch", "quiet", "wanted"]

_SECOND: Final = 1_000_000_000
_HOUR: Final = 3600 * _SECOND
_FIRST_DELAY: Final = 30.0
_LAST_DELAY: Final = 3600.0
# A recipient that fails twice running is left alone until the next round: each try may cost its whole time-out.
_TRIES: Final = 2


class Sent(NamedTuple):
    """What a round did: deliveries sent one by one, failed, still waiting, sent in a digest, and given up.

    `waiting` counts what was due and not tried: quiet hours, no room in this hour, or a recipient that fails.
    """

    sent: int = 0
    failed: int = 0
    waiting: int = 0
    digested: int = 0
    given_up: int = 0

    def plus(self, **counts: int) -> Sent:
        """Return the sums."""
        return self._replace(**{name: getattr(self, name) + count for name, count in counts.items()})


def dispatch(store: Outbox, notifier: Notifier, plan: AlertPlan, deployment: str, clock: Clock) -> Sent:
    """Route new alerts, try what is due, and say what became of it. A recipient that fails never raises here.

    Raises `StoreError` when the store does. A message that went out before its record was written goes out again.
    """
    people = plan.recipients()
    for alert in store.unrouted(deployment):
        store.route(deployment, alert.key, [name for name, one in people.items() if wanted(one, alert)])
    rows: dict[str, list[Row]] = {}
    for row in store.waiting(deployment, clock.now()):
        rows.setdefault(row.recipient, []).append(row)
    done = Sent()
    for name, theirs in rows.items():
        if name not in people:
            for row in theirs:
                store.gave_up(deployment, row, clock.now(), f"the config has no recipient {name!r} any more")
            done = done.plus(given_up=len(theirs))
            continue
        round_ = _Round(store, notifier, plan, deployment, clock, people[name])
        done = done.plus(**round_.run(name, theirs)._asdict())
    return done


def wanted(recipient: Recipient, alert: Alert) -> bool:
    """Tell whether an alert goes to a recipient.

    >>> alert = Alert("drawdown:1", "drawdown", "warning", 0, {})
    >>> wanted(Recipient(url="json://host", severity="critical"), alert)
    False
    """
    severe = SEVERITIES.index(alert.severity) >= SEVERITIES.index(recipient.severity)
    return severe and (not recipient.kinds or alert.kind in recipient.kinds)


def quiet(plan: AlertPlan, now: int) -> bool:
    """Tell whether a moment, ns UTC, is in the quiet hours by the clock on the wall of the plan's time zone.

    >>> plan = AlertPlan(quiet_from="22:00", quiet_until="07:00", time_zone="America/New_York")
    >>> summer, winter = 1_719_831_600_000_000_000, 1_733_054_400_000_000_000  # 07:00 in New York, and 07:00 again
    >>> quiet(plan, summer - 1), quiet(plan, summer), quiet(plan, winter - 1), quiet(plan, winter)
    (True, False, True, False)
    """
    if plan.quiet_from is None or plan.quiet_until is None:
        return False
    start, end = time.fromisoformat(plan.quiet_from), time.fromisoformat(plan.quiet_until)
    wall = datetime.fromtimestamp(now // _SECOND, UTC).astimezone(ZoneInfo(plan.time_zone)).time()
    return start <= wall < end if start <= end else wall >= start or wall < end


def delay(key: str, attempts: int) -> int:
    """Return how long to wait after so many attempts, ns: 30 s, doubled each time up to an hour, a fifth more or less.

    The chance in it is the key's hash: a hundred messages that failed together do not come back together, and a second
    computation gives the same.

    >>> [round(delay("drawdown:1", n) / 1e9) for n in (1, 2, 3, 9)]
    [31, 67, 124, 3786]
    """
    share = int.from_bytes(hashlib.sha256(f"{key}|{attempts}".encode()).digest()[:4], "big") / 2**32
    wait = min(_FIRST_DELAY * 2.0 ** min(attempts - 1, 20), _LAST_DELAY)
    return int(wait * (0.8 + 0.4 * share) * _SECOND)


class _Round:
    """One recipient's turn."""

    def __init__(
        self, store: Outbox, notifier: Notifier, plan: AlertPlan, deployment: str, clock: Clock, to: Recipient
    ) -> None:
        self.store, self.notifier, self.plan = store, notifier, plan
        self.deployment, self.clock, self.to = deployment, clock, to
        self.refused = 0

    def run(self, name: str, rows: Sequence[Row]) -> Sent:
        """Send what is critical at once, then what the hour has room for, and the rest as one digest."""
        now = self.clock.now()
        urgent = [row for row in rows if row.alert.severity == "critical"]
        others = [row for row in rows if row.alert.severity != "critical"]
        done = Sent()
        for row in urgent:
            done = self._one(done, row)
        if quiet(self.plan, now):
            return done.plus(waiting=len(others))
        room = max(0, self.plan.at_most - self.store.recently_sent(self.deployment, name, now - _HOUR))
        # The last message of the hour takes along all that would not fit.
        single = len(others) if len(others) <= room else max(0, room - 1)
        for row in others[:single]:
            done = self._one(done, row)
        rest = others[single:]
        return done.plus(waiting=len(rest)) if room == 0 or not rest else self._digest(done, rest)

    def _one(self, done: Sent, row: Row) -> Sent:
        if self.refused >= _TRIES:
            return done.plus(waiting=1)
        message = self._message(row)
        return done.plus(sent=1) if self._try([row], message) else self._lost(done, [row])

    def _digest(self, done: Sent, rows: Sequence[Row]) -> Sent:
        if self.refused >= _TRIES:
            return done.plus(waiting=len(rows))
        keys = "\n".join(row.alert.key for row in rows)
        name = hashlib.sha256(keys.encode()).hexdigest()[:12]
        message = digest([self._message(row) for row in rows], self.deployment, name)
        return done.plus(digested=len(rows)) if self._try(rows, message) else self._lost(done, rows)

    def _message(self, row: Row) -> Message:
        return render(row.alert, self.deployment, Path(self.to.template) if self.to.template else None)

    def _try(self, rows: Sequence[Row], message: Message) -> bool:
        try:
            self.notifier.send(self.to.url, message)
        except NotifyError as error:
            self.error = str(error)
        except Exception as error:  # A defect of a notifier may stop nobody else's alerts; only its name is safe.
            self.error = f"the notifier itself failed with {type(error).__name__}"
        else:
            self.refused = 0
            self.store.sent(self.deployment, rows, self.clock.now(), message.key)
            return True
        self.refused += 1
        return False

    def _lost(self, done: Sent, rows: Sequence[Row]) -> Sent:
        """Record a failure: another try later, or none when the time to try is over."""
        now, patience = self.clock.now(), seconds(self.plan.give_up) * _SECOND
        for row in rows:
            tried = row.attempts + 1
            if row.first_try is not None and now - row.first_try >= patience:
                told = f"given up after {tried} tries in {self.plan.give_up}: {self.error}"
                self.store.gave_up(self.deployment, row, now, told)
                done = done.plus(given_up=1)
            else:
                next_try = now + delay(f"{row.alert.key}|{row.recipient}", tried)
                self.store.failed(self.deployment, row, now, self.error, next_try)
                done = done.plus(failed=1)
        return done
