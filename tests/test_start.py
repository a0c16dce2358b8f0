"""How a process starts: what is compiled already is loaded and no more, what comes later is compiled all the same."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from typing import Any

import pytest

# A module that numba imports to compile something, and that no compiled code needs.
REGISTRY = "numba.np.npyimpl"

SCAN = """
run = bg.scan(bg.Machine(strategy=buy_and_hold()), learnable(bars=160))
"""
REPLAY = """
run = bg.replay(bg.Machine(strategy=buy_and_hold()), learnable(bars=160))
"""
FITS = """
from barograph_models.gaussian_hmm import gaussian_hmm
fit = bg.Fit(window=100, every=20)
run = bg.scan(bg.Machine(strategy=buy_and_hold(), model=gaussian_hmm(states=2), fit=fit), learnable(bars=160))
"""
RUN = """
import json, sys
import barograph as bg
from numba.core import event
from barograph_strategies.buy_and_hold import buy_and_hold
from tests.kit.machines import learnable

with event.install_recorder("numba:compile") as recorder:
    exec(sys.argv[1])
print(json.dumps([float(run.arrays.equity[-1]).hex(), len(recorder.buffer), sorted(sys.modules)]))
"""


def fresh(code: str, *arguments: str) -> Any:
    """Run code in a process of its own, and return the JSON it prints."""
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("code", [SCAN, REPLAY, FITS], ids=["scan", "replay", "fits"])
def test_a_second_process_compiles_nothing_and_loads_no_compiler(code: str) -> None:
    first, again = fresh(RUN, code), fresh(RUN, code)
    assert again[0] == first[0]
    assert again[1] == 0
    assert REGISTRY not in again[2]


LATER = """
import json, sys
import numpy as np
from barograph.jit.kernel import compiled
from barograph.jit.ordered import logarithms
from numba.core import event

KEY = float(sys.argv[1])

@compiled
def door(x):
    if x[0] < 0.0:
        raise ValueError("below zero")
    return np.sqrt(x) + KEY

def answer(x):
    try:
        return door(x).tolist()
    except ValueError as error:
        return str(error)

logarithms(np.ones(3))
loaded = "numba.np.npyimpl" not in sys.modules
with event.install_recorder("numba:compile") as recorder:
    answers = answer(np.array([4.0])), answer(np.array([-1.0]))
print(json.dumps([loaded, len(recorder.buffer) > 0, answers]))
"""


def test_what_is_new_is_compiled_in_a_process_that_only_loaded_before() -> None:
    fresh(LATER, "0.0")
    # Another constant, another door: it is compiled by the first process that has it, and loaded by the second.
    key = str(random.SystemRandom().random())
    wanted = [[2.0 + float(key)], "below zero"]
    assert fresh(LATER, key) == [True, True, wanted]
    assert fresh(LATER, key) == [True, False, wanted]


# numba asks scipy for its version, which is no more than these.
SCIPY_ITSELF = {"scipy", "scipy.version", "scipy.__config__", "scipy._cyutility"}


@pytest.mark.parametrize("code", [SCAN, FITS], ids=["scan", "fits"])
def test_a_scan_of_arrays_imports_neither_scipy_nor_calendars_nor_pandas(code: str) -> None:
    imported = set(fresh(RUN, code)[2])
    assert {"numpy", "numba", "barograph.regimes.matching"} <= imported
    heavy = {
        n
        for n in imported - SCIPY_ITSELF
        if n.partition(".")[0] in {"scipy", "exchange_calendars", "pandas", "pyarrow"}
    }
    assert {n for n in heavy if not n.startswith(("scipy._lib", "scipy._distributor"))} == set()
