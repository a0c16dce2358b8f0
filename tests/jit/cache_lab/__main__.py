"""Run doors in this process: ``python -m cache_lab ANSWERS [DOOR...]`` writes {door: [answer, compilations]}."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from numba.core import event

from barograph.jit import fingerprint, kernel

X = 100.0


def weaken(how):
    """Break the cache on purpose, so that a test can see the laboratory notice."""
    if how == "reach":
        fingerprint._follow = lambda *_: None
    elif how == "body":
        read = fingerprint._read
        fingerprint._read = lambda code: ("", *read(code)[1:])
    elif how == "fields":
        fingerprint._of_class = lambda value, *_: value.__qualname__
    elif how == "extensions":
        fingerprint._extensions = lambda *_: []
    elif how == "library":
        fingerprint._by_version = lambda name: name.partition(".")[0] in {"numpy", "numba", *sys.stdlib_module_names}
    elif how == "symbol":
        njit = kernel.numba.njit

        def unmarked(**options):
            def decorate(copy):
                copy.__qualname__ = copy.__qualname__.rpartition("_")[0]
                return njit(**options)(copy)

            return decorate

        kernel.numba = type("numba", (), {"njit": staticmethod(unmarked)})


def main(answers, names):
    """Call each door once and count what was compiled for it."""
    weaken(os.environ.get("LAB_WEAKEN"))
    from .combine import couple, twin
    from .doors import DOORS

    found = {}
    with event.install_recorder("numba:compile") as recorder:
        for name in names or DOORS:
            amounts = [float(part) for part in name.split("+") if part.isdigit()]
            door = couple(*map(twin, amounts)) if amounts[1:] else twin(*amounts) if amounts else DOORS[name]
            before = len(recorder.buffer)
            answer = door(X)
            found[name] = [float(answer), (len(recorder.buffer) - before) // 2]
    Path(answers).write_text(json.dumps(found))


main(sys.argv[1], sys.argv[2:])
