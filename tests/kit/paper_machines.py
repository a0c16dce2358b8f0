"""What is traded on paper while it is killed: assets with actions and gaps, resting stops, a model that learns."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from barograph.config.load import load
from barograph.config.schema import Config
from barograph.data.calendars import DAY
from barograph.data.history import History

WINDOW = 200
"""Bars that a model is fitted on."""

BEFORE = WINDOW + 1
"""Bars before the first decision; the first one has no return."""

TEXT = """
name = "crashes"

[data]
use = "tests.kit.paper_machines:market"
bars = {bars}

[run]
start = {before}

[[features]]
use = "barograph.features:log_return"

[model]
use = "barograph_models.gaussian_hmm:gaussian_hmm"
states = 2
starts = 2
jobs = 1

[fit]
window = {window}
every = {every}

[strategy]
use = "tests.kit.machines:guarded"

[execution]
leverage = 1.5
tick = 0.01
participation = 0.1
cash_rate = 0.01
borrow_rate = 0.07

[[guards]]
on = "drawdown"
limit = 0.05
mode = "reduce_only"
cool_down = 10

[[guards]]
on = "stop_out"
limit = 2
cool_down = 2

[paper.watch]
daily_summary = true
drawdown = [0.02, 0.05, 0.1]

[[paper.alerts.to]]
name = "file"
url = "json://nobody"

[[paper.alerts.to]]
name = "urgent"
url = "json://nobody"
severity = "warning"
"""


CHOICE = """
[choose]
every = 7
window = 20
keys = { "fit.window" = [120, 170] }
figure = "total_return"
"""


def market(bars: int = 2 * WINDOW, seed: int = 1) -> History:
    """Return daily bars of three assets in two clear regimes, with bars missing, dividends, and splits 2:1."""
    rng = np.random.default_rng(seed)
    shape = bars, 3
    wild = (np.arange(bars) // 35 % 3 == 2)[:, None]
    own = rng.normal(np.where(wild, -0.001, 0.0008), np.where(wild, 0.02, 0.005), shape)
    close = 100.0 * np.exp(np.cumsum(own + rng.normal(0.0, 0.003, (bars, 1)), axis=0))
    opened = close * np.exp(rng.normal(0.0, 0.003, shape))
    high = np.maximum(opened, close) * np.exp(np.abs(rng.normal(0.0, 0.004, shape)))
    low = np.minimum(opened, close) * np.exp(-np.abs(rng.normal(0.0, 0.004, shape)))
    volume = rng.integers(10_000, 1_000_000, shape) * 1.0
    gone = rng.random(shape) < np.array([0.0, 0.03, 0.03])
    splits = np.where(~gone & (rng.random(shape) < 0.002), 2.0, 1.0)
    prices = [column / np.cumprod(splits, axis=0) for column in (opened, high, low, close)]
    columns = [np.where(gone, np.nan, column) for column in (*prices, volume)]
    dividends = np.where(~gone & (rng.random(shape) < 0.01), 0.005 * prices[3], 0.0)
    names = ("open", "high", "low", "close", "volume")
    return History(
        symbols=("AAA", "BBB", "CCC"),
        ts=(np.arange(bars) + 18_000) * DAY,
        **dict(zip(names, columns, strict=True)),
        traded=(True,) * 3,
        calendar="24/7",
        source="market",
        dividends=dividends,
        splits=splits,
    )


def written(folder: Path, bars: int, every: int = 40, choose: bool = False) -> Path:
    """Write the config that decides so many bars, learns again every so many, and may choose its window."""
    path = folder / "crashes.toml"
    text = TEXT.format(bars=bars + BEFORE, before=BEFORE, window=WINDOW, every=every)
    path.write_text(text + (CHOICE if choose else ""), encoding="utf-8")
    return path


def config(folder: Path, bars: int, every: int = 40, choose: bool = False) -> Config:
    """Return that config."""
    return load(written(folder, bars, every, choose))
