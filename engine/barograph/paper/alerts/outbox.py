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
| next_try | ns UTC before which it is not tried again, unless a wrong clock set it; 0 at first |
| error | one line, what the last try said; "" at first. It never holds a secret |
| message | key of the message that carried it: its own, or the digest's; "" at first |
| ended_at | ns UTC at which it was sent or given up, or null |

An index on (deployment, state, next_try) serves `waiting`, one on (deployment, recipient, ended_at) `recently_sent`.

What goes first is what weighs most, and of one weight what waits longest. All that waits of one incident is one
message, the newest, which says how often and since when. The sign of life is a channel of its own: somebody counts on
its coming, so neither quiet hours nor quotas hold it back, and it uses up nobody's. So is the answer to a command:
whoever gave it is awake and waits for it.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

from barograph.config.paper import SEVERITIES, AlertPlan, Recipient, seconds
from barograph.errors import NotifyError
from barograph.paper.alerts.messages import digest, render
from barograph.paper.ports import Alert, Clock, Message, Notifier, Outbox, Rest, Row

__all__ = ["APART", "Sent", "delay", "dispatch", "least_tries", "letters", "quiet", "reserved", "wanted"]

_SECOND: Final = 1_000_000_000
_HOUR: Final = 3600 * _SECOND
_FIRST_DELAY: Final = 30.0
_LAST_DELAY: Final = 3600.0
_CHANCE: Final = 0.2
# A next try that is further ahead was set by a clock that was wrong.
_LONGEST: Final = 2 * _HOUR
# So many alerts of a digest are told in their own words, as far as there is room.
_LISTED: Final = 20
# A recipient that fails twice running is left alone until the next round: each try may cost its whole time-out.
_TRIES: Final = 2

log: Final = logging.getLogger("barograph.paper")


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
    for row in store.waiting(deployment, clock.now(), _LONGEST):
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


def letters(rows: Iterable[Row]) -> list[list[Row]]:
    """Return what is to be told: all rows of one incident together, the newest last; the weightiest, oldest first.

    >>> def row(key, severity, ts, of=None):
    ...     return Row(Alert(key, "late_cycle", severity, ts, {"incident": {"key": of}} if of else {}), "ann", 0, None)
    >>> of_a = [row("a:1", "warning", 1, "a"), row("a:2", "warning", 7, "a")]
    >>> rows = [*of_a, row("b", "info", 0), row("c", "critical", 9)]
    >>> [[one.alert.key for one in letter] for letter in letters(rows)]
    [['c'], ['a:1', 'a:2'], ['b']]
    """
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(_subject(row.alert), []).append(row)
    for letter in found.values():
        letter.sort(key=lambda row: (_number(row.alert), row.alert.ts, row.alert.key))
    return sorted(found.values(), key=lambda letter: (-_weight(letter), min(row.alert.ts for row in letter)))


def _number(alert: Alert) -> int:
    about = alert.facts.get("incident")
    return int(about["message"]) if isinstance(about, dict) and "message" in about else 0


def _subject(alert: Alert) -> str:
    about = alert.facts.get("incident")
    return about["key"] if isinstance(about, dict) else alert.kind if alert.kind == _PULSE else f"/{alert.key}"


def _apart(alert: Alert) -> bool:
    """Tell whether an alert has a channel of its own."""
    return alert.kind in APART


def _weight(letter: Sequence[Row]) -> int:
    return max(SEVERITIES.index(row.alert.severity) for row in letter)


_PULSE: Final = "heartbeat"
APART: Final = (_PULSE, "command")
"""Kinds that neither quiet hours nor quotas hold back, and that use up nobody's."""


def reserved(at_most: int) -> int:
    """Return how many of the messages of an hour are kept for what is critical: a fifth.

    >>> reserved(20), reserved(4), reserved(1)
    (4, 1, 0)
    """
    return 0 if at_most == 1 else max(1, at_most // 5)


def least_tries(give_up: str) -> int:
    """Return how often a message is tried before it is given up: as often as there is time for, whatever a clock says.

    >>> least_tries("1m"), least_tries("2d")
    (2, 46)
    """
    tries, left = 1, float(seconds(give_up))
    while (left := left - (1.0 + _CHANCE) * _wait(tries)) >= 0.0:
        tries += 1
    return tries


def _wait(attempts: int) -> float:
    return min(_FIRST_DELAY * 2.0 ** min(attempts - 1, 20), _LAST_DELAY)


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
    return int(_wait(attempts) * (1.0 - _CHANCE + 2.0 * _CHANCE * share) * _SECOND)


_CRITICAL: Final = SEVERITIES.index("critical")
_Letters = list[list[Row]]


class _Round:
    """One recipient's turn."""

    def __init__(
        self, store: Outbox, notifier: Notifier, plan: AlertPlan, deployment: str, clock: Clock, to: Recipient
    ) -> None:
        self.store, self.notifier, self.plan = store, notifier, plan
        self.deployment, self.clock, self.to = deployment, clock, to
        self.refused, self.door, self.error = 0, "", ""

    def run(self, name: str, rows: Sequence[Row]) -> Sent:
        """Send signs of life and answers, then what this hour has room for, and the rest as one digest."""
        now = self.clock.now()
        self.door = f"to:{self.deployment}:{name}"
        if self.store.resting(self.door, now) is not None:
            return Sent(waiting=len(rows))
        done = Sent()
        for letter in letters(row for row in rows if _apart(row.alert)):
            done = self._one(done, letter)
        waiting = letters(row for row in rows if not _apart(row.alert))
        room = self.plan.at_most - self.store.recently_sent(self.deployment, name, now - _HOUR, now)
        singly, digested, kept = self._apportioned(waiting, max(0, room), quiet(self.plan, now))
        for letter in singly:
            done = self._one(done, letter)
        done = self._digest(done, digested) if digested else done
        return done.plus(waiting=sum(map(len, kept)))

    def _apportioned(self, found: _Letters, room: int, night: bool) -> tuple[_Letters, _Letters, _Letters]:
        """Return what goes out by itself, what goes out in a digest, and what waits."""
        urgent = [letter for letter in found if _weight(letter) == _CRITICAL]
        others = found[len(urgent) :]
        if room == 0:
            return [], [], found
        if len(urgent) > room:
            # The last message of the hour takes along all that would not fit.
            most = room - 1
            return found[:most], urgent[most:] if night else found[most:], others if night else []
        left = 0 if night else max(0, room - len(urgent) - reserved(self.plan.at_most))
        most = len(urgent) + (len(others) if len(others) <= left else max(0, left - 1))
        rest = found[most:]
        return (found[:most], rest, []) if left else (urgent, [], others)

    def _one(self, done: Sent, letter: Sequence[Row]) -> Sent:
        if self.refused >= _TRIES:
            return done.plus(waiting=len(letter))
        sent = self._try(letter, self._message(letter[-1]))
        return done.plus(sent=len(letter)) if sent else self._lost(done, letter)

    def _digest(self, done: Sent, found: _Letters) -> Sent:
        rows = [row for letter in found for row in letter]
        if self.refused >= _TRIES:
            return done.plus(waiting=len(rows))
        name = hashlib.sha256("\n".join(row.alert.key for row in rows).encode()).hexdigest()[:12]
        listed = [self._message(letter[-1]) for letter in found[:_LISTED]]
        others = Counter((letter[-1].alert.kind, letter[-1].alert.severity) for letter in found[_LISTED:])
        message = digest(listed, self.deployment, name, others, self.plan.time_zone)
        return done.plus(digested=len(rows)) if self._try(rows, message) else self._lost(done, rows)

    def _message(self, row: Row) -> Message:
        templates = Path(self.to.template) if self.to.template else None
        return render(row.alert, self.deployment, templates, self.plan.time_zone, row.entry)

    def _try(self, rows: Sequence[Row], message: Message) -> bool:
        try:
            self.notifier.send(self.to.url, message)
        except NotifyError as error:
            self.error = str(error)
            if error.wait > 0.0:
                self._leave_alone(error)
                return False
        except Exception as error:  # A defect of a notifier may stop nobody else's alerts; only its name is safe.
            self.error = f"the notifier itself failed with {type(error).__name__}"
        else:
            self.refused = 0
            self.store.sent(self.deployment, rows, self.clock.now(), message.key)
            return True
        self.refused += 1
        return False

    def _leave_alone(self, error: NotifyError) -> None:
        """Obey a recipient who wants to be left alone: in this round, and until the time is over."""
        now = self.clock.now()
        self.store.rest(Rest(self.door, now, now + int(error.wait * _SECOND), self.error))
        self.refused = _TRIES

    def _lost(self, done: Sent, rows: Sequence[Row]) -> Sent:
        """Record a failure: another try later, or none when the time is over, by the clock and by the tries made.

        A clock alone is no witness: one that was three days behind at boot has not waited for three days.
        """
        now, patience = self.clock.now(), seconds(self.plan.give_up) * _SECOND
        if not any(row.attempts for row in rows):
            # The first failure is news; how often it was tried since stands in the store.
            told = rows[0].alert.key if len(rows) == 1 else f"{len(rows)} messages"
            log.warning("%s: delivery failed: %s to %s: %s", self.deployment, told, rows[0].recipient, self.error)
        for row in rows:
            tried = row.attempts + 1
            over = row.first_try is not None and now - row.first_try >= patience
            if over and tried >= least_tries(self.plan.give_up):
                told = f"given up after {tried} tries in {self.plan.give_up}: {self.error}"
                self.store.gave_up(self.deployment, row, now, told)
                log.error("%s: delivery failed: %s to %s: %s", self.deployment, row.alert.key, row.recipient, told)
                done = done.plus(given_up=1)
            else:
                next_try = now + delay(f"{row.alert.key}|{row.recipient}", tried)
                self.store.failed(self.deployment, row, now, self.error, next_try)
                done = done.plus(failed=1)
        return done
