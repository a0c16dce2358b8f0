"""A danger is warned of through a whole deployment: once, before the market turns, and never where it stays quiet."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from barograph.config.build import build, load_history
from barograph.config.load import load
from barograph.data.calendars import DAY
from barograph.data.history import History
from barograph.loop.run import scan
from barograph.paper.runner import replay
from barograph.paper.simulated import replayed
from barograph_adapters.store.sql import open_store

LEARNED, TURN, BARS, HORIZON, LIMIT, STOPPED = 240, 290, 310, 10, 0.45, 30

TEXT = """
name = "danger"

[data]
use = "tests.paper.test_danger_paper:turning"
turn = {turn}

[run]
start = 241

[[features]]
use = "barograph.features:log_return"

[model]
use = "barograph_models.gaussian_hmm:gaussian_hmm"
starts = 2
jobs = 1

[fit]
window = 240
every = 1000

[strategy]
use = "barograph_strategies.regime_filter:regime_filter"

[paper.watch]
danger = [1]
horizon = 10
early_warning = 0.45
dwell = 1
drawdown = []
weekly_summary = false

[[paper.alerts.to]]
url = "json://nobody"
"""


def turning(turn: int = BARS) -> History:
    """Return one asset's days: calm and wild months, then calm; one odd day from `turn` on, and a storm behind it."""
    rng = np.random.default_rng(5)
    wild = (np.arange(BARS) // 40 + 1) % 3 == 2
    wild[LEARNED:] = np.arange(LEARNED, BARS) > turn
    moves = np.where(wild, 0.02, 0.005) * rng.standard_normal(BARS)
    moves[LEARNED:turn] *= 0.6  # nothing odd among the quiet days
    moves[turn : turn + 1] = -0.0162
    moves[turn + 1 :] = np.sign(moves[turn + 1 :]) * np.maximum(np.abs(moves[turn + 1 :]), 0.02)
    close = 100.0 * np.exp(np.cumsum(moves))[:, None]
    opened = np.vstack([close[:1], close[:-1]])
    return History(
        symbols=("AAA",),
        ts=(np.arange(BARS) + 18_000) * DAY,
        open=opened,
        high=np.maximum(opened, close),
        low=np.minimum(opened, close),
        close=close,
        volume=np.full((BARS, 1), 1e6),
        traded=(True,),
        calendar="24/7",
        source="turning",
    )


def traded(folder: Path, turn: int) -> tuple[list[Any], Any, Any]:
    """Replay the deployment, restarted in the middle; return its alerts, its backtest and its bars."""
    (folder / "danger.toml").write_text(TEXT.format(turn=turn), encoding="utf-8")
    config, store = load(folder / "danger.toml"), open_store(f"sqlite:///{folder}/paper.db")
    for first, last in ((0, STOPPED), (STOPPED, BARS)):
        service, closes, clock = replayed(config, folder, store, config.name, config.run.start)
        service.start()
        replay(service, closes[first:last], clock, None)
        service.stop()
    rows = [dict(row) | {"facts": json.loads(row["facts"])} for row in store.rows("alerts", "danger")]
    store.close()
    history = load_history(config, folder)
    return rows, scan(build(config, folder), history), history


def foreseen(run: Any) -> Any:
    """Return P(wild at any close of the horizon) at each close, by hand, from the features that the machine saw."""
    (learned,) = run.fits
    probs, A = learned.fitted.filter_path(run.arrays.features[learned.first :]).probs, learned.fitted.transition
    return 1.0 - probs[:, 0] * A[0, 0] ** HORIZON


def test_a_turn_is_warned_of_once_and_before_it_is_told(tmp_path: Path) -> None:
    rows, run, history = traded(tmp_path, TURN)
    warned = [row for row in rows if row["kind"] == "early_warning"]
    changed = [row for row in rows if row["kind"] == "regime_change"]
    assert len(warned) == len(changed) == 1
    assert warned[0]["ts"] == history.ts[TURN] < changed[0]["ts"]
    assert changed[0]["facts"]["to"] == 1
    path = foreseen(run)
    bar = len(path) - (BARS - TURN)
    assert warned[0]["facts"]["leaving"] == pytest.approx(path[bar], abs=1e-12)
    assert path[bar - 40 : bar].max() < LIMIT < path[bar]


def test_nothing_is_warned_of_while_it_is_quiet(tmp_path: Path) -> None:
    rows, run, _ = traded(tmp_path, BARS)
    assert not [row for row in rows if row["kind"] in ("early_warning", "regime_change")]
    assert foreseen(run)[-60:].max() < LIMIT
