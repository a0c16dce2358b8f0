"""The commands of paper trading; thin, like the rest of the command line."""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from barograph.cli.console import print_json, progress
from barograph.cli.shared import Json, Set
from barograph.errors import BarographError, ConfigError, LeaseError, RefusalError, StoreError

if TYPE_CHECKING:
    from barograph.config.schema import Config
    from barograph.loop.machine import Machine
    from barograph.loop.result import Result
    from barograph.loop.session import Progress
    from barograph.paper.service import Service
    from barograph.paper.store import Deployed, Store
    from barograph.paper.testnet.mirror import Mirror

__all__ = ["Named", "Url", "alerts_app", "check_record", "confirm", "end", "flatten", "halt", "looked_into",
           "opened_at", "paper", "parity", "recorded", "resume", "status", "store_app"]  # fmt: skip

STORE = "sqlite:///paper.db"
Url = Annotated[
    str | None, typer.Option("--store", metavar="URL", help=f"The database; BAROGRAPH_STORE or {STORE} if left out.")
]
Named = Annotated[str | None, typer.Argument(help="Its name; may be left out where there is only one.")]

alerts_app = typer.Typer(help="Look after the messages of paper trading.", no_args_is_help=True)
store_app = typer.Typer(help="Look after the database of paper trading.", no_args_is_help=True)


def paper(
    config: Annotated[Path, typer.Argument(metavar="CONFIG | list", help="What to trade, or the word list.")],
    once: Annotated[bool, typer.Option("--once", help="Do one look and end, for cron or a container.")] = False,
    replay: Annotated[
        str | None, typer.Option("--replay", metavar="FROM", help="Feed the [data] from this date on, at full speed.")
    ] = None,
    new: Annotated[bool, typer.Option("--new", help="Begin a deployment that is not there yet.")] = False,
    name: Annotated[str | None, typer.Option("--name", help="The deployment; the config's name if left out.")] = None,
    store: Url = None,
    set: Set = None,
    as_json: Json = False,
) -> None:
    """Trade a config on paper, on schedule until stopped; or list what is deployed.

    Starting is recovering: whatever stopped it, the same command goes on at the bar after the last one decided.
    """
    if str(config) == "list" and not config.exists():
        _list(store, as_json)
        return
    if once and replay is not None:
        raise ConfigError("--once and --replay: wanted one of them")
    from barograph.config.load import load

    loaded = load(config, set or [])
    _log()
    if replay is not None:
        named = _checked(name or f"{loaded.name}-replay")
        _replay(loaded, config.parent, _store(store, loaded, create=True), named, replay, as_json)
        return
    named = _checked(name or loaded.name)
    chosen = _store(store, loaded, create=new)
    if new and chosen.find(named) is not None:
        raise RefusalError(f"--new: there is a deployment {named!r} already; leave --new out to go on with it")
    _run(_service(loaded, config.parent, chosen, named, new), _notifier(loaded, strict=new), once, as_json)


def status(deployment: Named = None, store: Url = None, as_json: Json = False) -> None:
    """Tell how a deployment stands: positions, equity, regime, last and next cycle, and what is not well."""
    from barograph.paper.status import status as stands

    opened = _store(store, looking=True)
    with opened.moment():
        told = stands(opened, _deployed(opened, deployment), time.time_ns())
    if as_json:
        print_json(told)
        return
    for key, value in told.items():
        print(f"{key.replace('_', ' '):<18}{_said(key, value)}")


def halt(deployment: Named = None, store: Url = None) -> None:
    """Let a deployment only reduce, from its next cycle on, until it is resumed; stops keep working."""
    _ask("halt", deployment, store)


def resume(deployment: Named = None, store: Url = None) -> None:
    """Let a deployment trade freely again, from its next cycle on."""
    _ask("resume", deployment, store)


def flatten(deployment: Named = None, store: Url = None) -> None:
    """Close all positions at the fill after the next cycle, and stay out until resumed."""
    _ask("flatten", deployment, store)


def end(
    deployment: Annotated[str, typer.Argument(help="Its name.")],
    symbol: Annotated[str, typer.Argument(help="The asset that is gone.")],
    price: Annotated[float, typer.Argument(help="What a share of it pays.")],
    store: Url = None,
) -> None:
    """End an asset that is gone: from the next cycle on it has no bars, and its positions are paid this price."""
    from barograph.paper.ends import asked_end

    opened = _store(store)
    _asked(opened, asked_end(_deployed(opened, deployment), symbol, price), deployment)


def confirm(
    deployment: Annotated[str, typer.Argument(help="Its name.")],
    symbol: Annotated[str, typer.Argument(help="The asset whose bar is held.")],
    time: Annotated[str, typer.Argument(help="When the bar closed, in UTC, as `status` says; or that day.")],
    store: Url = None,
) -> None:
    """Confirm a bar that is held: it is true, and seen from the next look on; nothing is decided at its own close."""
    from barograph.paper.holding.confirm import asked_confirm

    opened = _store(store)
    _asked(opened, asked_confirm(opened, _deployed(opened, deployment), symbol, time), deployment)


def parity(
    deployment: Named = None,
    store: Url = None,
    refit: Annotated[
        bool, typer.Option("--refit", help="Learn a classifier's fits again; else they are those that were recorded.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Rerun the recorded bars through the backtest and name the first difference; exit code 8 if there is one.

    A deployment that another arithmetic made is not compared: its last bits are others; exit code 14.
    """
    from barograph.paper.parity import parity as compare

    opened = _store(store, looking=True)
    found = compare(opened, _deployed(opened, deployment), refit=refit)
    if as_json:
        print_json({**found._asdict(), "difference": found.difference and found.difference._asdict()})
    else:
        print(found)
    if found.difference is not None or found.another:
        raise typer.Exit(14 if found.another else 8)


@alerts_app.command("test")
def alerts_test(config: Path, set: Set = None) -> None:
    """Send a test message to every recipient of a config; exit code 12 if one cannot be reached."""
    from barograph.config.load import load
    from barograph.paper.alerts.trial import send_trial

    loaded = load(config, set or [])
    send_trial(loaded, _notifier(loaded, strict=True), print)


@store_app.command("verify")
def store_verify(deployment: Named = None, store: Url = None) -> None:
    """Compute the journal's hashes and every table again; exit code 9 if anything is not as it was written."""
    from barograph.paper.verify import verify

    opened = _store(store, looking=True)
    names = [_deployed(opened, deployment)] if deployment else opened.deployments()
    found = [verify(opened, one) for one in names]
    print("\n".join(map(str, found)) or "there is no deployment")
    if not found or any(one.wrong for one in found):
        raise typer.Exit(9)


@store_app.command("backup")
def store_backup(to: Path, store: Url = None) -> None:
    """Copy the database into one file while it is used; for SQLite (for PostgreSQL there is pg_dump)."""
    _adapter("opening").backup(_url(store), to)
    print(to)


@store_app.command("upgrade")
def store_upgrade(store: Url = None) -> None:
    """Bring the schema up to this program's, all or nothing."""
    _migrated(store, "head")


@store_app.command("downgrade")
def store_downgrade(
    version: str,
    store: Url = None,
    yes: Annotated[bool, typer.Option("--yes", help="Delete everything, where the version is base.")] = False,
) -> None:
    """Take the schema back to a version, or to "base", which deletes everything."""
    if version == "base" and not yes:
        raise ConfigError("downgrade base deletes every deployment; make a backup, then say --yes")
    _migrated(store, version)


def _migrated(store: str | None, version: str) -> None:
    if version != "head":
        opened = _store(store, looking=True)
        running = [name for name, who in opened.holders().items() if who.endswith("alive")]
        opened.close()
        if running:
            raise LeaseError(f"{', '.join(running)} is running; stop it first")
    before, after = _adapter("opening").migrate(_url(store), version)
    print(f"schema {before or 'none'} -> {after or 'none'}")


def looked_into(url: str | None) -> Store | None:
    """Return the store where there is one: the one that is asked for, or the file that a deployment here would make."""
    if (
        url is None
        and os.environ.get("BAROGRAPH_STORE") is None
        and not Path(STORE.removeprefix("sqlite:///")).exists()
    ):
        return None
    opened: Store = _store(url, looking=True)
    return opened


def _ask(command: str, deployment: str | None, store: str | None) -> None:
    _asked(_store(store), command, deployment)


def _asked(opened: Store, command: str, deployment: str | None) -> None:
    one = _deployed(opened, deployment)
    if one.kind != "paper":
        raise ConfigError(f"{one.name} is a {one.kind} one: nobody runs it on schedule, so it has no next cycle")
    opened.ask(one.name, command, time.time_ns())
    print(f"{one.name}: {command} is obeyed at its next cycle")


def _list(store: str | None, as_json: bool) -> None:
    from barograph.paper.status import listed

    rows = listed(_store(store, looking=True))
    if as_json:
        print_json(rows)
        return
    for row in rows or [{"deployment": "nothing is deployed"}]:
        print("  ".join(str(_said(key, value)) for key, value in row.items()))


def _replay(config: Config, folder: Path, store: Store, name: str, first: str, as_json: bool) -> None:
    from barograph.paper.runner import replay as run
    from barograph.paper.simulated import replayed

    service, closes, clock = replayed(config, folder, store, name, first)
    service.start()
    try:
        with progress(name, as_json) as tell:
            done = run(service, closes, clock, tell)
    finally:
        service.stop()
    _finished(store, name, done, as_json)


def _finished(store: Store, name: str, done: int, as_json: bool) -> None:
    from barograph.paper.record import rebuilt, recorded

    deployed = _deployed(store, name)
    result = recorded(store, deployed, rebuilt(deployed))
    if as_json:
        print_json({"deployment": name, "decided": done, "metrics": result.metrics})
        return
    print(f"{name}: {done} bars decided now, {len(result.arrays.equity)} in all\n{result}")


def _service(config: Config, folder: Path, store: Store, name: str, fresh: bool) -> Service:
    from barograph.paper.ports import SystemClock
    from barograph.paper.service import deployable

    return deployable(config, folder, store, name, SystemClock(), fresh)


def check_record(url: str | None, name: str, config: Config) -> None:
    """Refuse a name or a store in which a backtest cannot be recorded, before it is run."""
    opened = _store(url, config, create=True)
    if opened.find(_checked(name)) is not None:
        raise StoreError(f"--record {name}: there is a deployment of that name; give it another one")
    opened.close()


def recorded(
    url: str | None, name: str, config: Config, folder: Path, machine: Machine, result: Result, tell: Progress | None
) -> None:
    """Write a backtest into the store."""
    from barograph.paper.backtest import record

    record(_store(url, config, create=True), name, config, folder, machine, result, tell)


def _run(service: Service, notifier: Any, once: bool, as_json: bool) -> None:
    import signal

    from barograph.paper.runner import Runner

    runner = Runner(service, notifier, service.clock, _mirror(service))
    if once:
        done = runner.once()
        if as_json:
            print_json({"deployment": service.plan.name, "decided": done})
        return
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: runner.stop())
    runner.run()


def _mirror(service: Service) -> Mirror | None:
    part = service.paper.broker
    if part is None:
        return None
    from barograph.config.parts import make
    from barograph.paper.testnet.mirror import Mirror

    return Mirror(service.store, make(part, "paper.broker", service.plan.folder), service.plan.name)


def _notifier(config: Config, strict: bool) -> Any:
    """Return the notifier; a recipient that cannot be meant is refused, or, of what runs already, said."""
    import importlib

    notifier = importlib.import_module("barograph_adapters.notify").Apprise()
    for one in config.paper.alerts.to:
        try:
            notifier.check(one.url)
        except BarographError as error:
            if strict:
                raise
            # A message that cannot go out is no reason not to trade; it waits in the outbox, and says so there.
            logging.getLogger("barograph.paper").warning("%s: %s", config.name, error)
    return notifier


def _adapter(module: str) -> Any:
    """Return a module of the store, which the engine knows by name only."""
    import importlib

    return importlib.import_module(f"barograph_adapters.store.{module}")


def _url(store: str | None, config: Config | None = None) -> str:
    told = None if config is None else config.paper.store
    return store or os.environ.get("BAROGRAPH_STORE") or told or STORE


def _store(store: str | None, config: Config | None = None, create: bool = False, looking: bool = False) -> Any:
    return _adapter("sql").open_store(_url(store, config), create, looking)


def opened_at(store: str | None, name: str | None) -> tuple[Any, Deployed]:
    """Return a store that is only looked at, and one of its deployments."""
    opened = _store(store, looking=True)
    return opened, _deployed(opened, name)


def _checked(name: str) -> str:
    """Return a deployment's name, or refuse what no file, header or shell would bear."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        raise ConfigError(f"{name!r} is no name of a deployment; wanted letters, digits, and _ . - between them")
    return name


def _deployed(store: Store, name: str | None) -> Deployed:
    known = store.deployments()
    if name is None and len(known) == 1:
        return known[0]
    found = next((one for one in known if one.name == name), None)
    if found is None:
        told = ", ".join(one.name for one in known) or "none"
        raise StoreError(f"{'which deployment' if name is None else f'no deployment {name!r}'}; there is {told}")
    return found


def _said(key: str, value: Any) -> str:
    if isinstance(value, float):
        return f"{value:,.2f}" if key in ("equity", "cash") else f"{value:.3f}"
    if isinstance(value, list) and value and isinstance(value[0], dict):
        return "; ".join(" ".join(_said("", part) for part in one.values()) for one in value)
    if isinstance(value, list | dict):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        told = [f"{name} {_said('', one)}" if isinstance(value, dict) else _said("", one) for name, one in parts]
        return ", ".join(told) or "-"
    return "-" if value is None else str(value)


def _log() -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(asctime)sZ %(message)s", "%Y-%m-%dT%H:%M:%S"))
    handler.formatter.converter = time.gmtime  # type: ignore[union-attr]
    log = logging.getLogger("barograph")
    log.handlers, log.propagate = [handler], False
    log.setLevel(logging.INFO)
    # What the scheduler has to say of a look that takes its time is no news.
    logging.getLogger("apscheduler").setLevel(logging.ERROR)
