"""An online filter over rows of features: the part that the loop calls, and the same part alone, from its beginning."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

import numpy as np

from barograph.jit import frame as at
from barograph.jit.calling import address, call_alone
from barograph.jit.kernel import Kernel, kernel, shared
from barograph.jit.memory import Memory, make_load, make_store, slots
from barograph.jit.reach import floats1, put_real, put_word, spot, word
from barograph.jit.views import frozen
from barograph.regimes.forecasts import Layout, layout_of, make_look
from barograph.types import Entering, Filter, Filtered, Floats

__all__ = ["filter_part", "filter_path", "filter_rows", "filters_part", "forecast_path"]


def filter_path(online: Filter, X: Floats) -> Filtered:
    """Run a filter over the rows of `X` (T, d); compiled when its step is a kernel."""
    beliefs = filter_rows(online, X)[1]
    return Filtered(np.ascontiguousarray(beliefs[:, :-1]), np.ascontiguousarray(beliefs[:, -1]))


def filter_rows(online: Filter, X: Floats, interpret: bool = False) -> tuple[Any, Floats]:
    """Run a filter over the rows of `X` (T, d); return its state and the beliefs (T, K + 1), the log-density last.

    With `interpret` a kernel runs as plain Python, to the same bits.
    """
    return _filtered(online, X, interpret, ())[:2]


def forecast_path(online: Filter, X: Floats, horizon: int | Entering) -> Floats:
    """Return P(regime ahead) from each row of `X` (T, d), (T, R): what the loop lends a strategy, bar for bar."""
    _, _, ahead, layout = _filtered(online, X, False, (horizon,))
    parts = int(layout.table[0, 1])
    return np.ascontiguousarray(ahead[:, 4 * parts :])


def _filtered(
    online: Filter, X: Floats, interpret: bool, horizons: tuple[Any, ...]
) -> tuple[Any, Floats, Floats, Layout]:
    """Run the part that the loop calls; return state, beliefs, forecasts in rows, and how they lie there."""
    layout, plans = layout_of(online, horizons, "forecast_path")
    memory = Memory.of((online.init(online.params),), ("filter",))
    params = Memory.of((online.params, plans), ("filter", "forecasts"))
    rows, B, ahead = np.ascontiguousarray(X), np.empty((len(X), online.regimes + 1)), np.empty((len(X), layout.width))
    frame, own = np.zeros(at.WORDS, dtype=np.int64), np.zeros(at.OWN, dtype=np.int64)
    frame[[at.D, at.K]] = rows.shape[1], online.regimes
    frame[[at.X, at.B, at.FLOATS, at.INTS]] = spot(rows), spot(B), spot(memory.f), spot(memory.i)
    frame[[at.PARAM_FLOATS, at.PARAM_INTS]] = spot(params.f), spot(params.i)
    frame[[at.FORECASTS, at.FORECAST_WIDTH]] = spot(ahead), layout.width
    frame[[at.FORECAST_TABLE, at.PLANS]] = spot(layout.table), spot(params.at) + 8 * params.at[1]
    own[[at.AT, at.PAT]] = spot(memory.at) + 8 * memory.at[0], spot(params.at) + 8 * params.at[0]
    reads = (online.forecast, params.shapes[1], len(horizons)) if horizons else ()
    part = filter_part(online.step, memory.shapes[0], params.shapes[0], *reads)
    plain = interpret or not isinstance(online.step, Kernel)
    call = call_alone.py_func if plain else call_alone
    call(address(part, plain), spot(frame), spot(own), 0, len(rows))
    return memory.read(0), B, ahead, layout


class _Page(NamedTuple):
    """Where beliefs and forecasts are written: addresses, the first decided bar, and the numbers in a row of each."""

    beliefs: int
    start: int
    forecasts: int
    width: int
    table: int


@kernel
def _page(frame: Any) -> _Page:
    return _Page(word(frame, at.B), word(frame, at.START), word(frame, at.FORECASTS), word(frame, at.FORECAST_WIDTH),
                 word(frame, at.FORECAST_TABLE))  # fmt: skip


@cache
def _writer(forecast: Any, count: int) -> Kernel[..., Any]:
    """Return what writes a belief and its forecasts as row `a` of n of bar `t`."""
    look = make_look(forecast, count)

    @kernel
    def write(page, t, n, a, believed, belief, planned):  # type: ignore[no-untyped-def]
        regimes, since = belief.probs.size, t - page.start
        row = since * n * (regimes + 1)
        for k in range(regimes):
            put_real(page.beliefs, row + a * regimes + k, belief.probs[k])
        put_real(page.beliefs, row + n * regimes + a, belief.logpdf)
        place = page.forecasts + 8 * since * page.width
        look(believed, belief, planned, place, page.table, regimes, 0, n, a)

    return write


@cache
def filter_part(
    step: Any, state: Any, params: Any, forecast: Any = None, plans: Any = ("tuple", ()), count: int = 0
) -> Kernel[..., Any]:
    """Return the part ``(frame, own, first, last)`` that filters the rows of these bars, and writes its beliefs.

    It writes `count` forecasts beside each, from `plans`, the structure of what they were planned with.
    """
    load, store, load_params = make_load(state, False), make_store(state), make_load(params, True)
    load_plans, write = make_load(plans, True), _writer(forecast, count)

    @shared
    def believe(frame, own, first, last):  # type: ignore[no-untyped-def]
        f, i, table = word(frame, at.FLOATS), word(frame, at.INTS), word(own, at.AT)
        believed = load(f, i, table)
        p = load_params(word(frame, at.PARAM_FLOATS), word(frame, at.PARAM_INTS), word(own, at.PAT))
        planned = load_plans(word(frame, at.PARAM_FLOATS), word(frame, at.PARAM_INTS), word(frame, at.PLANS))
        x, d, page = word(frame, at.X), word(frame, at.D), _page(frame)
        for t in range(first, last):
            put_word(own, at.AT_BAR, t)
            believed, belief = step(believed, frozen(floats1(x, t * d, d)), p)
            write(page, t, 1, 0, believed, belief, planned)
        store(f, i, table, believed)

    return believe


@cache
def filters_part(
    step: Any, state: Any, params: Any, forecast: Any = None, plans: Any = ("tuple", ()), count: int = 0
) -> Kernel[..., Any]:
    """Return the part that lets as many filters as the frame says see these bars, each its own columns of the features.

    Their states, params and plans are of one structure and lie one behind the other. All see a bar before any sees the
    next: what fails first in time is met first.
    """
    load, store, load_params = make_load(state, False), make_store(state), make_load(params, True)
    load_plans, write = make_load(plans, True), _writer(forecast, count)
    state_size, params_size, plans_size = 8 * slots(state), 8 * slots(params), 8 * slots(plans)

    @shared
    def believe_each(frame, own, first, last):  # type: ignore[no-untyped-def]
        f, i, pf, pi = (
            word(frame, at.FLOATS),
            word(frame, at.INTS),
            word(frame, at.PARAM_FLOATS),
            word(frame, at.PARAM_INTS),
        )
        x, width, page, filters = word(frame, at.X), word(frame, at.D), _page(frame), word(frame, at.FILTERS)
        n, d, whose = word(frame, at.BELIEFS), width // filters, word(frame, at.WHOSE)
        for t in range(first, last):
            put_word(own, at.AT_BAR, t)
            for m in range(filters):
                table = word(own, at.AT) + m * state_size
                believed, p = load(f, i, table), load_params(pf, pi, word(own, at.PAT) + m * params_size)
                planned = load_plans(pf, pi, word(frame, at.PLANS) + m * plans_size)
                believed, belief = step(believed, frozen(floats1(x, t * width + m * d, d)), p)
                write(page, t, n, word(whose, m), believed, belief, planned)
                store(f, i, table, believed)

    return believe_each
