"""What is pasted is compiled for its callers alone: nothing of it is machine code, and nothing of it is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from barograph.jit.kernel import Kernel, compiled, kernel, shared


def doors() -> tuple[Kernel[..., Any], Kernel[..., Any]]:
    """Return a helper that prints, and a door that it is pasted into, by itself and inside of what is called."""

    @kernel
    def telling(x: float) -> float:
        print("told", x)
        return 2.0 * x

    @shared
    def between(x: float) -> float:
        return telling(x) + 1.0

    @compiled
    def door(x: float) -> float:
        return telling(x) + between(x)

    return telling, door


def test_what_is_pasted_prints_compiled_and_out_of_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("BAROGRAPH_CACHE", str(tmp_path))
    for _ in ("compiled", "out of the cache"):
        assert doors()[1](3.5) == 15.0
        assert capfd.readouterr().out.split() == ["told", "3.5"] * 2
    assert sorted(file.name.partition("-")[0] for file in tmp_path.glob("*.kernel")) == ["between", "door"]


def test_what_is_pasted_has_no_machine_code_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAROGRAPH_CACHE", str(tmp_path))
    telling, door = doors()
    door(3.5)
    for owner, stands in ((telling, False), (door, True)):
        (result,) = owner.dispatcher.overloads.values()
        assert bool(result.library.get_pointer_to_function(result.fndesc.llvm_func_name)) is stands


def test_constants_compile_no_kernel_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # What an earlier run of the tests has kept would be loaded, and nothing compiled.
    monkeypatch.setenv("BAROGRAPH_CACHE", str(tmp_path))

    @kernel
    def moved(x: float, up: bool, by: int) -> float:
        return x + by if up else x - by

    @kernel
    def pick(of: Any, j: int) -> Any:
        return of[j]

    @compiled
    def door(x: float, by: int) -> float:
        mixed = (x, (2.0, by))
        return moved(x, True, by) + moved(x, x > 1.0, 3) + moved(x, False, by=5) + pick(mixed, 1)[0]

    assert door(4.0, 7) == door.py_func(4.0, 7) == 19.0 + 2.0 - 2.0
    assert len(moved.dispatcher.overloads) == 1
    # Its answer's type hangs on the constant: it is compiled for that.
    assert len(pick.dispatcher.overloads) == 1
