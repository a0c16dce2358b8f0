"""An online filter over rows of features, from its beginning: one loop for fits, plots and the run itself."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np

from barograph.jit.kernel import Kernel, compiled, kernel
from barograph.jit.memory import Memory, make_load, make_store, section
from barograph.jit.views import frozen, unowned
from barograph.types import Filter, Filtered, Floats

__all__ = ["filter_path", "filter_rows", "write_belief"]


def filter_path(online: Filter, X: Floats) -> Filtered:
    """Run a filter over the rows of `X` (T, d); compiled when its step is a kernel."""
    beliefs = filter_rows(online, X)[1]
    return Filtered(np.ascontiguousarray(beliefs[:, :-1]), np.ascontiguousarray(beliefs[:, -1]))


def filter_rows(online: Filter, X: Floats, interpret: bool = False) -> tuple[Any, Floats]:
    """Run a filter over the rows of `X` (T, d); return its state and the beliefs (T, K + 1), the log-density last.

    With `interpret` a kernel runs as plain Python, to the same bits.
    """
    memory = Memory.of((online.init(online.params),), ("filter",))
    params = Memory.of((online.params,), ("filter",))
    B = np.empty((len(X), online.regimes + 1))
    run = _rows_of(online.step, memory.shapes[0], params.shapes[0])
    go = run.py_func if interpret and isinstance(run, Kernel) else run
    go(np.ascontiguousarray(X), memory.f, memory.i, memory.at, params.f, params.i, params.at, B)
    return memory.read(0), B


@kernel
def write_belief(row: Any, belief: Any) -> None:
    """Write a belief into its row: the probabilities, then the log-density."""
    for k in range(belief.probs.size):
        row[k] = belief.probs[k]
    row[belief.probs.size] = belief.logpdf


@cache
def _rows_of(believe: Callable[..., Any], state: Any, params: Any) -> Callable[..., Any]:
    """Return ``run(X, memory, params, B)``: the filter alone over rows of features, its beliefs written to B."""
    load, store, load_params = make_load(state, False), make_store(state), make_load(params, True)

    @compiled
    def run(X, f, i, at, pf, pi, pat, B):  # type: ignore[no-untyped-def]
        X, B, f, i, pf, pi = frozen(X), unowned(B), unowned(f), unowned(i), unowned(pf), unowned(pi)
        believed, p = load(f, i, section(at, 0)), load_params(pf, pi, section(pat, 0))
        for t in range(X.shape[0]):
            believed, belief = believe(believed, X[t], p)
            write_belief(B[t], belief)
        store(f, i, section(at, 0), believed)

    return run if isinstance(believe, Kernel) else run.py_func
