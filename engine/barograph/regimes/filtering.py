"""An online filter over rows of features: the part that the loop calls, and the same part alone, from its beginning."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from barograph.jit import frame as at
from barograph.jit.calling import address, call_alone
from barograph.jit.kernel import Kernel, shared
from barograph.jit.memory import Memory, make_load, make_store
from barograph.jit.reach import floats1, put_real, put_word, spot, word
from barograph.jit.views import frozen
from barograph.regimes.forecasts import make_look
from barograph.types import Filter, Filtered, Floats

__all__ = ["filter_part", "filter_path", "filter_rows"]


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
    rows, B = np.ascontiguousarray(X), np.empty((len(X), online.regimes + 1))
    frame, own = np.zeros(at.WORDS, dtype=np.int64), np.zeros(at.OWN, dtype=np.int64)
    frame[[at.D, at.K]] = rows.shape[1], online.regimes
    frame[[at.X, at.B, at.FLOATS, at.INTS]] = spot(rows), spot(B), spot(memory.f), spot(memory.i)
    frame[[at.PARAM_FLOATS, at.PARAM_INTS]] = spot(params.f), spot(params.i)
    own[[at.AT, at.PAT]] = spot(memory.at) + 8 * memory.at[0], spot(params.at) + 8 * params.at[0]
    part = filter_part(online.step, memory.shapes[0], params.shapes[0])
    plain = interpret or not isinstance(online.step, Kernel)
    call = call_alone.py_func if plain else call_alone
    call(address(part, plain), spot(frame), spot(own), 0, len(rows))
    return memory.read(0), B


@cache
def filter_part(
    step: Any, state: Any, params: Any, forecast: Any = None, plans: Any = ("tuple", ()), count: int = 0
) -> Kernel[..., Any]:
    """Return the part ``(frame, own, first, last)`` that filters the rows of these bars, and writes its beliefs.

    It writes `count` forecasts beside each, from `plans`, the structure of what they were planned with.
    """
    load, store, load_params = make_load(state, False), make_store(state), make_load(params, True)
    load_plans, look = make_load(plans, True), make_look(forecast, count)

    @shared
    def believe(frame, own, first, last):  # type: ignore[no-untyped-def]
        f, i, table = word(frame, at.FLOATS), word(frame, at.INTS), word(own, at.AT)
        believed = load(f, i, table)
        p = load_params(word(frame, at.PARAM_FLOATS), word(frame, at.PARAM_INTS), word(own, at.PAT))
        planned = load_plans(word(frame, at.PARAM_FLOATS), word(frame, at.PARAM_INTS), word(frame, at.PLANS))
        x, d, b, start = word(frame, at.X), word(frame, at.D), word(frame, at.B), word(frame, at.START)
        ahead, width, layout = word(frame, at.FORECASTS), word(frame, at.FORECAST_WIDTH), word(frame, at.FORECAST_TABLE)
        for t in range(first, last):
            put_word(own, at.AT_BAR, t)
            believed, belief = step(believed, frozen(floats1(x, t * d, d)), p)
            regimes = belief.probs.size
            row = (t - start) * (regimes + 1)
            for k in range(regimes):
                put_real(b, row + k, belief.probs[k])
            put_real(b, row + regimes, belief.logpdf)
            look(believed, belief, planned, ahead + 8 * (t - start) * width, layout, regimes, 0)
        store(f, i, table, believed)

    return believe
