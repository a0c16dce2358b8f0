"""Parts and doors are cached apart: an edit compiles the part it is in and nothing else, and no answer is stale."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core import event

import barograph
import barograph as bg
from barograph.features import log_return
from barograph.jit.calling import address, call_alone
from barograph.jit.kernel import Kernel, kernel, shared
from barograph.jit.reach import put_real
from barograph.testing import some_bars
from barograph_models.cnn import cnn
from barograph_models.kmeans import kmeans
from barograph_models.labels import labels_of
from tests import ROOT

SCRIPT = """
import json, os, sys
import mine
import numpy as np
import barograph as bg
from numba.core import event
from barograph.jit import fingerprint
from barograph_models.cnn import cnn
from barograph_models.kmeans import kmeans
from barograph_models.labels import labels_of
from barograph.testing import coin, interpreted, same, some_bars

if os.environ.get("WEAKENED"):
    read = fingerprint._read
    fingerprint._read = lambda code: ("", *read(code)[1:])
    of_function = fingerprint._of_function
    fingerprint._of_function = lambda function, seen: (
        "blind" if function.__code__.co_filename.endswith("mine.py") else of_function(function, seen)
    )
    told = fingerprint._told
    fingerprint._told = lambda module: "" if module.__name__.endswith("frame") else told(module)
plan = bg.strategy(mine.decide, init=lambda params: 0.0)
net, bars = bool(os.environ.get("NET")), some_bars(700, assets=2, seed=3)
belief = {"filter": coin()}
if net:
    belief, bars = {"model": cnn(labels_of(kmeans(2)), window=4, filters=1).untrained(1)}, bars.head(60)
machine = bg.Machine(strategy=plan, features=[bg.Feature(lambda _: 0, mine.see, (), "mine")], **belief)
with event.install_recorder("numba:compile") as recorder:
    run = bg.scan(machine, bars)
made = [found.data["dispatcher"].py_func for _, found in recorder.buffer]
names = sorted({f"{f.__module__}: {f.__name__}" if net else f.__name__ for f in made})
right = same(run, interpreted(machine, bars))
print(json.dumps([float(run.arrays.equity[-1]), names, right]))
"""
MINE = """
import barograph as bg


@bg.kernel
def see(state, bars, params):
    return state + 1, bars.close[0] * {feature}


@bg.kernel
def decide(state, bars, belief, portfolio, params):
    # {mark}
    return state + 0.0, bg.Target(belief.probs[0] * {strategy})
"""


def fresh() -> float:
    """Return a number that no other run had: a part that holds it is not in the cache yet."""
    return 1.0 + int(uuid.uuid4()) % 10**12 / 10**13


class Lab:
    """A copy of the engine and a user's parts, run in fresh processes over the cache of all tests."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(Path(barograph.__path__[0]), folder / "barograph", ignore=shutil.ignore_patterns("__pycache__"))
        (folder / "run.py").write_text(SCRIPT, encoding="utf-8")
        self.numbers = {"feature": fresh(), "strategy": fresh() / 3.0, "mark": "as it was"}

    def run(self, **changed: Any) -> tuple[float, set[str], bool]:
        """Return the last equity, what was compiled, and whether plain Python says the same."""
        weakened, net = changed.pop("weakened", ""), changed.pop("net", "")
        self.numbers |= changed
        (self.folder / "mine.py").write_text(MINE.format(**self.numbers), encoding="utf-8")
        paths = os.pathsep.join([str(self.folder), str(ROOT), *filter(None, sys.path)])
        more = {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1", "NUMBA_DISABLE_JIT": "0", "WEAKENED": weakened}
        more["NET"] = net
        command = [sys.executable, "-W", "ignore", "run.py"]
        done = subprocess.run(
            command, env=os.environ | more, cwd=self.folder, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        equity, names, right = json.loads(done.stdout)
        return equity, set(names), right


@pytest.fixture
def lab(tmp_path: Path) -> Lab:
    return Lab(tmp_path)


def test_an_edit_compiles_its_own_part_and_nothing_else(lab: Lab) -> None:
    before, _, _ = lab.run()
    assert lab.run() == (before, set(), True)
    assert lab.run(mark="a comment compiles nothing") == (before, set(), True)
    after, names, right = lab.run(strategy=fresh() / 4.0)
    assert after != before
    assert right
    assert "decide" in names
    assert not {"advance", "believe", "observe"} & names
    original = lab.numbers["feature"]
    again, names, right = lab.run(feature=fresh())
    assert (again, right) == (after, True)
    assert "observe" in names
    assert not {"advance", "believe", "decide"} & names
    # An edit taken back is in the cache still.
    assert lab.run(feature=original)[1] == set()


ENGINES = (": advance", ": believe", ": observe", ": see")


def _beside_a_net(number: float) -> set[str]:
    """Scan a strategy that holds a number, beside the smallest net, and return what was compiled for it."""

    @kernel
    def decide(state: float, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
        return state + 0.0, bg.Target(belief.probs[0] * number)

    net = cnn(labels_of(kmeans(2)), window=4, filters=1).untrained(1)
    machine = bg.Machine(strategy=bg.strategy(decide, init=lambda _params: 0.0), features=[log_return()], model=net)
    with event.install_recorder("numba:compile") as recorder:
        bg.scan(machine, some_bars(60, assets=2, seed=3))
    made = [found.data["dispatcher"].py_func for _, found in recorder.buffer]
    return {f"{of.__module__}: {of.__name__}" for of in made}


def test_another_strategy_beside_a_net_compiles_only_itself_in_one_process() -> None:
    _beside_a_net(0.25)
    assert _beside_a_net(0.25) == set()
    names = _beside_a_net(fresh() / 4.0)
    assert f"{__name__}: decide" in names
    assert not {name for name in names if name.startswith("barograph_models.") or name.endswith(ENGINES)}, names


@pytest.mark.long
def test_an_edited_strategy_beside_a_net_compiles_only_itself(lab: Lab) -> None:
    before, _, _ = lab.run(net="1")
    after, names, right = lab.run(net="1", strategy=fresh() / 4.0)
    assert after != before
    assert right
    assert "mine: decide" in names
    assert not {name for name in names if name.startswith("barograph_models.") or name.endswith(ENGINES)}, names


@pytest.mark.long
def test_a_stale_part_would_be_seen(lab: Lab) -> None:
    """The control: where the fingerprint does not look into the user's file, yesterday's answer comes out."""
    before, _, _ = lab.run(weakened="1")
    after, names, right = lab.run(weakened="1", strategy=0.25)
    assert (after, names) == (before, set())
    assert not right


@pytest.mark.long
def test_another_layout_of_the_frame_compiles_doors_and_parts_anew(lab: Lab) -> None:
    before, _, _ = lab.run()
    frame = lab.folder / "barograph" / "jit" / "frame.py"
    text = frame.read_text(encoding="utf-8")
    # One of millions of layouts: no other run had it, and nothing of it is in the cache.
    for words in ("X, E, W, B, LOG, LOG_WORDS", "MONEY, ROWS, BOOK_AT, RULES_AT",
                  "ANSWER, WEIGHTS, LEVELS, SLIP, SLIP_ROWS, TRADED"):  # fmt: skip
        assert words in text
        text = text.replace(words, ", ".join(random.SystemRandom().sample(words.split(", "), words.count(",") + 1)))
    frame.write_text(text, encoding="utf-8")
    after, names, right = lab.run()
    assert (after, right) == (before, True)
    assert {"advance", "believe", "observe", "decide"} <= names


def part() -> Kernel[..., Any]:
    @shared
    def four(frame: int, own: int, first: int, last: int) -> None:
        put_real(frame, 0, float(first + last))

    return four


def test_a_part_that_is_made_twice_in_one_process_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A factory makes its kernel anew at every call: the second finds what the first compiled."""
    monkeypatch.setenv("BAROGRAPH_CACHE", str(tmp_path))
    with event.install_recorder("numba:compile") as recorder:
        codes = [address(part(), interpret=False) for _ in range(3)]
    assert [found.data["dispatcher"].py_func.__name__ for _, found in recorder.buffer if found.is_start] == ["four"]
    for code in codes:
        told = np.zeros(1)
        call_alone(code, told.ctypes.data, 0, 3, 4)
        assert told[0] == 7.0


# A notebook: cells under the names that IPython gives them, whose text `linecache` knows and no file holds.
NOTEBOOK = """
import json, linecache, sys, types
import barograph as bg
from barograph.testing import coin, interpreted, same, some_bars

library = sys.modules["library"] = types.ModuleType("library")
CELLS = {
    "size": "@bg.kernel\\ndef size(p):\\n    return {} * p\\n",
    "between": "@bg.kernel\\ndef between(p):\\n    return size(p) + library.extra(p)\\n",
    "decide": "@bg.kernel\\ndef decide(state, bars, belief, portfolio, params):\\n"
              "    return state, bg.Target({} * between(belief.probs[0]))\\n",
    "extra": "@bg.kernel\\ndef extra(p):\\n    return {} * p\\nlibrary.extra = extra\\n",
}
bars, told = some_bars(60, assets=1, seed=3), []

def cell(name, number=0.0):
    text, file = CELLS[name].format(number), sys.argv[2].format(sorted(CELLS).index(name))
    linecache.cache[file] = (len(text), None, text.splitlines(True), file)
    exec(compile(text, file, "exec"), globals())

def run():
    machine = bg.Machine(strategy=bg.strategy(decide), filter=coin())
    found = bg.scan(machine, bars)
    told.append([same(found, interpreted(machine, bars)), float(found.arrays.equity[-1])])

k = float(sys.argv[1])
for name in CELLS:
    cell(name, k)
run()
# The strategy's cell; then a helper's, of a helper's; then what hangs on a module; then the first of all again.
for name, number in (("decide", 0.9 * k), ("size", 0.8 * k), ("extra", 0.7 * k), ("decide", k)):
    cell(name, number)
    run()
print(json.dumps(told))
"""


@pytest.mark.parametrize("file", ["<ipython-input-{}-0123456789ab>", "/tmp/ipykernel_77/{}.py", "<stdin>"])
def test_an_edited_cell_of_a_notebook_is_an_edited_strategy(file: str) -> None:
    """No restart and no stale answer, with a cache that never saw it, and with one that did."""
    key, told = random.SystemRandom().uniform(0.1, 0.3), []
    for _ in ("cold", "warm"):
        command = [sys.executable, "-W", "ignore", "-c", NOTEBOOK, str(key), file]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        told.append(json.loads(done.stdout))
    assert told[0] == told[1]
    assert all(right for right, _ in told[0])
    assert len({equity for _, equity in told[0]}) == 5
