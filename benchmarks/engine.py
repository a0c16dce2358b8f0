"""The engine's own speed, memory and start: the regime filter on bars of a world whose parameters are known."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numba
import numpy as np

import barograph as bg
from barograph.data.synthetic import SCENARIOS, Scenario, draw, simulate
from barograph.epoch import DAY, YEAR
from barograph.execution.book import DUST
from barograph_models._chain.gaussian import gaussian_params
from barograph_models.gaussian_hmm import DIAGONAL
from barograph_strategies.regime_filter import regime_filter
from benchmarks import Row, Table, bars, best

ROOT = Path(__file__).resolve().parent.parent
MINUTE = 60_000_000_000
# Minutes of a world known by days, so that a million of them do not end at a price of 1e175.
_DAILY = SCENARIOS["daily2"]
WORLD = _DAILY._replace(
    name="minutes2",
    mean=tuple(m / 390.0 for m in _DAILY.mean),
    variance=tuple(v / 390.0 for v in _DAILY.variance),
)


def true_filter(world: Scenario = WORLD) -> bg.Filter:
    """Return the online filter that knows the world's parameters."""
    arrays = [np.array(a) for a in (world.start, world.transition, world.mean, world.variance)]
    params = gaussian_params(arrays[0], arrays[1], arrays[2][:, None], arrays[3][:, None])
    return bg.Filter(DIAGONAL.init, DIAGONAL.step, params, len(world.mean), "true")


def follow_in_python(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    """The regime filter as an ordinary function."""
    return state, bg.Target(1.0 if belief.probs[0] > 0.5 else 0.0)


def one_asset(count: int) -> bg.History:
    return simulate(WORLD, count, seed=0, spacing="1min").history


def many_assets(count: int, assets: int = 100) -> bg.History:
    returns = draw(WORLD, count, seed=0, paths=assets)[0]
    close = 100.0 * np.cumprod(1.0 + returns, axis=1).T
    return bg.History.from_arrays(ts=np.arange(count) * MINUTE + 10**18, close=close, calendar="24/7")


def speed(size: float = 1.0) -> Table:
    """Time scan and replay, one asset and a hundred, and the hand-fused loop that does the same by hand."""
    history = one_asset(bars(1_000_000, size))
    machine = bg.Machine(strategy=regime_filter(), filter=true_filter())
    run = bg.scan(machine, history)
    by_hand = fused_run(machine, history)
    same = "same bits" if np.array_equal(by_hand, run.arrays.equity) else "OTHER BITS"
    floor = best(lambda: fused_run(machine, history)) / len(history)
    whole = best(lambda: bg.scan(machine, history), 7) / len(history)
    orders = f"{len(run.arrays.events) // 2:,} orders"
    return Table(
        f"The regime filter through the engine, {len(history):,} bars, {orders}",
        [
            Row("scan, 1 asset, K=2", 1e9 * whole, "ns/bar", "<= 150", f"{whole / floor:.1f}x the loop by hand"),
            Row("the same in one loop, by hand", 1e9 * floor, "ns/bar", "", f"equity: {same}"),
            *_replayed(machine, history.head(bars(100_000, size))),
            *_hundred(bars(20_000, size)),
        ],
    )


def _replayed(machine: bg.Machine, history: bg.History) -> list[Row]:
    python = bg.Machine(strategy=bg.strategy(follow_in_python), filter=true_filter())
    rows = []
    for name, run, tried, wanted in (
        ("replay, all parts compiled", bg.replay, machine, ">= 150,000"),
        ("replay, strategy in Python", bg.replay, python, ">= 80,000"),
        ("scan, strategy in Python", bg.scan, python, ""),
    ):
        run(tried, history.head(200))
        spent = best(lambda run=run, tried=tried: run(tried, history)) / len(history)  # type: ignore[misc]
        rows.append(Row(name, 1.0 / spent, "bars/s", wanted, f"{1e6 * spent:.2f} us/bar"))
    return rows


def _hundred(count: int) -> list[Row]:
    history = many_assets(count)
    rows = []
    for name, band in (("scan, 100 assets, band 0.2 %", 0.002), ("scan, 100 assets, all traded every bar", 0.0)):
        machine = bg.Machine(strategy=regime_filter(), filter=true_filter(), terms=bg.Terms(band=band))
        events = len(bg.scan(machine, history).arrays.events) / count
        spent = best(lambda machine=machine: bg.scan(machine, history)) / count  # type: ignore[misc]
        rows.append(Row(name, 1e6 * spent, "us/bar", "<= 5", f"{events:.1f} order events a bar"))
    return rows


def fused_run(machine: bg.Machine, history: bg.History) -> Any:
    """Return the equity (T,) of the threshold-0.5 regime filter on one asset, by one loop written for it alone."""
    p, m = machine.filter.params, machine.terms  # type: ignore[union-attr]
    equity, beliefs = np.empty(len(history)), np.empty((len(history), 2))
    terms = (m.cash, m.fee, m.fixed_fee, m.slippage, m.leverage, m.borrow_rate, m.cash_rate)
    h = history
    columns = (h.ts, h.open[:, 0], h.high[:, 0], h.low[:, 0], h.close[:, 0], h.volume[:, 0])
    law = (p.start, p.transition, p.means[:, 0].copy(), p.whitening[:, 0].copy(), p.peak)
    _fused(*columns, *law, *(float(x) for x in terms), equity, beliefs)
    return equity


@numba.njit(error_model="numpy")
def _fused(ts, o, h, lo, c, v, start, P, mean, inverse, peak, cash, fee, fixed, slip, lev, borrow, lend, E, B):  # type: ignore[no-untyped-def]
    held, price, pending, wanted, last, since = 0.0, math.nan, False, 0.0, 0.0, -1
    p0, p1 = 0.0, 0.0
    for t in range(ts.size):
        days = ts[t] // DAY - since // DAY if since >= 0 else 0
        cash += cash * (borrow if cash < 0.0 else lend) * days / YEAR
        since = ts[t]
        if pending and o[t] > 0.0 and v[t] != 0.0:
            cash, held = _trade(o[t], h[t], lo[t], cash, held, wanted, fee, fixed, slip, lev)
            pending = False
        price = c[t]
        equity = cash + held * price
        E[t] = equity
        x = math.log(c[t] / last) if last > 0.0 else math.nan
        last = c[t]
        a0, a1 = start[0], start[1]
        if t > 0:
            a0 = p0 * P[0, 0] + p1 * P[1, 0]
            a1 = p0 * P[0, 1] + p1 * P[1, 1]
        p0, p1 = a0, a1
        if x == x:
            z0, z1 = (x - mean[0]) * inverse[0], (x - mean[1]) * inverse[1]
            l0, l1 = peak[0] - 0.5 * (z0 * z0), peak[1] - 0.5 * (z1 * z1)
            top = max(l0, l1)
            p0 = a0 if l0 == top else a0 * math.exp(l0 - top)
            p1 = a1 if l1 == top else a1 * math.exp(l1 - top)
            share = 1.0 / (p0 + p1)
            p0, p1 = p0 * share, p1 * share
        B[t, 0], B[t, 1] = p0, p1
        w = 1.0 if p0 > 0.5 else 0.0
        if not (pending and wanted == w):
            gap = abs(w - held * price / equity)
            pending, wanted = gap > DUST, w


@numba.njit(error_model="numpy", inline="always")
def _trade(p, high, low, cash, held, w, fee, fixed, slip, lev):  # type: ignore[no-untyped-def]
    equity = cash + held * p
    gap = w * (equity - fixed) - held * p
    if gap > 0.0:
        deal = max(p, min(p * (1.0 + slip), high))
        q = gap / (p + w * (deal * (1.0 + fee) - p))
    else:
        deal = min(p, max(p * (1.0 - slip), low))
        q = gap / (p - w * (p - deal * (1.0 - fee)))
    size = 0.0 if w == 0.0 else held + (0.0 if abs(gap) <= DUST * equity else q)
    if abs(size) > abs(held):
        need = (abs(size) - abs(held)) * p + lev * (abs(size - held) * (abs(deal - p) + fee * deal))
        room = lev * (equity - fixed) - abs(held * p)
        share = 1.0 if need <= 0.0 or room >= need * (1.0 - DUST) else max(0.0, room / need)
        size = size if share == 1.0 else held + share * (size - held)
    q = size - held
    if q != 0.0:
        cash -= q * deal + (abs(q) * deal * fee + fixed)
    return cash, size


MEMORY = """
import gc, sys
import numpy as np
import barograph as bg
from barograph_strategies.regime_filter import regime_filter
from benchmarks.engine import one_asset, true_filter

def held(key):
    with open("/proc/self/status") as status:
        return next(1024 * int(line.split()[1]) for line in status if line.startswith(key))

with np.load(sys.argv[1]) as kept:
    machine = bg.Machine(strategy=regime_filter(), filter=true_filter())
    bg.scan(machine, one_asset(300))
    gc.collect()
    before = held("VmRSS")
    history = bg.History.from_arrays(symbols=["A"], **{name: kept[name] for name in kept.files})
gc.collect()
with open("/proc/self/clear_refs", "w") as marks:
    marks.write("5")
run = bg.scan(machine, history)
peak = held("VmHWM") - before
arrays = (history.ts, history.open, history.high, history.low, history.close, history.volume,
          *(getattr(run.arrays, name) for name in ('table', 'weights', 'beliefs', 'features', 'events')))
print(peak, sum(a.nbytes for a in arrays))
"""


def memory(size: float = 1.0) -> Table:
    """Compare the peak of the resident memory that a scan adds with the arrays it reads and writes."""
    count = bars(1_000_000, size)
    h = one_asset(count)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "bars.npz"
        columns = {name: getattr(h, name) for name in ("open", "high", "low", "close", "volume")}
        np.savez(file, ts=h.ts, **columns)
        peak, arrays = (int(x) for x in _python(MEMORY, str(file)).split())
    megabytes = f"{peak / 1e6:.0f} MB for {arrays / 1e6:.0f} MB of bars and results"
    return Table(f"Memory, {count:,} bars", [Row("peak / arrays", peak / arrays, "x", "<= 2", megabytes)])


RUN = """
import json, sys, time
began = time.perf_counter()
from numba.core import event
from barograph import cli
from barograph.jit.cache import Cache
spent, load = [0.0, 0], Cache.load_overload
def timed(*given):
    began = time.perf_counter()
    found = load(*given)
    spent[0] += time.perf_counter() - began
    spent[1] += found is not None
    return found
Cache.load_overload = timed
entered = "registry.store=" + sys.argv[2] + ".db"
sys.argv = ["barograph", "run", sys.argv[1], "--runs", sys.argv[2], "--json", "--set", entered]
with event.install_recorder("numba:compile") as recorder:
    try:
        cli.main()
    except SystemExit as end:
        if end.code: raise
stamps = recorder.buffer
compiling_for, depth, since = 0.0, 0, 0.0
for when, e in stamps:
    if e.is_start:
        since = when if depth == 0 else since
        depth += 1
    else:
        depth -= 1
        compiling_for += when - since if depth == 0 else 0.0
print("\\n" + json.dumps([sum(e.is_start for _, e in stamps), compiling_for, *spent, time.perf_counter() - began]))
"""


def start(size: float = 1.0) -> Table:
    """Time the help, and what the second run of a config spends on compiled code; the first in an empty cache."""
    help_ = best(lambda: _python("from barograph.cli import main; main()", "--help"), 5 if size >= 1.0 else 1)
    rows = [Row("barograph --help", help_, "s", "<= 0.5", "a fresh process")]
    with tempfile.TemporaryDirectory() as folder:
        kept = {"BAROGRAPH_CACHE": str(Path(folder) / "cache")} if size >= 1.0 else {}
        for name in ("first run", "second run") if size >= 1.0 else ("second run",):
            told = _python(RUN, str(ROOT / "configs" / "regime_filter.toml"), str(Path(folder) / "runs"), **kept)
            count, compiling, loading, loaded, whole = json.loads(told.splitlines()[-1])
            beside = f"{count} compiled {compiling:.2f} s, {loaded} loaded {loading:.2f} s; whole run {whole:.1f} s"
            wanted = "<= 1" if name == "second run" else ""
            rows.append(Row(f"{name}: compiling and loading", compiling + loading, "s", wanted, beside))
    return Table("Start: configs/regime_filter.toml, walk-forward on the S&P 500", rows)


def _python(code: str, *words: str, **environment: str) -> str:
    command = [sys.executable, "-c", code, *words]
    path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    settings = {**os.environ, "PYTHONPATH": path, **environment}
    done = subprocess.run(command, capture_output=True, text=True, env=settings, cwd=ROOT, check=False)
    if done.returncode:
        raise RuntimeError(f"a measured process failed:\n{done.stderr}")
    return done.stdout
