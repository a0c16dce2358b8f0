"""Leaks that somebody might plant, each a module beside a config: what the audit must name, and where.

A leak tells the parts of it that must stand in one line of the audit: the part, the object, and the line of the module
(the one that ends in `# here`).
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

__all__ = ["CLEAN", "LEAKS", "PARQUET_SOURCE", "VARIANTS", "Leak", "line_of", "planted"]

BARS = 300

HEAD = """
from pathlib import Path
import numpy as np
import pandas as pd
import barograph as bg

BARS = Path(__file__).parent / "bars.csv"

def count(params):
    return 0

def feature(step, params=()):
    return bg.Feature(count, step, params, "planted")
"""

READ = """
CLOSE = pd.read_csv(BARS)["close"]
RETURN = np.log(CLOSE).diff()
"""


class Leak(NamedTuple):
    """A module, which part of a config it is, and what the audit says of it."""

    module: str
    named: tuple[str, ...]
    use: str = "feature"
    leaks: bool = False
    rest: str = ""


KEPT = """
SEEN = {}

def step(state, bars, params):
    SEEN["bars"] = SEEN.get("bars", 0.0) + 1.0  # here
    return state + 1, SEEN["bars"]

def part():
    return feature(step)
"""

SCALER = """
MEAN, SPREAD = float(RETURN.mean()), float(RETURN.std())
del CLOSE, RETURN

def step(state, bars, params):
    return state + 1, (np.log(bars.close[0] / bars.open[0]) - MEAN) / SPREAD  # here

def part():
    return feature(step)
"""

FROM_A_FILE = """
LABELS = pd.read_csv(Path(__file__).parent / "labels.csv")["label"].to_list()

def step(state, bars, params):
    return state + 1, LABELS[state % len(LABELS)]  # here

def part():
    return feature(step)
"""

CENTRED = """
SMOOTH = CLOSE.rolling(11, center=True, min_periods=1).mean().to_numpy()

def step(state, bars, params):
    return state + 1, SMOOTH[state % len(SMOOTH)]  # here

def part():
    return feature(step)
"""

WEEK = """
WEEKS = {int(week): float(last) for week, last in CLOSE.groupby(np.arange(len(CLOSE)) // 7).last().items()}

def step(state, bars, params):
    return state + 1, WEEKS.get(state // 7, 0.0)  # here

def part():
    return feature(step)
"""

BFILL = """
FILLED = CLOSE.where(np.arange(len(CLOSE)) % 3 > 0).bfill()

class Table:
    values = FILLED

def step(state, bars, params):
    return state + 1, float(Table.values.iloc[state % len(FILLED)])  # here

def part():
    return feature(step)
"""

# The models: whoever changes what a fit is given changes it here.
MODEL = """
from barograph.regimes.fitted import Model
from barograph_models.gaussian_hmm import gaussian_hmm
INNER = gaussian_hmm(states=2, starts=2, tolerance=1e-5)
"""

BEYOND = (
    MODEL
    + """
ROWS = RETURN.to_numpy()[:, None]

def fit(window):
    return INNER.fit(ROWS[: len(window.rows) + 20]).named(window.names)  # here

def part():
    return Model(fit, INNER.regimes, "beyond")
"""
)

LATER = (
    MODEL
    + """
def part():
    return INNER.fit(RETURN.to_numpy()[-100:])
"""
)

ONCE = (
    MODEL
    + """
CACHE = {}

def fit(window):
    if "fit" not in CACHE:  # here
        CACHE["fit"] = INNER.fit(RETURN.to_numpy())
    return CACHE["fit"].named(window.names)

def part():
    return Model(fit, INNER.regimes, "once")
"""
)

TOMORROW = """
def part():
    table = CLOSE.to_numpy()
    def rule(state, bars, belief, portfolio, params):
        now = min(state, len(table) - 2)  # here
        return state + 1, bg.Target(1.0 if table[now + 1] > table[now] else 0.0)
    return bg.strategy(rule, init=count)
"""

ELAPSED = """
TOTAL = len(CLOSE)
del CLOSE, RETURN

def step(state, bars, params):
    return state + 1, state / TOTAL  # here

def part():
    return feature(step)
"""

MEDIAN = """
def step(state, bars, params):  # here
    return state + 1, bars.close[0] - params[0]

def part():
    return feature(step, (float(CLOSE.median()),))
"""

COLUMN = """
from typing import Any, NamedTuple

class Params(NamedTuple):
    column: Any

@bg.kernel
def begin(params):
    return 0

@bg.kernel  # here
def step(state, bars, params):
    return state + 1, params.column[min(state, params.column.size - 1)]

def part():
    return bg.Feature(begin, step, Params(RETURN.shift(-1).to_numpy()), "planted")
"""

FROZEN = """
AHEAD = CLOSE.shift(-1).to_numpy()
AHEAD.flags.writeable = False

@bg.kernel
def begin(params):
    return 0

@bg.kernel
def step(state, bars, params):
    return state + 1, AHEAD[min(state, AHEAD.size - 1)]  # here

def part():
    return bg.Feature(begin, step, (), "planted")
"""

MERGED = """
def load():
    from barograph_adapters.files import csv
    return csv(BARS, calendar="24/7").join(csv(BARS.with_name("labels.csv"), symbol="LABEL", columns={"close": "label"},
                                               calendar="24/7").observe("LABEL"))

def rule(state, bars, belief, portfolio, params):
    return state, bg.Target(1.0 if bars.close[1] > 1.5 else 0.0)

def part():
    return bg.strategy(rule)
"""

TABLE = "feature planted"
BEYOND_IT = "model beyond"
ITSELF = "model gaussian_hmm: itself, a fitted model"
FALLS = "strategy rule, observed asset LABEL: STANDS OUT"

LEAKS = {
    "state kept between runs in a module dict": Leak(KEPT, (TABLE, "mine.SEEN"), leaks=True),
    "scaler fitted on all rows at import": Leak(READ + SCALER, (TABLE, "mine.MEAN"), leaks=True),
    "label of 5 bars ahead from a file": Leak(FROM_A_FILE, (TABLE, "mine.LABELS")),
    "centred rolling from a module array": Leak(READ + CENTRED, (TABLE, "mine.SMOOTH"), leaks=True),
    "week's last close known on Monday": Leak(READ + WEEK, (TABLE, "mine.WEEKS"), leaks=True),
    "bfill from the next bar": Leak(READ + BFILL, (TABLE, "mine.Table.values")),
    "fit that reads 20 bars beyond the decision": Leak(
        READ + BEYOND, ("model beyond", "mine.ROWS"), "model", leaks=True
    ),
    "parameters of a later refit": Leak(READ + LATER, (ITSELF,), "model", rest="fitted", leaks=True),
    "fit cached once on the whole sample": Leak(READ + ONCE, ("model once", "mine.CACHE"), "model", leaks=True),
    "strategy looking up tomorrow": Leak(READ + TOMORROW, ("strategy rule", "table in the closure"), "strategy"),
    "share of the sample elapsed": Leak(READ + ELAPSED, (TABLE, "mine.TOTAL"), leaks=True),
    "filter parameter = full-sample median": Leak(READ + MEDIAN, (TABLE, "params, tuple of 1"), leaks=True),
    "precomputed column as a kernel's params": Leak(READ + COLUMN, (TABLE, "params.column"), leaks=True),
    "frozen global array in a kernel": Leak(READ + FROZEN, (TABLE, "mine.AHEAD"), leaks=True),
    "label merged into the history": Leak(MERGED, (FALLS,), "strategy", rest="merged"),
}

STEP = """
def step(state, bars, params):
    return state + 1, float({use})  # here

def part():
    return feature(step)
"""
AT = "[min(state, 299)]"


def _read(made: str, use: str, also: str = "") -> str:
    """Return a module that makes something of the whole sample and reads it in a step."""
    return READ + also + made + STEP.format(use=use)


DEFAULT = """
def step(state, bars, params, table=CLOSE.to_list()):  # here
    return state + 1, table[min(state, 299)]

def part():
    return feature(step)
"""
IN_INIT = """
def begin(params):
    return float(np.load(BARS.with_name("close.npy"))[-1])  # here

def step(state, bars, params):
    return state, state

np.save(BARS.with_name("close.npy"), CLOSE.to_numpy())

def part():
    return bg.Feature(begin, step, (), "planted")
"""
IN_A_STEP = """
def step(state, bars, params):
    rows = BARS.with_name("labels.csv").read_text().splitlines()  # here
    return state + 1, float(rows[1 + min(state, 298)].split(",")[1])

def part():
    return feature(step)
"""
PICKLED = """
import pickle
BARS.with_name("table.pickle").write_bytes(pickle.dumps(CLOSE.tolist()))

@bg.kernel
def begin(params):
    return 0

def step(state, bars, params):
    with open(BARS.with_name("table.pickle"), "rb") as file:  # here
        table = pickle.load(file)
    return state + 1, table[min(state, 299)]

def part():
    return bg.Feature(begin, step, (), "planted")
"""
PARQUET = """
def step(state, bars, params):
    rows = pd.read_parquet(BARS.with_name("labels.parquet"))  # here
    return state + 1, float(rows["label"].iloc[min(state, 299)])

def part():
    return feature(step)
"""
DATABASE = """
import sqlite3

def step(state, bars, params):
    sqlite3.connect(BARS.with_name("labels.db")).close()  # here
    return state + 1, 0.0

def part():
    return feature(step)
"""
FROM_PARQUET = """
MEAN = float(np.mean(pd.read_parquet(BARS.with_name("labels.parquet"))["label"]))

def step(state, bars, params):
    return state + 1, bars.close[0] - MEAN  # here

def part():
    return feature(step)
"""
CACHED = """
from functools import lru_cache

@lru_cache
def table():
    return pd.read_csv(BARS)["close"].to_list()

def step(state, bars, params):
    return state + 1, table()[min(state, 299)]  # here

def part():
    return feature(step)
"""
METHOD = """
class Oracle:
    def __init__(self, table):
        self.table = table

    def step(self, state, bars, params):
        return state + 1, self.table[min(state, 299)]

ORACLE = Oracle(CLOSE.to_list())

def part():
    return feature(ORACLE.step)
"""
CALLED = """
class Oracle:
    def __init__(self, table):
        self.table = table

    def __call__(self, state, bars, params):
        return state + 1, self.table[min(state, 299)]

def part():
    return feature(Oracle(CLOSE.to_list()))
"""
PARTIAL = """
from functools import partial

def look(table, state, bars, params):
    return state + 1, table[min(state, 299)]

def part():
    return feature(partial(look, CLOSE.to_list()))
"""
INSIDE = """
def make():
    def step(state, bars, params):
        import helper.deep  # here
        return state + 1, helper.deep.TABLE[min(state, 299)]
    return step

def part():
    return feature(make())
"""
BY_NAME = """
TABLE = CLOSE.to_list()

def step(state, bars, params):  # here
    return state + 1, globals()["TA" + "BLE"][min(state, 299)]

def part():
    return feature(step)
"""
LATE = """
TABLE = None

def step(state, bars, params):
    global TABLE
    if TABLE is None:  # here
        TABLE = CLOSE.to_numpy()
    return state + 1, TABLE[min(state, 299)]

def part():
    return feature(step)
"""
CHAINED = """
from barograph.features import sma

TABLE = CLOSE.to_list()

def step(state, bars, params):
    return state + 1, TABLE[min(state, 299)]  # here

def part():
    return sma(3, of=feature(step))
"""
LITERAL = """
def step(state, bars, params):  # here
    return state + 1, (ROWS)[min(state, 299)]

def part():
    return feature(step)
""".replace("ROWS", ", ".join(str(float(n % 7)) for n in range(300)))
MAPPED = "MAP = np.memmap(BARS.with_name('m.bin'), np.float64, 'w+', shape=300)\nMAP[:] = CLOSE\n"
HANDLE = "FILE = open(BARS)\n"

VARIANTS = {
    "a frame": Leak(_read("FRAME = pd.DataFrame({'c': CLOSE})", f"FRAME['c'].iloc{AT}"), (TABLE, "mine.FRAME")),
    "a dictionary of arrays": Leak(_read("D = {'c': CLOSE.to_numpy()}", f"D['c']{AT}"), (TABLE, "mine.D")),
    "lists of a list": Leak(_read("L = [[c] for c in CLOSE]", f"L{AT}[0]"), (TABLE, "mine.L")),
    "days of a set": Leak(_read("S = {k for k in range(299) if RETURN[k + 1] > 0}", "state in S"), (TABLE, "mine.S")),
    "a text of labels": Leak(_read("T = ''.join('01'[r > 0] for r in RETURN)", f"T{AT}"), (TABLE, "mine.T")),
    "one large number": Leak(_read("N = int(''.join('01'[r > 0] for r in RETURN) * 4, 2)", "N >> 3 & 1"), ("mine.N",)),
    "a method of a list": Leak(_read("GET = CLOSE.to_list().__getitem__", "GET(min(state, 299))"), (TABLE, "list of")),
    "an iterator": Leak(_read("NEXT = iter(CLOSE.to_list() * 99)", "next(NEXT)"), (TABLE, "mine.NEXT")),
    "a memory map": Leak(_read(MAPPED, f"MAP{AT}"), (TABLE, "memory map of m.bin")),
    "an open file": Leak(_read(HANDLE, "len(FILE.name) + state"), (TABLE, "open file bars.csv")),
    "a lambda that closes over it": Leak(_read("F = (lambda t: lambda s: t[min(s, 299)])(CLOSE.to_list())", "F(state)"),
                                         (TABLE, "t in the closure of"), rest="elsewhere"),
    "a default argument": Leak(READ + DEFAULT, (TABLE, "default table of step")),
    "a file opened in init": Leak(READ + IN_INIT, (TABLE, "close.npy, a file read while it ran")),
    "a file opened in a step": Leak(READ + IN_A_STEP, (TABLE, "labels.csv, a file read while it ran")),
    "a pickle": Leak(READ + PICKLED, (TABLE, "table.pickle, a file read while it ran")),
    "a Parquet file": Leak(READ + PARQUET, (TABLE, "labels.parquet, a file read while it ran")),
    "a database": Leak(DATABASE, (TABLE, "labels.db, a file read while it ran")),
    "a cache of functools": Leak(READ + CACHED, (TABLE, "the cache of table")),
    "a method's object": Leak(READ + METHOD, (TABLE, "table, list of 300")),
    "an object that is called": Leak(READ + CALLED, (TABLE, "table, list of 300")),
    "a partial": Leak(READ + PARTIAL, (TABLE, "argument 0 of look, list of 300")),
    "an import inside a step": Leak(INSIDE, (TABLE, "helper.deep.TABLE")),
    "a module through two hops": Leak(_read("import helper", f"helper.deep.TABLE{AT}"), (TABLE, "helper.deep.TABLE")),
    "a module asked by name": Leak(_read("import helper.deep as h", f"getattr(h, 'TABLE'){AT}"), (TABLE, "deep.TABLE")),
    "a name made at run time": Leak(READ + BY_NAME, (TABLE, "mine.TABLE")),
    "a table made in the first step": Leak(READ + LATE, (TABLE, "mine.TABLE")),
    "a feature under one that ships": Leak(READ + CHAINED, ("feature sma(3) of planted", "mine.TABLE")),
    "a table written into a function": Leak(READ + LITERAL, (TABLE, "a constant in step, tuple of 300")),
}  # fmt: skip

PARQUET_SOURCE = Leak(FROM_PARQUET, (TABLE, "mine.MEAN"), leaks=True)

SCALE = """
WEIGHTS = (0.5, 0.3, 0.2)
NAMES = ["open", "close"]

class Blend:
    power = 0.5

def step(state, bars, params):
    made = WEIGHTS[0] * bars.open[0] + WEIGHTS[1] * getattr(bars, NAMES[1])[0]
    return state + 1, made * Blend.power

def part():
    return feature(step)
"""
LOADER = """
def load():
    return bg.History.from_pandas(pd.read_csv(BARS), symbol="OWN", calendar="24/7")

def rule(state, bars, belief, portfolio, params):
    return state, bg.Target(0.5)

def part():
    return bg.strategy(rule)
"""
EXPANDING = MODEL + "\n\ndef part():\n    return INNER\n"
CLEAN = {
    "a feature with three weights": Leak(SCALE, ()),
    "a loader of one's own": Leak(LOADER, (), "strategy", rest="merged"),
    "an expanding monthly refit": Leak(EXPANDING, (), "model"),
}

DATA = """
name = "planted"
[data]
use = "barograph_adapters.files:csv"
path = "bars.csv"
calendar = "24/7"
"""
LOADED = 'name = "planted"\n[data]\nuse = "mine:load"\n'
HOLD = '[strategy]\nuse = "barograph_strategies.buy_and_hold:buy_and_hold"\n'
USES = {
    "feature": '[[features]]\nuse = "mine:part"\n' + HOLD,
    "strategy": '[strategy]\nuse = "mine:part"\n',
    "model": '[model]\nuse = "mine:part"\n[fit]\nwindow = 100\nevery = "month"\nexpanding = true\n'
    '[strategy]\nuse = "barograph_strategies.regime_filter:regime_filter"\n',
}


def planted(folder: Path, leak: Leak) -> Path:
    """Write bars, labels of what comes, the module and a config; return the config."""
    rng = np.random.default_rng(7)
    close = 100.0 * np.exp(np.cumsum(0.01 * rng.standard_normal(BARS)))
    open_ = np.append(100.0, close[:-1])
    days = pd.date_range("2020-01-01", periods=BARS).strftime("%Y-%m-%d")
    prices = {"open": open_, "high": np.maximum(open_, close), "low": np.minimum(open_, close), "close": close}
    pd.DataFrame({"date": days, **prices, "volume": 1e6}).to_csv(folder / "bars.csv", index=False)
    ahead = 1 if leak.rest == "merged" else 5
    label = np.where(np.append(close[ahead:], close[-ahead:]) > close, 2.0, 1.0)
    labels = pd.DataFrame({"date": days, "label": label})
    labels.to_csv(folder / "labels.csv", index=False)
    labels.to_parquet(folder / "labels.parquet")
    (folder / "mine.py").write_text(HEAD + leak.module)
    (folder / "helper").mkdir()
    (folder / "helper" / "__init__.py").write_text("from . import deep\n")
    (folder / "helper" / "deep.py").write_text("TABLE = [float(n) for n in range(300)]\n")
    body = USES[leak.use]
    if leak.rest == "fitted":
        body = body.replace('[fit]\nwindow = 100\nevery = "month"\nexpanding = true\n', "")
    (folder / "c.toml").write_text((LOADED if leak.rest == "merged" else DATA) + body)
    return folder / "c.toml"


def line_of(leak: Leak) -> str:
    """Return the place that must be named, or nothing where the leak marks none."""
    lines = (HEAD + leak.module).splitlines()
    here = [n for n, line in enumerate(lines, 1) if line.endswith("# here")]
    return f"mine.py, line {here[0]}" if here and leak.rest != "elsewhere" else ""
