"""The crosscheck: our own decisions carried out by another engine, and the first number that differs.

A run's orders go into a folder; the peer reads them in a process of its own (it may have its own environment, and we
import none of it), trades, and leaves fills and equity; both are compared with ours, bar by bar. Sizes are the units
we traded: what is compared is what happens to an order, not how a weight becomes one.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from barograph.audit.decisions import fills_of, write_task
from barograph.audit.peers import PEERS, listed_bars, refusals
from barograph.errors import ConfigError, nearest

if TYPE_CHECKING:
    import pandas as pd

    from barograph.loop.result import Result

__all__ = ["Agreement", "Difference", "compared", "crosscheck", "exit_status", "named", "replayed"]

FILL_GAP: Final = 1e-9
EQUITY_GAP: Final = 1e-8

# Fills smaller than this part of the asset's largest are rounding: a peer that counts pieces leaves such behind.
DUST: Final = 1e-12

_MISSING: Final = 3
_KEYS: Final = ["bar", "asset", "side", "rank"]


class Difference(NamedTuple):
    """The first number that differs: at which bar, of which of our orders (0: none), what, ours and theirs."""

    bar: int
    when: str
    order: int
    asset: str
    what: str
    ours: float
    theirs: float
    listed: str = ""

    def __str__(self) -> str:
        """Say it in one line."""
        of = f"order {self.order} " if self.order else ""
        asset = f"({self.asset}) " if self.asset else ""
        known = (
            f"; listed in docs/crosscheck.md, {self.listed}" if self.listed else "; docs/crosscheck.md lists no reason"
        )
        return (
            f"bar {self.bar} ({self.when}), {of}{asset}{self.what}: ours {self.ours!r}, theirs {self.theirs!r}{known}"
        )


class Agreement(NamedTuple):
    """What one peer made of the run: the largest relative differences, the first one, or why there is no answer."""

    peer: str
    version: str
    profile: str
    fills: int
    bars: int
    fill_gap: float
    equity_gap: float
    first: Difference | None
    problem: str

    @property
    def agrees(self) -> bool:
        """Whether the peer answered, and with our numbers."""
        return not self.problem and self.first is None

    def __str__(self) -> str:
        """Say it in a line or two, or one for each obstacle."""
        name = f"{self.peer} {self.version}".strip()
        if self.problem:
            lines = self.problem.splitlines()
            return (
                f"{name}: not compared: {self.problem}"
                if len(lines) == 1
                else "\n  ".join([f"{name}: not compared", *lines])
            )
        if self.first is not None:
            return f"{name}: differs at {self.first}\n  {self.profile}"
        gaps = f"largest difference {self.fill_gap:.1e} of a fill, {self.equity_gap:.1e} of equity"
        return f"{name}: agrees on {self.fills} fills and {self.bars} closes; {gaps}\n  {self.profile}"


def crosscheck(result: Result, peers: Sequence[str], python: str | None = None) -> list[Agreement]:
    """Carry out a run's decisions in other engines and compare fills and equity.

    `python` is the interpreter of the environment the peers are installed in, this one by default. A peer that is
    not installed, or cannot carry out what this run did, is reported as such, with what to do about it.

    Raises `ConfigError` for a peer nobody knows.
    """
    return [replayed([result], name, python)[0] for name in named(peers)]


def exit_status(agreements: Sequence[Agreement]) -> int:
    """Return 0 when all agree, 8 when one differs, 2 when one could not be compared."""
    if any(a.first is not None for a in agreements):
        return 8
    return 2 if any(a.problem for a in agreements) else 0


def named(peers: Sequence[str]) -> list[str]:
    """Return the peers asked for, each once; raises `ConfigError` for one nobody knows, or for none."""
    if not peers:
        raise ConfigError(f"--against: names nobody; wanted some of {', '.join(PEERS)}")
    for name in peers:
        if name not in PEERS:
            raise ConfigError(
                f"--against {name}: no such peer{nearest(name, PEERS)}; wanted some of {', '.join(PEERS)}"
            )
    return list(dict.fromkeys(peers))


def replayed(results: Sequence[Result], name: str, python: str | None = None) -> list[Agreement]:
    """Compare several runs with one peer, in one process of it."""
    problems = ["\n".join(refusals(result, name)) for result in results]
    with tempfile.TemporaryDirectory(prefix="barograph-") as root:
        folders = [Path(root) / str(i) for i in range(len(results))]
        asked = [i for i, problem in enumerate(problems) if not problem]
        for i in asked:
            folders[i].mkdir()
            write_task(results[i], folders[i])
        version, failed = _launch(python or sys.executable, name, [folders[i] for i in asked]) if asked else ("", "")
        agreements = [_none(name, version, problem or failed) for problem in problems]
        for i in asked if not failed else []:
            agreements[i] = _answered(results[i], name, version, folders[i])
    return agreements


def _none(name: str, version: str, problem: str) -> Agreement:
    return Agreement(name, version, PEERS[name].profile, 0, 0, 0.0, 0.0, None, problem)


def _launch(python: str, name: str, folders: list[Path]) -> tuple[str, str]:
    """Run the peer on its tasks; return its version, and what went wrong."""
    package = PEERS[name].package
    command = [python, "-P", "-m", "barograph_adapters.peers", name, *map(str, folders)]
    cure = f"{python} -m pip install {package}, or name an environment that has it with --python"
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return "", f"{python}: cannot be run ({error.strerror}); --python wants a Python interpreter"
    if done.returncode == _MISSING:
        return "", f"{name} is not installed; {cure}"
    told = (done.stderr.strip().splitlines() or [f"without a word, exit status {done.returncode}"])[-1]
    if "No module named" in told and "barograph_adapters" in told:
        return (
            "",
            f"Barograph is not installed there; {python} -m pip install . {package}, in the folder of its source",
        )
    if done.returncode != 0 or not done.stdout.strip():
        return "", f"{python} failed: {told}; --python wants the Python of an environment with {package} and Barograph"
    return done.stdout.split()[0], ""


def _answered(result: Result, name: str, version: str, folder: Path) -> Agreement:
    import pandas as pd

    failed = folder / "failed.txt"
    if failed.exists():
        return _none(name, version, f"it failed: {failed.read_text(encoding='utf-8')}")
    fills, equity = pd.read_parquet(folder / "fills.parquet"), np.load(folder / "equity.npy")
    return compared(result, name, version, fills, equity)


def compared(result: Result, name: str, version: str, fills: pd.DataFrame, equity: Any) -> Agreement:
    """Compare a peer's fills (bar, asset, quantity, price) and equity (n,) with the run's.

    A peer may cut one of our fills into several at the same price; they count together.
    """
    ours = _merged(fills_of(result, PEERS[name].costs_in_price))
    pairs = ours.merge(_merged(fills.assign(order=0)), how="outer", on=_KEYS, suffixes=("", "_theirs")).sort_values(
        ["bar", "asset"], kind="stable"
    )
    gaps = np.column_stack([_gap(pairs[column], pairs[f"{column}_theirs"]) for column in ("quantity", "price")])
    apart = _gap(result.arrays.equity, np.asarray(equity))
    firsts = [d for d in (_first_fill(result, pairs, gaps), _first_equity(result, equity, apart)) if d is not None]
    return Agreement(
        peer=name,
        version=version,
        profile=PEERS[name].profile,
        fills=len(ours),
        bars=len(apart),
        fill_gap=float(gaps.max(initial=0.0)),
        equity_gap=float(apart.max(initial=0.0)),
        # Equity is measured at the close, after the fills of its bar.
        first=_explained(min(firsts, key=lambda d: d.bar), result, name) if firsts else None,
        problem="",
    )


def _merged(fills: pd.DataFrame) -> pd.DataFrame:
    """Put together what one bar bought (or sold) of one asset at one price, and number such prices."""
    largest = fills.groupby("asset").quantity.transform(lambda q: q.abs().max())
    fills = fills[fills.quantity.abs() > DUST * largest]
    fills = fills.assign(side=np.sign(fills.quantity)).sort_values(["bar", "asset", "side", "price"], kind="stable")
    same = fills.groupby(["bar", "asset", "side"]).price.transform(lambda p: (p.diff() > FILL_GAP * p).cumsum())
    fills = fills.assign(rank=same.astype(np.int64))
    return fills.groupby(_KEYS, as_index=False).agg({"quantity": "sum", "price": "first", "order": "min"})


def _gap(ours: Any, theirs: Any) -> Any:
    """Return relative differences; what one side lacks is infinitely far."""
    a, b = np.asarray(ours, dtype=np.float64), np.asarray(theirs, dtype=np.float64)
    gap = np.abs(a - b) / np.maximum(np.maximum(np.abs(a), np.abs(b)), np.finfo(np.float64).tiny)
    return np.where(np.isnan(gap), np.inf, gap)


def _first_fill(result: Result, pairs: pd.DataFrame, gaps: Any) -> Difference | None:
    rows, columns = np.nonzero(gaps > FILL_GAP)
    if len(rows) == 0:
        return None
    row, name = pairs.iloc[rows[0]], ("quantity", "price")[columns[0]]
    ours, theirs = (float(np.nan_to_num(row[column])) for column in (name, f"{name}_theirs"))
    asset = result.history.symbols[int(row.asset)]
    order = int(np.nan_to_num(row.order))
    return Difference(int(row.bar), result.history.when(int(row.bar) + result.first), order, asset, name, ours, theirs)


def _first_equity(result: Result, equity: Any, apart: Any) -> Difference | None:
    rows = np.flatnonzero(apart > EQUITY_GAP)
    if len(rows) == 0:
        return None
    bar = int(rows[0])
    when = result.history.when(bar + result.first)
    return Difference(bar, when, 0, "", "equity", float(result.arrays.equity[bar]), float(equity[bar]))


def _explained(first: Difference, result: Result, name: str) -> Difference:
    return first._replace(listed=listed_bars(result, name).get(first.bar, ""))
