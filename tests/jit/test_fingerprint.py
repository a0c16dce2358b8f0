"""What the fingerprint of a kernel tells apart, what it does not look at, and what it refuses to tell.

`test_cache.py` shows the same in fresh processes, through the cache; here are the corners, one made-up module each.
"""

from __future__ import annotations

import importlib
import itertools
import pkgutil
import sys
import textwrap
from collections import namedtuple
from types import ModuleType

import numba
import numpy as np
import pytest
from numba.core import types

from barograph.jit import cache as disk_cache
from barograph.jit.fingerprint import Unfingerprintable, fingerprint, layout
from barograph.jit.kernel import Kernel, compiled, kernel
from barograph.loop.wiring import wire
from barograph.testing import coin, some_bars
from tests.kit.machines import machines

PRELUDE = """
import dataclasses, enum, functools, numba, numpy as np
from typing import NamedTuple
from barograph.jit.kernel import kernel
"""
TRY = """
def f(x):
    try:
        a = x / 2
        {}
    except Exception:
        return 0
    {}
    return a + b"""


def subject(text: str, name: str = "made_up") -> Kernel:
    """The kernel `f` of a made-up module; without an `f`, one that answers with the module's `K`."""
    module = sys.modules[name] = ModuleType(name)
    exec(PRELUDE + "def f(): return K\n" + textwrap.dedent(text), vars(module))
    return kernel(module.f)


def mark(text: str) -> str:
    try:
        return fingerprint(subject(text))
    finally:
        del sys.modules["made_up"]


DIFFERENT = {
    "the sign of zero": ("K = 0.0", "K = -0.0"),
    "one, true and 1.0": ("K = 1", "K = True", "K = 1.0", "K = np.float64(1)", "K = np.float32(1)", "K = '1'"),
    "the inside of a tuple": ("K = (1, 2)", "K = (1, 2.0)", "K = (1, (2,))", "K = (2, 1)"),
    "an array": (
        "K = np.zeros((2, 2))",
        "K = np.ones((2, 2))",
        "K = np.zeros((2, 2), np.int64)",
        "K = np.zeros(4)",
        "K = np.zeros((2, 2), order='F')",
    ),
    "a record": (
        "K = np.dtype([('a', 'f8'), ('b', 'f8')])",
        "K = np.dtype([('b', 'f8'), ('a', 'f8')])",
        "K = np.dtype([('a', 'f8'), ('b', 'f4')])",
        "K = np.zeros((), np.dtype([('a', 'f8')]))[()]",
        "K = np.ones((), np.dtype([('a', 'f8')]))[()]",
    ),
    "a type": ("K = np.float32", "K = np.float64", "K = numba.float32", "K = numba.float64"),
    "a NamedTuple's default": ("class K(NamedTuple):\n a: int = 1", "class K(NamedTuple):\n a: int = 2"),
    "an enumeration": ("class K(enum.IntEnum):\n A = 1", "class K(enum.IntEnum):\n A = 2"),
    "an enumeration's member": (
        "class E(enum.IntEnum):\n A = 1\n B = 2\nK = E.A",
        "class E(enum.IntEnum):\n A = 1\n B = 2\nK = E.B",
    ),
    "a default": ("def f(k=1): return k", "def f(k=2): return k", "def f(*, k=1): return k", "def f(*, k=2): return k"),
    "what a try covers": (TRY.format("b = x / 3", "pass"), TRY.format("pass", "b = x / 3")),
    "the first constant of a comprehension": (
        "def f(): return [len('a') for _ in range(2)]",
        "def f(): return [len('ab') for _ in range(2)]",
    ),
    "a part of a library's module": (
        "import math as m\ndef f(): return m.pi",
        "import cmath as m\ndef f(): return m.pi",
        "import math as m\ndef f(): return m.e",
    ),
    "a name that hides a builtin": (
        "def f(x): return abs(x)",
        "@kernel\ndef abs(x): return x\ndef f(x): return abs(x)",
    ),
    "a kernel or a door": ("@kernel\ndef K(): return 1", "import barograph\n@barograph.compiled\ndef K(): return 1"),
    "a cell": (
        "def make(k):\n def f(): return k\n return f\nf = make(1)",
        "def make(k):\n def f(): return k\n return f\nf = make(2)",
    ),
    "a cell of a cell": (
        "def make(k):\n def f(): return (lambda: k)()\n return f\nf = make(1)",
        "def make(k):\n def f(): return (lambda: k)()\n return f\nf = make(2)",
    ),
}
SAME = {
    "a docstring": ("def f():\n return 1", "def f():\n 'Say.'\n return 1", "def f():\n 'Say it.'\n\n # why\n return 1"),
    "what is not reached": ("def f(x): return x.size", "size = {}\ndef f(x): return x.size"),
    "the order of a set": ("def f(x): return x in {0, 8}", "def f(x): return x in {8, 0}"),
}
# A person's own object prints what it likes; a mapping or a class may change without a trace.
REFUSED = {
    "a dictionary": "K = {1: 2}",
    "a list": "K = [1]",
    "a set": "K = {1}",
    "an object": "K = object()",
    "a float of one's own": "class F(float):\n def __repr__(self): return 'F'\nK = F(1)",
    "an int of one's own": "class F(int):\n def __repr__(self): return 'F'\nK = F(1)",
    "a tuple of one's own": "class F(tuple):\n pass\nK = F((1,))",
    "a class": "class K:\n pass",
    "a frozen dataclass": "@dataclasses.dataclass(frozen=True)\nclass D:\n a: int = 1\nK = D()",
    "an array of objects": "K = np.array([object()])",
    "a partial function": "K = functools.partial(max, 1)",
    "a cached function": "@functools.cache\ndef K(): return 1",
    "a function under a borrowed name": "@functools.wraps(np.mean)\ndef K(): return 1",
    "a function of a factory": "def make():\n def g(): return 1\n return g\nK = make()",
    "a namesake": "def g(): return 1\nK = g\ndef g(): return 2",
    "a C function": "import ctypes\nK = ctypes.CDLL(None).abs",
    "a module as a value": "import made_up\nK = made_up",
    "an import inside": "def f():\n import math\n return math.pi",
    "what is not there": "",
    "an empty cell": "def make():\n def f(): return k\n return f\n k = 1\nf = make()",
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_what_makes_a_difference_makes_another_mark(what):
    marks = [mark(text) for text in DIFFERENT[what]]
    assert all(one != other for one, other in itertools.combinations(marks, 2))
    assert marks == [mark(text) for text in DIFFERENT[what]]


@pytest.mark.parametrize("what", SAME)
def test_what_makes_no_difference_makes_none(what):
    assert len({mark(text) for text in SAME[what]}) == 1


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_told_is_refused(what):
    with pytest.raises(Unfingerprintable):
        mark(REFUSED[what])


def test_a_module_that_the_next_process_could_not_import_is_refused():
    lost = subject("K = 1")
    del sys.modules["made_up"]
    with pytest.raises(Unfingerprintable, match="made_up"):
        fingerprint(lost)


def test_modules_that_import_each_other_come_to_an_end():
    one, other = ModuleType("one"), ModuleType("other")
    one.other, other.one, one.K, other.K = other, one, 1, 2
    sys.modules.update(one=one, other=other)
    try:
        ends = [mark(f"import one\ndef f(): return one.other.{path}") for path in ("K", "one.K", "one.other.one.K")]
    finally:
        del sys.modules["one"], sys.modules["other"]
    assert len(set(ends)) == 3


def test_a_switch_of_the_compiler_changes_the_mark(monkeypatch):
    plain = mark("K = 1")
    for switch, value in {
        "BOUNDSCHECK": 1,
        "OPT": 1,
        "SLP_VECTORIZE": 1,
        "LOOP_VECTORIZE": 0,
        "USING_SVML": True,
    }.items():
        with monkeypatch.context() as patch:
            patch.setattr(numba.core.config, switch, value)
            assert mark("K = 1") != plain, switch
    monkeypatch.setitem(Kernel.options, "error_model", "python")
    assert mark("K = 1") != plain


Fields = namedtuple("Fields", "a b")


@pytest.mark.skipif(numba.core.config.DISABLE_JIT, reason="NUMBA_DISABLE_JIT is set: a kernel has no compiled type")
def test_argument_types_are_told_whole():
    swapped = namedtuple("Fields", "b a", module=__name__)
    told = layout(numba.typeof(Fields(1.0, 2.0)))
    assert told == layout(numba.typeof(Fields(3.0, 4.0)))
    assert told != layout(numba.typeof((1.0, 2.0)))
    assert layout(types.Omitted(0.0)) != layout(types.Omitted(1.0))
    readonly = np.ones(2)
    readonly.flags.writeable = False
    arrays = [readonly, np.ones(2), np.ones((2, 2)), np.ones((2, 2), order="F"), np.ones(2, np.int64), np.ones(4)[::2]]
    assert len({repr(layout(numba.typeof(array))) for array in arrays}) == len(arrays)
    # A class that its own name does not lead to, a kernel (its type holds an address), a list.
    for value in (swapped(1.0, 2.0), (1.0, (swapped(1.0, 2.0),)), coin().step, [1.0]):
        with pytest.raises(Unfingerprintable):
            layout(numba.typeof(value))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("BAROGRAPH_CACHE", str(tmp_path))
    monkeypatch.setattr(numba.core.config, "DISABLE_JIT", 0)
    yield tmp_path
    sys.modules.pop("made_up", None)


def door_over(part: Kernel) -> Kernel:
    @compiled
    def door(x):
        return part() + x

    return door


@pytest.mark.parametrize("careful", [True, False])
def test_a_constant_set_after_it_was_compiled_poisons_nothing(cache, monkeypatch, careful):
    """As in a notebook; the control saves without looking again."""
    if not careful:
        monkeypatch.setattr(disk_cache, "unchanged", lambda _: True)
    part = subject("K = 1.0")
    first = door_over(part)
    assert first(1.0) == 2.0
    assert len(list(cache.iterdir())) == 1
    sys.modules["made_up"].K = 2.0
    # The part is machine code by now and keeps its 1.0; filed under 2.0 it would mislead the next process.
    assert door_over(part)(1.0) == 2.0
    assert first(1) == 2.0
    assert len(list(cache.iterdir())) == (1 if careful else 3)


def test_two_doors_of_the_same_content_live_in_one_process(cache):
    part = subject("K = 1.0")
    assert [door_over(part)(1.0), door_over(part)(1.0)] == [2.0, 2.0]
    assert len(list(cache.iterdir())) == 1


def test_every_kernel_of_ours_has_a_fingerprint():
    """A kernel without one would be right but never cached: every run would pay for it."""
    count = 0
    for package in ("barograph", "barograph_models", "barograph_strategies"):
        for found in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            for part in vars(importlib.import_module(found.name)).values():
                if isinstance(part, Kernel):
                    assert fingerprint(part)
                    count += 1
    assert count > 50


@pytest.mark.parametrize("name", ["next_open", "same_close", "lots", "features"])
def test_the_doors_of_a_machine_have_a_fingerprint(name):
    wired = wire(machines()[name], some_bars(20, assets=2))
    doors = (*wired.body.parts, wired.body.door)
    assert [door.door for door in doors] == [False] * (len(doors) - 1) + [True]
    assert len({fingerprint(door) for door in doors}) == len(doors)
