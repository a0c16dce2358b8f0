"""Running for a year: when to look, when to tell, and what to do when something fails. APScheduler wakes it up.

Four jobs in four threads: looking (by the calendar's closes), beating (the lease), telling (the outbox), mirroring (a
testnet). A late or doubled firing changes nothing: a look does what is due, and every bar is decided once, by its key
in the store.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.base import BaseTrigger
from apscheduler.triggers.interval import IntervalTrigger

from barograph.config.paper import seconds
from barograph.errors import BarographError, LeaseError, ShortageError, StoreError
from barograph.paper.alerts.outbox import dispatch
from barograph.paper.ports import Alert, Clock, Notifier
from barograph.paper.schedule import SECOND
from barograph.paper.store import Note
from barograph.paper.testnet.mirror import Mirror

if TYPE_CHECKING:
    from barograph.paper.service import Service

__all__ = ["LookTrigger", "Runner", "heartbeat", "replay"]

log: Final = logging.getLogger("barograph.paper")
_BEAT: Final = 10
_TELL: Final = 10
_MIRROR: Final = 30
_COMPARE: Final = 600
# Seconds that the end of a run waits for the look that is under way.
_LAST_LOOK: Final = 20
# What a database that is gone is asked, in seconds: soon, then less often.
_BACKOFF: Final = (1, 2, 5, 10, 30, 60)


class LookTrigger(BaseTrigger):  # type: ignore[misc]
    """Fires when the service says that a look is due; after an error, when the time to wait is over."""

    def __init__(self, due: Callable[[], int]) -> None:
        self.due = due

    def get_next_fire_time(self, previous_fire_time: datetime | None, now: datetime) -> datetime:
        """Return the next moment: what was missed is one look, at once.

        It is always later than `now`, also when the clock was set back since: of a moment that is not, the scheduler
        would ask again for ever.
        """
        return max(datetime.fromtimestamp(self.due() / SECOND, UTC), now + timedelta(seconds=1))


class Runner:
    """A service on its schedule until it is stopped."""

    def __init__(self, service: Service, notifier: Notifier, clock: Clock, mirror: Mirror | None = None) -> None:
        self.service, self.notifier, self.clock, self.mirror = service, notifier, clock, mirror
        self.compared = 0
        self.over = threading.Event()
        self.failure: BarographError | None = None
        self.failed = 0
        self.looking = False
        self.awaited = ""
        self.sending = threading.Lock()
        self.idle = threading.Event()
        self.idle.set()
        self.scheduler: BackgroundScheduler | None = None

    def once(self) -> int:
        """Do one look and tell what is to be told: for cron or a container. Returns how many bars were decided."""
        self._start()
        try:
            done = self._looked()
            self._mirror()
            self._tell()
        except BarographError as error:
            self._stand_still(error)
            raise
        finally:
            self._leave()
        return done

    def _start(self) -> None:
        try:
            self.service.start()
        except BarographError as error:
            self._stand_still(error)
            raise

    def _stand_still(self, error: BarographError) -> None:
        if self._report(error):
            # Why it stands still goes out before it does.
            self._tell()

    def run(self) -> None:
        """Go on until `stop`; raises what made it impossible to go on."""
        self._start()
        self._say_started()
        self.scheduler = scheduler = self._scheduler()
        scheduler.start()
        try:
            while not self.over.wait(1.0):
                pass
        finally:
            scheduler.shutdown(wait=False)
            # A feed may hang for ever; what it would bring could not be written without the lease.
            self.idle.wait(_LAST_LOOK)
            if self.failure is not None:
                self._stand_still(self.failure)
            self._leave()
            log.info("%s: stopped%s", self.service.plan.name, f": {self.failure}" if self.failure else "")
        if self.failure is not None:
            raise self.failure

    def stop(self) -> None:
        """End the run after what is being done."""
        self.over.set()

    def _say_started(self) -> None:
        service = self.service
        told = "nothing is deployed yet, the first look begins it"
        if service.last:
            told = f"its last bar is that of {_moment(service.last)}, its next look is at {_moment(service.next())}"
        log.info("%s: started; %s", service.plan.name, told)

    def _scheduler(self) -> BackgroundScheduler:
        # A job that comes late is one look, however many were missed: nothing is dropped, nothing done twice.
        defaults = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        pools = {name: ThreadPoolExecutor(1) for name in ("looking", "beating", "telling", "mirroring")}
        scheduler = BackgroundScheduler(timezone=UTC, job_defaults=defaults, executors=pools)
        now = datetime.now(UTC)
        every: dict[str, tuple[Callable[[], Any], Any]] = {
            "looking": (self.look, LookTrigger(self._due)),
            "beating": (self._beat, IntervalTrigger(seconds=_BEAT, timezone=UTC)),
            "telling": (self._tell, IntervalTrigger(seconds=_TELL, timezone=UTC)),
            "mirroring": (self._mirror, IntervalTrigger(seconds=_MIRROR, timezone=UTC)),
        }
        for name, (job, trigger) in every.items():
            scheduler.add_job(job, trigger, executor=name, id=name, next_run_time=now)
        return scheduler

    def _due(self) -> int:
        if self.looking:
            # The look itself sets the next moment when it ends.
            return self.clock.now() + 3600 * SECOND
        if self.failed:
            wait = _BACKOFF[min(self.failed, len(_BACKOFF)) - 1]
            return self.clock.now() + wait * SECOND
        return self.service.next()

    def look(self) -> None:
        """Look once; a database that is gone is asked again, what cannot be mended ends the run."""
        self.looking = True
        self.idle.clear()
        try:
            self._looked()
            self.failed = 0
        except (StoreError, ShortageError) as error:
            self._again(error)
        except BarographError as error:
            self._end(error)
        finally:
            self.looking = False
            self.idle.set()
        if self.scheduler is not None and not self.over.is_set():
            # The scheduler asked for the next moment when this look began; now more is known.
            self.scheduler.reschedule_job("looking", trigger=LookTrigger(self._due))

    def _again(self, error: BarographError) -> None:
        self.failed += 1
        log.error("%s: %s; asked again soon", self.service.plan.name, error)

    def _looked(self) -> int:
        done = self.service.look()
        name, due = self.service.plan.name, _moment(self.service.next())
        if done:
            told = f"{done} bars decided, the last of" if done > 1 else "decided the bar of"
            last = _moment(self.service.last)
            log.info("%s: %s %s, equity %.2f; next look %s", name, told, last, self.service.equity, due)
        awaited, self.awaited = self.awaited, self.service.awaited()
        if self.awaited not in ("", awaited):
            log.info("%s: waiting for %s; next look %s", name, self.awaited, due)
        return done

    def _report(self, error: BarographError) -> bool:
        """Write an alert that the deployment stands still, and why; one that has not begun has nobody to tell."""
        name, store = self.service.plan.name, self.service.store
        try:
            passing = isinstance(error, LeaseError | StoreError | ShortageError)
            deployed = None if passing else store.find(name)
            if deployed is None or deployed.kind != self.service.plan.kind:
                return False
            ts = store.newest("equity", name, 1)[0]["ts"]
            told = {"text": f"{name} stands still: {error}"}
            store.tell(name, [Alert(f"missed_cycle:stopped:{ts}", "missed_cycle", "critical", ts, told)])
            store.note(name, Note(self.clock.now(), "stopped", str(error)))
        except StoreError as failure:
            log.error("%s: %s", name, failure)
            return False
        return True

    def _beat(self) -> None:
        try:
            if self.service.lease is not None:
                self.service.store.beat(self.service.lease)
        except LeaseError as error:
            self._end(error)
        except StoreError as error:
            log.error("%s: %s", self.service.plan.name, error)

    def _tell(self) -> None:
        # At the end of a run two threads may want to: what one has sent the other must see as sent.
        with self.sending:
            self._told()

    def _told(self) -> None:
        service = self.service
        try:
            if service.store.find(service.plan.name) is None:
                return
            alerts = service.paper.alerts
            now = self.clock.now()
            late = service.judge_lateness(now)
            service.judge_calendar(now)
            if alerts.heartbeat is not None and not late and not self.failed and service.sees_ahead(now):
                service.store.tell(service.plan.name, [heartbeat(service, seconds(alerts.heartbeat), now)])
            dispatch(service.store, self.notifier, alerts, service.plan.name, self.clock)
        except StoreError as error:
            log.error("%s: %s", service.plan.name, error)

    def _mirror(self) -> None:
        """Place what is stored at the broker, and compare with it at the start and every ten minutes."""
        try:
            if self.mirror is None or self.service.store.find(self.service.plan.name) is None:
                return
            self.mirror.place()
            if self.clock.now() >= self.compared + _COMPARE * SECOND:
                self.compared = self.clock.now()
                self.mirror.compare()
        except StoreError as error:
            log.error("%s: %s", self.service.plan.name, error)

    def _end(self, error: BarographError) -> None:
        self.failure = error
        self.over.set()

    def _leave(self) -> None:
        self.service.chain.close()
        try:
            self.service.stop()
        except StoreError as error:
            log.error("%s: the lease could not be given back: %s", self.service.plan.name, error)


def heartbeat(service: Service, every: int, now: int) -> Alert:
    """Return the sign of life of this period; its key is the period's, so that it is told once."""
    period = now // (every * SECOND)
    last, due = _moment(service.last), _moment(service.next())
    text = f"{service.plan.name} lives; its last bar is that of {last}, its next look is at {due}"
    return Alert(f"heartbeat:{period}", "heartbeat", "info", now, {"text": text})


def replay(service: Service, closes: Any, clock: Any, tell: Callable[[int, int], None] | None) -> int:
    """Feed history through the service at full speed: the clock is set from close to close, and each is one look."""
    done = 0
    for n, ts in enumerate(closes):
        if int(ts) > service.last:
            clock.set(int(ts))
            done += service.look()
        if tell is not None and (n % 50 == 0 or n == len(closes) - 1):
            tell(n + 1, len(closes))
    return done


def _moment(ts: int) -> str:
    return datetime.fromtimestamp(ts // SECOND, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
