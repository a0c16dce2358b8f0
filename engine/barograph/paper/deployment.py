"""A machine at work: every bar becomes one batch, to be written whole or not at all. No clock, no database, no network.

Beginning and going on are the same: a world in memory, the bars it has seen, and the hash of the last entry.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from barograph.config.paper import KINDS
from barograph.config.provenance import code_hash
from barograph.execution.events import FLATTENED, HALTED, UNHEALTHY
from barograph.execution.terms import Switch
from barograph.jit.arithmetic import ARITHMETIC
from barograph.loop.live import Live
from barograph.loop.wiring import believed_about
from barograph.loop.world import World
from barograph.paper.alerts.health import healthy
from barograph.paper.alerts.watch import begin, watch
from barograph.paper.ends import end_of
from barograph.paper.holding.confirm import confirmed_of
from barograph.paper.holding.kept import Keeping, held_of, kept
from barograph.paper.journal import GENESIS, Entry, canonical, link
from barograph.paper.past.corrections import NOTHING, Correcting, noted, told
from barograph.paper.ports import About, Alert, Intent
from barograph.paper.projection import Rows, project
from barograph.paper.store import Batch, Command, Deployed, Snapshot
from barograph.paper.testnet.mirror import intents_of
from barograph.types import Step

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from barograph.config.paper import PaperPlan
    from barograph.config.schema import Config
    from barograph.data.gate import Held
    from barograph.data.history import History
    from barograph.loop.choosing.choice import Choice
    from barograph.loop.machine import Machine
    from barograph.loop.result import Learned
    from barograph.regimes.fitted import Modules

__all__ = ["SWITCHES", "Deployment", "commanded", "described", "sealed", "switchable"]

SWITCHES: Final = (Switch(HALTED, "reduce_only"), Switch(FLATTENED, "flatten"), Switch(UNHEALTHY, "reduce_only"))
"""What is turned on from outside: halt and flatten by the operator, reduce-only by the watch over model and data."""

_HALT, _FLATTEN, _UNHEALTHY = range(3)


def switchable(machine: Machine) -> Machine:
    """Return the machine with the switches that a deployment has; as long as none is on, it decides the same."""
    return replace(machine, terms=replace(machine.terms, guards=[*machine.terms.guards, *SWITCHES]))


def commanded(command: str) -> dict[int, bool]:
    """Return which switches a command turns on or off.

    >>> commanded("resume")
    {0: False, 1: False, 2: False}
    """
    if end_of(command) is not None or confirmed_of(command) is not None:
        return {}
    return {"halt": {_HALT: True}, "flatten": {_FLATTEN: True}, "resume": dict.fromkeys(range(3), False)}[command]


def described(name: str, kind: str, config: Config, folder: Path, history: History, start: int) -> Deployed:
    """Return what is written down of a deployment when it begins; no secret is among it."""
    return Deployed(
        name=name,
        kind=kind,
        config=config.redacted(),
        folder=str(folder.resolve()),
        code_hash=code_hash(config, folder),
        symbols=history.symbols,
        traded=history.traded,
        calendar=history.calendar,
        currency=history.currency,
        periods=history.periods,
        start=start,
    )


class Deployment:
    """One deployment in memory: `cycle` steps over the next bar, `due` makes the choice and the fit that are due."""

    def __init__(
        self, deployed: Deployed, plan: PaperPlan, live: Live, entry: Entry, remembered: dict[str, Any]
    ) -> None:
        self.deployed, self.plan, self.live = deployed, plan, live
        self.entry, self.remembered = entry, remembered

    @classmethod
    def begin(
        cls, deployed: Deployed, plan: PaperPlan, machine: Machine, history: History, arrived: int = 0
    ) -> tuple[Deployment, list[Batch]]:
        """Make a deployment from the bars before its first decision and that first bar, and step over it."""
        live = Live(switchable(machine), history.head(deployed.start + 1), deployed.start)
        made = cls(deployed, plan, live, Entry(-1, "", 0, "", GENESIS), begin(plan.watch))
        before = history.head(deployed.start).digest() if deployed.start else ""
        told = {key: value for key, value in deployed._asdict().items() if key not in ("folder", "code_hash", "kind")}
        first = made._entry("deployed", int(history.ts[0]), {**told, "bars": before, "arithmetic": ARITHMETIC})
        batches = [Batch(first, Rows({}, []), None)]
        learned = live.fits.pop() if live.fits else None
        if live.choices:
            batches.append(made._chosen(live.choices.pop(), learned))
        elif learned is not None:
            batches.append(made._fitted(learned))
        held: dict[str, float] | None = {} if made.mirrors else None
        return made, [*batches, made.cycle(history.source, arrived=arrived, held=held)]

    @property
    def mirrors(self) -> bool:
        """Whether its orders are placed at a broker too; those of a replay or a backtest never are."""
        return self.plan.broker is not None and self.deployed.kind == "paper"

    @classmethod
    def resume(
        cls,
        deployed: Deployed,
        plan: PaperPlan,
        machine: Machine,
        history: History,
        entry: Entry,
        snapshot: Snapshot,
        modules: Modules | None = None,
    ) -> Deployment:
        """Go on from a snapshot; raises `DataError` when the bars are not those that its world has seen."""
        world = World.from_bytes(snapshot.world, f"the snapshot of {deployed.name}", modules)
        live = Live(switchable(machine), history, deployed.start, world)
        live.learned = snapshot.learned
        # What a store of before did not remember is as at the beginning.
        return cls(deployed, plan, live, entry, begin(plan.watch) | snapshot.watch)

    def cycle(
        self,
        source: str,
        commands: Sequence[Command] = (),
        trouble: Sequence[str] = (),
        arrived: int = 0,
        held: Mapping[str, float] | None = None,
        released: Sequence[Held] = (),
        corrected: Correcting = NOTHING,
    ) -> Batch:
        """Step over the next appended bar; `trouble` are reasons why its decision may only reduce.

        `held` are the units that the orders at a broker brought so far, or None where nothing is mirrored; `released`
        are the bars that are no longer held from this one on. What became known late of the bars before enters with it.
        """
        if corrected.correction.late:
            self.live.late = {self.live.bar: corrected.correction}
        trouble = [*trouble, *self._unhealthy()]
        switches = self._switched(commands, trouble)
        step = self.live.step()
        watched = watch(self.plan.watch, self.remembered, step, self._about())
        self.remembered = watched.state
        if released:
            self.remembered = kept(self.remembered, less=[(one.symbol, one.ts) for one in released])
        content = {
            "bar": step.bar,
            "ts": step.ts,
            "source": source,
            "bars": self._bars(step.bar),
            "equity": step.equity,
            "weights": step.weights,
            "belief": step.belief,
            **({"believed": list(believed)} if (believed := self._believed()) else {}),
            "forecasts": step.forecasts,
            "events": step.events,
            "positions": step.positions,
            "alerts": [
                alert._asdict()
                for alert in (*watched.alerts, *_obeyed(commands, step.ts), *told(corrected, step.ts, source))
            ],
            "commands": [command.command for command in commands],
            **noted(corrected),
            "trouble": trouble,
            "switches": switches,
            **({"late": late} if (late := 1 - int(self.live.history.purpose[step.bar])) else {}),
            **({"released": [[one.symbol, one.ts, one.state] for one in released]} if released else {}),
        }
        batch = self._batch("cycle", step.ts, content)
        obeyed = tuple(command.number for command in commands)
        return batch._replace(commands=obeyed, arrived=arrived, intents=self._mirrored(step, held))

    def hold(self, held: Held, source: str) -> Batch:
        """Write down that a bar is held, and why, before anything is done on it."""
        self.remembered = kept(self.remembered, [Keeping(held.symbol, held.ts, held.why)])
        content = {"ts": held.ts, "symbol": held.symbol, "why": held.why, "source": source}
        return self._batch(f"held {held.symbol}", held.ts, content)

    @property
    def holding(self) -> list[Keeping]:
        """The bars that are held, oldest first."""
        return held_of(self.remembered)

    def _mirrored(self, step: Step, held: Mapping[str, float] | None) -> tuple[Intent, ...]:
        """Return what is to be placed at the broker, if there is one."""
        return () if held is None else intents_of(self.deployed.name, self.deployed.symbols, step, held)

    def due(self) -> Iterator[Batch]:
        """Give what falls due at the close of the last bar, a choice and then a fit, each made when it is asked for."""
        if self.live.choice_due:
            yield self._chosen(*self.live.choose())
        if self.live.due:
            yield self._fitted(self.live.learn())

    def _chosen(self, choice: Choice, learned: Learned | None) -> Batch:
        """Return a choice, with the model that came into force by it."""
        content = {**choice._asdict(), "ts": int(self.live.history.ts[choice.bar])}
        fit = None if learned is None else self._told(learned)
        model = b"" if learned is None else learned.fitted.to_bytes()
        return self._made("choice", {**content, "fit": fit})._replace(model=model)

    def _fitted(self, learned: Learned) -> Batch:
        self.remembered = self.remembered | {"refused": learned.refused}
        batch = self._made("fit", self._told(learned))
        return batch if learned.refused else batch._replace(model=learned.fitted.to_bytes())

    def _made(self, kind: str, content: dict[str, Any]) -> Batch:
        """Seal what was made at a close; before the first decision there is no state to go on from."""
        if self.live.bar > self.deployed.start:
            return self._batch(kind, content["ts"], content)
        entry = self._entry(kind, content["ts"], content)
        return Batch(entry, self._rows(entry), None)

    def _told(self, learned: Learned) -> dict[str, Any]:
        ts, fitted = self.live.history.ts, learned.fitted
        content: dict[str, Any] = {
            "bar": learned.bar,
            "ts": int(ts[learned.bar]),
            "first": int(ts[learned.first]),
            "last": int(ts[learned.last - 1]),
            "asked": learned.asked,
            "refused": learned.refused,
        }
        if learned.refused:
            return {**content, "match": None}
        return content | {
            "observations": fitted.observations,
            "log_likelihood": None if fitted.log_likelihood is None else float(fitted.log_likelihood[-1]),
            "converged": fitted.converged,
            "digest": hashlib.sha256(fitted.to_bytes()).hexdigest(),
            "match": _matched(learned),
            "summary": fitted.summary(),
        }

    def _batch(self, kind: str, ts: int, content: dict[str, Any]) -> Batch:
        """Seal what happened with the state it leaves, so that no state can be swapped for another."""
        snapshot = Snapshot(self.live.world().to_bytes(), self.remembered, self.live.learned)
        entry = self._entry(kind, ts, {**content, "state": sealed(snapshot)})
        return Batch(entry, self._rows(entry), snapshot)

    def _entry(self, kind: str, ts: int, content: dict[str, Any]) -> Entry:
        text = canonical(content)
        self.entry = Entry(self.entry.number + 1, kind, ts, text, link(self.entry.hash, text))
        return self.entry

    def _rows(self, entry: Entry) -> Rows:
        return project(entry.kind, entry.content, self.deployed.symbols)

    def _switched(self, commands: Sequence[Command], trouble: Sequence[str]) -> list[int]:
        """Turn the switches as commands and trouble ask; return those that are on."""
        first = len(self.live.machine.terms.guards) - len(SWITCHES)
        wanted: dict[int, bool] = {}
        for command in commands:
            wanted |= commanded(command.command)
        wanted[_UNHEALTHY] = bool(trouble)
        for n, on in wanted.items():
            self.live.switch(first + n, on)
        return [n for n in range(len(SWITCHES)) if self.live.switched(first + n)]

    def _unhealthy(self) -> list[str]:
        sick = self.plan.unhealthy == "reduce_only" and not healthy(self.remembered["health"])
        return ["the model is unhealthy"] if sick else []

    def _about(self) -> About:
        of = self.deployed
        return About(
            of.name, of.symbols, self.live.fitted, of.periods, of.calendar, self.live.believed, self._believed()
        )

    def _believed(self) -> tuple[str, ...]:
        """Return the assets that have a belief of their own."""
        return believed_about(self.live.machine, self.live.history)

    def _bars(self, t: int) -> Any:
        h = self.live.history
        rows = [h.open[t], h.high[t], h.low[t], h.close[t], h.volume[t], *h.declared(t)]
        return np.column_stack(rows)


def _obeyed(commands: Sequence[Command], ts: int) -> list[Alert]:
    if not commands:
        return []
    told = ", ".join(command.command for command in commands)
    return [Alert(f"command:{ts}", "command", KINDS["command"], ts, {"text": f"{told}: in force from this close on"})]


def sealed(snapshot: Snapshot) -> str:
    """Return the hash of a state, which the entry it belongs to holds."""
    state = {"watch": snapshot.watch, "learned": snapshot.learned}
    return hashlib.sha256(snapshot.world + canonical(state).encode()).hexdigest()


def _matched(learned: Learned) -> Any:
    if learned.match is None:
        return None
    return learned.match._asdict()
