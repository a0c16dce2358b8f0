"""Run the benchmarks: ``python -m benchmarks [subject ...]``, all of them when none is named."""

from __future__ import annotations

import argparse
import os
import platform
from collections.abc import Callable

from rich.console import Console
from rich.table import Table as Printed

from benchmarks import (
    Table,
    ascents,
    ceilings,
    drifting,
    em,
    engine,
    jumps,
    loading,
    models,
    nets,
    orders,
    paper,
    peers,
    prior,
    published,
    runs,
    series,
    study,
    sweeps,
    transitions,
    trials,
    waiting,
)

SUBJECTS: dict[str, Callable[[float], Table]] = {
    "engine": engine.speed,
    "orders": orders.resting,
    "monthly": orders.monthly,
    "memory": engine.memory,
    "start": engine.start,
    "waiting": waiting.measure,
    "loading": loading.measure,
    "em": em.measure,
    "ascents": ascents.measure,
    "filter": peers.online,
    "peers": peers.crossing,
    "ceilings": ceilings.measure,
    "drifting": drifting.measure,
    "jumps": jumps.measure,
    "nets": nets.measure,
    "models": models.measure,
    "prior": prior.measure,
    "transitions": transitions.measure,
    "series": series.measure,
    "runs": runs.measure,
    "cycle": paper.cycle,
    "year": paper.year,
    "study": study.measure,
    "sweeps": sweeps.measure,
    "trials": trials.measure,
    "published": published.measure,
    "forward": published.forward,
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="benchmarks", description="Measure Barograph, beside its peers.")
    parser.add_argument("subject", nargs="*", metavar="subject", help=f"of {', '.join(SUBJECTS)}; all when none")
    parser.add_argument("--size", type=float, default=1.0, help="a fraction of the bars, for a quick look")
    asked = parser.parse_args()
    unknown = [name for name in asked.subject if name not in SUBJECTS]
    if unknown:
        parser.error(f"unknown subject {unknown[0]!r}; known: {', '.join(SUBJECTS)}")
    console = Console(width=None if Console().is_terminal else 130)
    load = os.getloadavg()[0]
    console.print(
        f"Python {platform.python_version()}, {os.cpu_count()} cores, load {load:.1f}; least of several times"
    )
    for name in asked.subject or SUBJECTS:
        show(SUBJECTS[name](asked.size), console)


def show(table: Table, console: Console) -> None:
    printed = Printed("", "measured", "", "wanted", "beside it", title=table.title, title_justify="left")
    printed.columns[1].justify = "right"
    for row in table.rows:
        value = "-" if row.value is None else f"{row.value:,.4g}" if abs(row.value) < 1000 else f"{row.value:,.0f}"
        printed.add_row(row.name, value, row.unit, row.wanted, row.beside)
    console.print(printed)


if __name__ == "__main__":
    main()
