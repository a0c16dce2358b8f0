"""The interval of a run: what the way through the bars decides, and when it decides the verdict."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph.audit import bounds as module
from barograph.audit.bounds import MEASURES, bounds
from barograph.loop.run import scan

DAY = 86_400_000_000_000


@pytest.fixture(autouse=True)
def plainly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain Python has the same bits, and starts at once."""
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)


@bg.kernel
def bracketed(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    """Everything in at every open, out at 10 % either way."""
    p = bars.close[0]
    return state, bg.Protected(1.0 if portfolio.quantity[0] == 0.0 else bg.HOLD, p * 0.9, p * 1.1, math.nan)


@bg.kernel
def simple(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    return state, bg.Target(0.5)


def wide(bars: int = 8) -> bg.History:
    """Bars that open and close at 100 and touch 85 and 115 on the way."""
    level = np.full(bars, 100.0)
    return bg.History.from_arrays(np.arange(1, bars + 1) * DAY, level, level, 1.15 * level, 0.85 * level)


FREE: dict[str, Any] = {"fee": 0.0, "slippage": 0.0}


def test_a_run_whose_sign_depends_on_the_path_flips() -> None:
    found = bounds(scan(bg.Machine(strategy=bg.strategy(bracketed), terms=bg.Terms(**FREE)), wide()))
    low, high = (found.paths[path]["total_return"] for path in ("pessimistic", "optimistic"))
    assert low == pytest.approx(0.9**7 - 1.0)
    assert high == pytest.approx(1.1**7 - 1.0)
    assert found.flips == ("sign", "hold")
    assert found.resting
    assert found.stopped == {}


@pytest.mark.parametrize("path", ["pessimistic", "optimistic", "nearest"])
def test_the_interval_does_not_depend_on_the_path_of_the_run(path: str) -> None:
    found = bounds(scan(bg.Machine(strategy=bg.strategy(bracketed), terms=bg.Terms(path=path, **FREE)), wide()))
    assert found == bounds(scan(bg.Machine(strategy=bg.strategy(bracketed), terms=bg.Terms(**FREE)), wide()))


def test_a_run_without_resting_orders_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    run = scan(bg.Machine(strategy=bg.strategy(simple)), wide())
    monkeypatch.setattr(module, "scan", None)
    told: list[tuple[int, int]] = []
    found = bounds(run, lambda done, total: told.append((done, total)))
    assert not found.resting
    assert found.flips == ()
    assert found.paths["pessimistic"] == found.paths["optimistic"] == found.paths["nearest"]
    assert found.paths["nearest"] == {name: run.metrics[name] for name in MEASURES}
    assert told == [(1, 1)]


def test_the_other_paths_would_have_been_the_same() -> None:
    """What is not run again needs no second run: without resting orders no path moves a fill."""
    runs = [
        scan(bg.Machine(strategy=bg.strategy(simple), terms=bg.Terms(path=path)), wide())
        for path in ("pessimistic", "optimistic")
    ]
    assert runs[0].arrays.table.tobytes() == runs[1].arrays.table.tobytes()


def test_a_path_that_ruins_the_account_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    run = scan(bg.Machine(strategy=bg.strategy(bracketed), terms=bg.Terms(path="optimistic", **FREE)), wide())

    def ruined(machine: bg.Machine, *_: Any, **__: Any) -> Any:
        if machine.terms.path == "pessimistic":
            raise bg.StrategyError("ruined the account")
        return scan(machine, run.history)

    monkeypatch.setattr(module, "scan", ruined)
    found = bounds(run)
    assert found.stopped == {"pessimistic": "ruined the account"}
    assert found.paths["pessimistic"] == dict.fromkeys(MEASURES)
    assert "sign" in found.flips
