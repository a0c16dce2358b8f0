"""The crosscheck: what is made of another engine's answer, how it is asked, and that the real ones agree.

The comparison is tested with made-up answers and with a made-up peer, everywhere. The real peers run where an
environment has them: named by BAROGRAPH_PEERS (its python), or .venv-peers beside the project.
"""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from benchmarks.agreement import CAMPAIGNS, bars, portfolio, rebalance, run

import barograph as bg
from barograph.audit.crosscheck import Agreement, Difference, compared, crosscheck, exit_status, replayed
from barograph.audit.decisions import decisions, fills_of
from barograph.audit.peers import PEERS, listed_bars
from barograph.errors import ConfigError
from tests import ROOT
from tests.kit.machines import TERMS
from tests.kit.scripted import FREE, HALF, script


@pytest.fixture(scope="module")
def result() -> bg.Result:
    """A portfolio of two that trades at every bar."""
    return portfolio(1, 1.0, 2)


def answer(result: bg.Result, peer: str = "bt") -> tuple[pd.DataFrame, Any]:
    """What a peer that agrees to the last digit would say."""
    return fills_of(result, PEERS[peer].costs_in_price).drop(columns="order"), result.arrays.equity.copy()


def test_our_own_numbers_agree(result: bg.Result) -> None:
    found = compared(result, "bt", "0", *answer(result))
    assert found.agrees
    assert (found.fill_gap, found.equity_gap, found.bars) == (0.0, 0.0, len(result.arrays.equity))
    assert found.fills == len(result.tables["fills"])
    assert f"agrees on {found.fills} fills" in str(found)


@pytest.mark.parametrize("column", ["price", "quantity"])
@pytest.mark.parametrize(("gap", "agrees"), [(2e-9, False), (5e-10, True)])
def test_a_fill_that_differs_is_named(result: bg.Result, column: str, gap: float, agrees: bool) -> None:
    fills, equity = answer(result)
    ours = float(fills[column][7])
    fills.loc[7, column] *= 1.0 + gap
    found = compared(result, "bt", "0", fills, equity)
    assert found.agrees == agrees
    assert found.fill_gap == pytest.approx(gap, rel=1e-5)
    if not agrees:
        first = found.first
        assert first is not None
        row = result.tables["fills"].iloc[7]
        assert (first.order, first.asset, first.what) == (row.order_id, row.asset, column)
        assert (first.ours, first.theirs) == (ours, fills[column][7])
        assert first.when == result.history.when(int(fills.bar[7]))
        assert f"order {row.order_id} ({row.asset}) {column}: ours {ours!r}" in str(found)
        assert "docs/crosscheck.md lists no reason" in str(found)


def test_equity_that_differs_is_named(result: bg.Result) -> None:
    fills, equity = answer(result)
    equity[40:] *= 1.0 + 2e-8
    first = compared(result, "bt", "0", fills, equity).first
    assert first is not None
    assert (first.bar, first.order, first.what, first.ours) == (40, 0, "equity", result.arrays.equity[40])
    equity[40:] = result.arrays.equity[40:] * (1.0 + 5e-9)
    assert compared(result, "bt", "0", fills, equity).agrees


def test_the_first_difference_comes_first(result: bg.Result) -> None:
    fills, equity = answer(result)
    fills.loc[len(fills) - 1, "price"] *= 1.1
    equity[30:] += 1.0
    first = compared(result, "bt", "0", fills, equity).first
    assert first is not None
    assert (first.bar, first.what) == (30, "equity")
    fills.loc[fills.bar == 30, "quantity"] *= 1.1
    first = compared(result, "bt", "0", fills, equity).first
    assert first is not None
    assert first.what == ("quantity" if (fills.bar == 30).any() else "equity")


@pytest.mark.parametrize("ours_lacks", [True, False])
def test_a_fill_of_one_side_alone_is_a_difference(result: bg.Result, ours_lacks: bool) -> None:
    fills, equity = answer(result)
    extra = pd.concat([fills, fills.iloc[[5]].assign(quantity=-fills.quantity[5])])
    found = compared(result, "bt", "0", extra if ours_lacks else fills.drop(index=5), equity)
    assert found.first is not None
    assert found.first.bar == fills.bar[5]
    assert (found.first.ours == 0.0, found.first.theirs == 0.0) == (ours_lacks, not ours_lacks)
    assert found.fill_gap == np.inf


def test_pieces_of_a_fill_count_together_and_crumbs_do_not_count(result: bg.Result) -> None:
    fills, equity = answer(result)
    half = fills.iloc[[5]].assign(quantity=fills.quantity[5] / 2.0)
    crumb = fills.iloc[[9]].assign(bar=fills.bar[9] + 1, quantity=fills.quantity.abs().max() * 1e-14)
    assert compared(result, "bt", "0", pd.concat([fills.drop(index=5), half, half, crumb]), equity).agrees


def test_a_run_without_trades_agrees() -> None:
    idle = script()
    assert compared(idle, "bt", "0", *answer(idle)).agrees
    assert len(decisions(idle)) == 0


def told(problem: str = "", first: Difference | None = None) -> Agreement:
    return Agreement("bt", "1", "", 0, 0, 0.0, 0.0, first, problem)


def test_the_exit_status_says_what_was_found() -> None:
    differs = told(first=Difference(0, "", 0, "", "equity", 1.0, 2.0))
    assert exit_status([told(), told()]) == 0
    assert exit_status([told(), told("not installed")]) == 2
    assert exit_status([told("not installed"), differs]) == 8


# The other process


def python(folder: Path, body: str) -> str:
    """Write an interpreter that does as `body` says, whatever it is asked."""
    path = folder / "python"
    path.write_text(f"#!{sys.executable}\n{body}", encoding="utf-8")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


ECHO = """
import sys, pathlib, numpy as np, pandas as pd
_, flag, m, module, name, *folders = sys.argv
assert (flag, m, module, name) == ("-P", "-m", "barograph_adapters.peers", "bt")
from barograph_adapters.peers import Answer, dealt, fee, read, write
print("9.9")
for folder in map(pathlib.Path, folders):
    task, cash, held, equity, fills = read(folder), None, 0.0, [], []
    cash = task.terms["cash"]
    for t in range(len(task.close)):
        for order in task.orders[task.orders.filled == t].itertuples():
            price = dealt(task, order)
            cash -= order.quantity * price + fee(task.terms, order.quantity, price)
            held += order.quantity
            fills.append((t, 0, order.quantity, price))
        equity.append(cash + held * task.close[t, 0])
    write(folder, Answer(fills, equity))
"""


def test_a_peer_in_another_process_is_asked_and_heard(tmp_path: Path) -> None:
    runs = [portfolio(5 * seed, 1.0, 2) for seed in range(3)]
    found = replayed(runs, "bt", python(tmp_path, ECHO))
    assert [str(one) for one in found if not one.agrees] == []
    assert [one.version for one in found] == ["9.9"] * 3
    assert sum(one.fills for one in found) > 100


def test_a_run_that_fails_there_is_told_in_its_place(tmp_path: Path) -> None:
    fails = "(folder / 'failed.txt').write_text('ValueError: no')"
    body = ECHO.replace("    write(", f"    if len(fills) == 0: {fails}; continue\n    write(")
    found = replayed([script(), script(HALF)], "bt", python(tmp_path, body))
    assert [one.problem for one in found] == ["it failed: ValueError: no", ""]


@pytest.mark.parametrize(("body", "words"), [
    ("raise SystemExit(3)", "bt is not installed; {python} -m pip install bt==1.4.1, or name an environment that"),
    ("raise SystemExit('No module named barograph_adapters')",
     "Barograph is not installed there; {python} -m pip install . bt==1.4.1, in the folder of its source"),
    ("1 / 0", "{python} failed: ZeroDivisionError: division by zero; --python wants the Python of an environment with"),
    ("raise SystemExit(4)", "{python} failed: without a word, exit status 4; --python wants"),
    ("pass", "{python} failed: without a word, exit status 0; --python wants"),
])  # fmt: skip
def test_a_peer_that_cannot_run_is_named_with_the_cure(tmp_path: Path, body: str, words: str) -> None:
    interpreter = python(tmp_path, body)
    problem = crosscheck(script(HALF), ["bt"], interpreter)[0].problem
    assert problem.startswith(words.format(python=interpreter))


def test_an_interpreter_that_is_none_is_named() -> None:
    assert "no-such-python: cannot be run" in crosscheck(script(HALF), ["bt"], "no-such-python")[0].problem


def test_an_unknown_peer_is_named_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"--against backtrade: no such peer; did you mean 'backtrader'"):
        crosscheck(script(HALF), ["bt", "backtrade"])


def test_nobody_to_compare_with_is_an_error() -> None:
    with pytest.raises(ConfigError, match=r"--against: names nobody; wanted some of backtesting, backtrader"):
        crosscheck(script(HALF), [])


def test_every_obstacle_has_a_line_with_its_cure() -> None:
    told = str(crosscheck(script(HALF, tick=0.01, impact=0.1), ["bt"], "no-such-python")[0])
    assert told.splitlines() == [
        "bt: not compared",
        "  cannot replay slippage that depends on volatility or size (clause 4); "
        "--set execution.volatility_slippage=0 --set execution.impact=0",
        "  cannot replay prices rounded to ticks (clause 4); --set execution.tick=0",
    ]
    assert str(crosscheck(script(HALF, tick=0.01), ["bt"], "no-such-python")[0]).startswith("bt: not compared: cannot")


def test_the_peers_side_says_when_the_peer_is_absent() -> None:
    command = [sys.executable, "-P", "-m", "barograph_adapters.peers", "nothing-of-this-name"]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 3


# The real ones


def environment() -> str | None:
    """The python of an environment that has the peers, or None."""
    beside = ROOT / ".venv-peers" / "bin" / "python"
    return os.environ.get("BAROGRAPH_PEERS") or (str(beside) if beside.exists() else None)


@pytest.mark.parametrize("campaign", CAMPAIGNS, ids=lambda c: f"{c.peer}: {c.name}")
def test_the_real_peers_agree(campaign: Any) -> None:
    interpreter = environment()
    if interpreter is None:
        pytest.skip(
            "no other engines: `make bench-peers` installs them into .venv-peers, BAROGRAPH_PEERS names a python"
        )
    runs = [one for one in (campaign.make(seed) for seed in range(12)) if not listed_bars(one, campaign.peer)][:3]
    assert [str(found) for found in replayed(runs, campaign.peer, interpreter) if not found.agrees] == []


def test_a_wrong_price_would_be_seen_by_the_real_peers() -> None:
    interpreter = environment()
    if interpreter is None:
        pytest.skip(
            "no other engines: `make bench-peers` installs them into .venv-peers, BAROGRAPH_PEERS names a python"
        )
    honest = run(rebalance, bars(1), (1.0, 1.0, 1.0, 1.0), **{**TERMS, **FREE})
    bent = honest.arrays.table.copy()
    bent[60:, 0] *= 1.0 + 1e-7
    wrong = replace(honest, arrays=replace(honest.arrays, table=bent))
    found = crosscheck(wrong, ["backtrader"], interpreter)[0]
    assert found.first is not None
    assert (found.first.what, found.first.bar) == ("equity", 60)
