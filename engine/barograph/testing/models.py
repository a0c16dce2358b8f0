"""The laws of a model: what every fit owes, whatever it is a fit of."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.errors import PartError
from barograph.jit.kernel import Kernel
from barograph.jit.memory import structure
from barograph.jit.views import frozen
from barograph.regimes.family import chain_forecast
from barograph.regimes.filtering import filter_rows
from barograph.regimes.fitted import Fitted, Model, blank_forecast
from barograph.regimes.mixture import mixture_cdf, mixture_quantile
from barograph.regimes.window import RETURN, Window, window
from barograph.types import Belief, Filter, Floats, Forecast

__all__ = ["LAWS", "Checked", "check_model"]

NODES: Final = 200
"""Values of the next bar over which a forecast two bars ahead is integrated, denser in the tails."""
HORIZON: Final = 3
NEAR: Final = 0.05
"""How far from its level what is below a quantile may be, as a share of the smaller tail: a t that is rounded to a few
normals is within 4 % at one in a hundred."""
LEVELS: Final = (0.01, 0.05, 0.25, 0.75, 0.95, 0.99)
ROUNDING: Final = 1e-10
STEP: Final = 0.05
WIDEST: Final = 14.5
MARGINAL: Final = 1e-7
"""How far from the sum over a missing cell a belief may be: such tails as are left out weigh less."""


class Checked(NamedTuple):
    """Which laws a model was held to, and which not, with the part that it has not got."""

    held: tuple[str, ...]
    not_run: tuple[str, ...]


class _Case(NamedTuple):
    """A model, what it was fitted to, and its fit."""

    model: Model
    window: Window
    fitted: Fitted

    @property
    def rows(self) -> Floats:
        return self.window.rows

    def path(self) -> Floats:
        return filter_rows(self.fitted.filter(), self.rows)[1]


class _NotRun(Exception):
    """A law is about a part that the model has not got."""


def check_model(model: Model, X: Any, without: Sequence[str] = ()) -> Checked:
    """Hold a model to the laws in `LAWS` on `X`, a table, a frame or a window that it can be fitted to.

    The future changes no belief; a step at a time, and from a saved fit, gives the same bits, compiled and plain; a
    smoother's last row is the filter's; beliefs are probabilities; a missing row leaves the prediction; a row that
    lacks a cell is, to a model with `partial_rows`, the mean over all that the cell may be; renumbering renumbers;
    percent returns give the probabilities of decimal ones; a forecast agrees with the density of the next bar, with
    missing rows, and two bars ahead with itself, integrated over all that the next bar may be; degeneracies are told; a
    refit keeps every shape. `without` names laws that are not wanted, such as "scale" of a model whose unit is its
    setting. A model for several assets is held to them with a panel of one.

    Raises `AssertionError` naming the law, the part and the first bar that differs.

    >>> from barograph_models.kmeans import kmeans
    >>> X = np.random.default_rng(0).standard_normal((200, 1)) * np.repeat([[1.0], [4.0]], 100, axis=0)
    >>> check_model(kmeans(states=2, starts=2), X, without=["two bars"]).not_run[-1]
    'density: the model has no log-density'
    """
    unknown = [name for name in without if name not in LAWS]
    if unknown:
        raise PartError(f"check_model: {unknown[0]!r} is no law; wanted some of {', '.join(LAWS)}")
    made, model = window(X), _of_one(model)
    case = _Case(model, made, model.fit(made))
    held, not_run = [], [f"{name}: not wanted" for name in without]
    for name, law in LAWS.items():
        if name in without:
            continue
        try:
            law(case)
            held.append(name)
        except _NotRun as why:
            not_run.append(f"{name}: {why}")
        except AssertionError as broken:
            raise AssertionError(f"{model.name}: the law of {name} is broken: {broken}") from None
    return Checked(tuple(held), tuple(not_run))


def _of_one(model: Model) -> Model:
    """Return a model for several assets as one for a single asset: a panel of one, and that asset's own fit."""
    if not model.panel:
        return model
    return Model(lambda seen: model.learn(seen).of_asset(0), model.regimes, model.name, model.labels,
                 hindsight=model.hindsight)  # fmt: skip


def _alike(one: Floats, other: Floats, told: str, near: float = 0.0) -> None:
    """Assert that two tables are the same, row for row, and name the first bar that differs."""
    assert one.shape == other.shape, f"{told}: {one.shape} and {other.shape}"
    with np.errstate(invalid="ignore"):
        odd = ~((one == other) | (np.isnan(one) & np.isnan(other)) | (np.abs(one - other) <= near))
    rows = np.flatnonzero(odd.reshape(len(odd), -1).any(axis=1))
    if len(rows):
        t = int(rows[0])
        raise AssertionError(f"{told}: first at bar {t}: {one[t].tolist()} and {other[t].tolist()}")


def _width(case: _Case) -> None:
    beliefs, R = case.path(), case.fitted.regimes
    assert case.model.regimes == R, f"the model says {case.model.regimes} regimes, its fit {R}"
    assert beliefs.shape[1] == R + 1, f"beliefs are {beliefs.shape[1] - 1} wide, the fit has {R} regimes"
    answers: list[tuple[str, Any]] = [("stays", case.fitted.stays()), ("stationary", case.fitted.stationary())]
    answers += [(f"signature's {name}", of) for name, of in (case.fitted.signature() or _Nothing())._asdict().items()]
    for name, of in answers:
        assert of is None or np.shape(of) == (R,), f"{name} has shape {np.shape(of)}, wanted ({R},)"


class _Nothing(NamedTuple):
    """No signature."""


def _sums(case: _Case) -> None:
    probs = case.path()[:, :-1]
    odd = np.flatnonzero(~((probs >= 0.0).all(axis=1) & (np.abs(probs.sum(axis=1) - 1.0) < 1e-12)))
    assert not len(odd), f"belief at bar {odd[0]}: {probs[odd[0]].tolist()} are no probabilities"


def _future(case: _Case) -> None:
    whole, T = case.path(), len(case.rows)
    for cut in (1, T // 3, 2 * T // 3, T - 1):
        moved = case.rows.copy()
        moved[cut:] = moved[cut:][::-1] * -3.0
        for told, rows in (("gone", case.rows[:cut]), ("changed", moved)):
            other = filter_rows(case.fitted.filter(), rows)[1][:cut]
            _alike(whole[:cut], other, f"step: beliefs differ when the bars after {cut - 1} are {told}")


def _steps(case: _Case) -> None:
    """A filter that is stepped by hand says what the path says; so does one that runs on from a state."""
    online, path = case.fitted.filter(), case.path()
    state, rows = online.init(online.params), []
    for row in case.rows[:200]:
        state, belief = online.step(state, frozen(row), online.params)
        rows.append([*belief.probs, belief.logpdf])
    _alike(path[:200], np.array(rows), "step: one bar at a time in plain Python differs from the path")
    if isinstance(online.step, Kernel):
        _alike(path, filter_rows(online, case.rows, interpret=True)[1], "step: compiled and plain Python differ")


def _saved(case: _Case) -> None:
    family = case.fitted.family
    again = Fitted.from_bytes(case.fitted.to_bytes(), "the saved fit", lambda _: _Holder(family))
    assert again.to_bytes() == case.fitted.to_bytes(), "a fit that was saved and loaded saves other bytes"
    _alike(case.path(), filter_rows(again.filter(), case.rows)[1], "params: a loaded fit filters otherwise")


class _Holder:
    """A module that holds one family, wherever the model's own may be."""

    def __init__(self, family: Any) -> None:
        setattr(self, family.name.partition(":")[2], family)


def _batch(case: _Case) -> None:
    if case.fitted.family.smooth is None:
        raise _NotRun("the model does not smooth")
    path, T = case.path()[:, :-1], len(case.rows)
    for t in (0, T // 2, T - 1):
        last = case.fitted.smooth(case.rows[: t + 1]).hindsight[-1:]
        _alike(path[t : t + 1], last, f"smooth: its last row is not the filter's at bar {t}", ROUNDING)


def _missing(case: _Case) -> None:
    online, T = case.fitted.filter(), len(case.rows)
    for t in (T // 4, T // 2):
        state, before = filter_rows(online, case.rows[:t])
        wanted = before[-1:, :-1]
        if online.forecast is not None:
            wanted = _ahead(online, state, wanted[0], 1).probs[None]
        gone = np.vstack([case.rows[:t], np.full((1, case.rows.shape[1]), np.nan)])
        _alike(
            filter_rows(online, gone)[1][-1:, :-1],
            wanted,
            f"step: a missing bar after {t - 1} is not predicted",
            ROUNDING,
        )


def _cells(case: _Case) -> None:
    """A row that lacks a cell is believed as the mean over all that the cell may be: by brute force."""
    d = case.rows.shape[1]
    if not case.model.partial_rows:
        raise _NotRun("a row that lacks a cell says nothing to the model")
    if d == 1:
        raise _NotRun("a row of one column lacks a cell when it is missing")
    whole = np.flatnonzero(np.isfinite(case.rows).all(axis=1))
    if not len(whole):
        raise _NotRun("no row has all its cells")
    holes = case.rows.copy()
    holes[(7 * np.arange(len(holes))[:, None] + 3 * np.arange(d)) % 5 == 0] = np.nan
    online = case.model.fit(case.window._replace(rows=holes)).filter()
    for t in whole[[len(whole) // 4, len(whole) // 2]].tolist():
        state = filter_rows(online, holes[:t])[0]
        for j in range(d):
            row = case.rows[t].copy()
            row[j] = np.nan
            told, wanted = _believed(online, state, row), _over_all(online, state, row, j, case.rows[:, j])
            where = f"step: bar {t} without column {j}"
            _alike(told[None], wanted[None], f"{where} is not the mean over all that it may be", MARGINAL)


def _believed(online: Filter, state: Any, row: Floats) -> Floats:
    """Return the belief at a row and its log-density, (R + 1,); the state is left alone."""
    belief = online.step(_copied(state), frozen(row), online.params)[1]
    return np.array([*belief.probs, belief.logpdf])


def _over_all(online: Filter, state: Any, row: Floats, j: int, column: Floats) -> Floats:
    """Return what is believed of a row on average over its cell j, and the logarithm of the average density."""
    seen = column[np.isfinite(column)]
    middle = float(np.median(seen))
    unit = 0.5 * float(np.median(np.abs(seen - middle)))
    weighted = np.zeros(online.regimes + 1)
    # Evenly in u, where the cell is sinh u units from the middle: dense where the density is, and a million units wide.
    for u in STEP * np.arange(-int(WIDEST / STEP), int(WIDEST / STEP) + 1):
        filled = row.copy()
        filled[j] = middle + unit * math.sinh(u)
        told = _believed(online, state, filled)
        weighted += math.exp(told[-1]) * unit * math.cosh(u) * STEP * np.array([*told[:-1], 1.0])
    return np.array([*(weighted[:-1] / weighted[-1]), math.log(weighted[-1])])


def _renumbered(case: _Case) -> None:
    if case.fitted.labels or case.fitted.regimes == 1:
        raise _NotRun("its regimes have names" if case.fitted.labels else "there is one regime")
    order = np.roll(np.arange(case.fitted.regimes), 1)
    other, path = case.fitted.reordered(order), case.path()
    moved = filter_rows(other.filter(), case.rows)[1]
    _alike(moved[:, :-1], path[:, :-1][:, order], "params: renumbered regimes believe otherwise", ROUNDING)
    for name in ("stays", "stationary"):
        one, two = getattr(case.fitted, name)(), getattr(other, name)()
        if one is not None:
            _alike(two[:, None], one[order][:, None], f"{name}: not renumbered", 1e-9)
    if case.fitted.filter().forecast is not None:
        ahead, before = (_last(of, case.rows, _longest(of)).probs for of in (other, case.fitted))
        _alike(ahead[:, None], before[order][:, None], "forecast: not renumbered", ROUNDING)


def _scale(case: _Case) -> None:
    """Percent returns for decimal ones: a column a hundred times as large, and the same probabilities."""
    factor = np.where([role == RETURN for role in case.window.roles], 100.0, 1.0)
    other = case.model.fit(case.window._replace(rows=np.ascontiguousarray(case.rows * factor)))
    moved = filter_rows(other.filter(), case.rows * factor)[1]
    _alike(moved[:, :-1], case.path()[:, :-1], "fit: percent returns give other probabilities", 1e-6)


def _shapes(case: _Case) -> None:
    half = case.window._replace(rows=case.rows[len(case.rows) // 2 :].copy(), ts=case.window.ts[len(case.rows) // 2 :])
    for told, seen in (
        ("other rows", half),
        ("itself as the previous fit", case.window._replace(previous=case.fitted)),
    ):
        other = case.model.fit(seen)
        for name, a, b in zip(case.fitted.params._fields, case.fitted.params, other.params, strict=True):
            assert isinstance(a, bytes) == isinstance(b, bytes), f"params: {name} changes its kind with {told}"
            assert np.shape(a) == np.shape(b), f"params: {name} is {np.shape(a)}, with {told} {np.shape(b)}"
        states = [structure(of.filter().init(of.filter().params), "state") for of in (case.fitted, other)]
        assert states[0] == states[1], f"init: the state changes its kind with {told}"
        assert other.family is case.fitted.family, f"family: another one with {told}"


def _snapshot(case: _Case) -> None:
    if case.fitted.family.snapshot is None:
        raise _NotRun("no parameter moves in the filter's state")
    moved = case.fitted.snapshot(case.fitted.state_after(case.rows))
    for name, a, b in zip(case.fitted.params._fields, case.fitted.params, moved.params, strict=True):
        assert np.shape(a) == np.shape(b), f"snapshot: {name} is {np.shape(a)}, in the state {np.shape(b)}"
    moved.signature()


def _told(case: _Case) -> None:
    """Prices in the place of returns are told, whatever the model makes of them."""
    rows = case.rows.copy()
    rows[:, 0] = 100.0 + np.nancumsum(rows[:, 0]) / max(float(np.nanstd(rows[:, 0])), 1e-300)
    try:
        found = case.model.fit(case.window._replace(rows=rows)).degeneracies
    except Exception as error:
        raise _NotRun(f"the model does not fit prices ({type(error).__name__})") from error
    assert any("unit root" in told for told in found), "fit: prices in the place of returns are not told"


def _planned(online: Filter, horizon: int) -> Callable[[Any, Any], Forecast]:
    """Return what forecasts from a state and a belief, as the loop does; the plan is made once."""
    forecast = online.forecast
    assert forecast is not None
    parts = 1 if online.components is None else online.components(online.params, horizon)
    plan = online.params if online.plan is None else online.plan(online.params, horizon)

    def ahead(state: Any, probs: Any) -> Forecast:
        out = blank_forecast(horizon, parts, online.regimes)
        now = Belief(frozen(np.array(probs)), 0.0) if forecast is chain_forecast else state
        forecast(now, plan, horizon, out)
        return out

    return ahead


def _ahead(online: Filter, state: Any, probs: Any, horizon: int) -> Forecast:
    return _planned(online, horizon)(state, probs)


def _longest(fitted: Fitted) -> int:
    """Return the horizon that forecasts are looked at: one bar where the model says that it has no longer one."""
    try:
        _planned(fitted.filter(), HORIZON)
    except PartError:
        return 1
    return HORIZON


def _last(fitted: Fitted, rows: Floats, horizon: int) -> Forecast:
    online = fitted.filter()
    state, beliefs = filter_rows(online, rows)
    return _ahead(online, state, beliefs[-1, :-1], horizon)


def _has_forecast(case: _Case) -> Filter:
    online = case.fitted.filter()
    if online.forecast is None:
        raise _NotRun("the model has no forecast")
    return online


def _sound(case: _Case) -> None:
    """A forecast is a mixture: weights and probabilities sum to one, variances are none below zero."""
    _has_forecast(case)
    for horizon in range(1, _longest(case.fitted) + 1):
        of = _last(case.fitted, case.rows, horizon)
        for name in ("weights", "probs"):
            whole = getattr(of, name)
            near = abs(float(whole.sum()) - 1.0) < 1e-9 and float(whole.min()) >= 0.0
            assert near, f"forecast: {name} at horizon {horizon} are {whole.tolist()}"
        assert float(of.variance.min()) >= 0.0, f"forecast: a variance at horizon {horizon} is below 0"
        assert float(of.degrees_of_freedom.min()) > 2.0, "forecast: degrees of freedom must be above 2, or infinite"


def _density(case: _Case) -> None:
    """One bar ahead the mixture's density is the density that the next step says."""
    online, T = case.fitted.filter(), len(case.rows)
    if not np.isfinite(case.path()[:, -1]).all():
        raise _NotRun("the model has no log-density")
    _has_forecast(case)
    if case.rows.shape[1] != 1:
        raise _NotRun("the log-density is of several columns, the forecast of one")
    for t in (T // 4, T // 2, T - 2):
        if not np.isfinite(case.rows[t, 0]):
            continue
        state, beliefs = filter_rows(online, case.rows[:t])
        of, x = _ahead(online, state, beliefs[-1, :-1], 1), float(case.rows[t, 0])
        told = float(filter_rows(online, case.rows[: t + 1])[1][-1, -1])
        found = _log_density(of, x)
        near = abs(found - told) <= 1e-8 * max(1.0, abs(told))
        assert near, f"forecast: the log-density of bar {t} is {found!r}, the step says {told!r}"


def _log_density(of: Forecast, x: float) -> float:
    density = 0.0
    for w, m, v, nu in zip(of.weights, of.mean, of.variance, of.degrees_of_freedom, strict=True):
        if w == 0.0:
            continue
        if nu == math.inf:
            density += w * math.exp(-0.5 * (x - m) ** 2 / v) / math.sqrt(2.0 * math.pi * v)
            continue
        square = v * (nu - 2.0) / nu
        constant = math.lgamma(0.5 * (nu + 1.0)) - math.lgamma(0.5 * nu) - 0.5 * math.log(nu * math.pi * square)
        density += w * math.exp(constant - 0.5 * (nu + 1.0) * math.log1p((x - m) ** 2 / (nu * square)))
    return math.log(density) if density > 0.0 else -math.inf


def _unseen(case: _Case) -> None:
    """P(regime ahead) is what the filter believes after so many missing bars."""
    online = _has_forecast(case)
    gone = np.full((HORIZON, case.rows.shape[1]), np.nan)
    after = filter_rows(online, np.vstack([case.rows, gone]))[1][-HORIZON:, :-1]
    for horizon in range(1, _longest(case.fitted) + 1):
        of = _last(case.fitted, case.rows, horizon)
        _alike(of.probs[None], after[horizon - 1][None], f"forecast: P(regime) at horizon {horizon}", ROUNDING)


def _two_bars(case: _Case) -> None:
    """The sum of two bars is spread as is forecast: by brute force, over all that the next bar may be."""
    online = _has_forecast(case)
    if case.rows.shape[1] != 1:
        raise _NotRun("bars of several columns cannot be drawn from a forecast of one")
    if _longest(case.fitted) == 1:
        raise _NotRun("the model forecasts one bar ahead")
    state, beliefs = filter_rows(online, case.rows)
    of, ahead = _mixture(_last(case.fitted, case.rows, 2)), _planned(online, 1)
    quantiles = [float(mixture_quantile(level, *of)) for level in LEVELS]
    next_bar, below = _mixture(ahead(state, beliefs[-1, :-1])), np.zeros(len(LEVELS))
    for v in (np.arange(NODES) + 0.5) / NODES:
        x = float(mixture_quantile(float(v * v * v * (10.0 - 15.0 * v + 6.0 * v * v)), *next_bar))
        later, belief = online.step(_copied(state), frozen(np.array([x])), online.params)
        ends = _mixture(ahead(later, belief.probs))
        weight = 30.0 * (v * (1.0 - v)) ** 2 / NODES
        below += weight * np.array([float(mixture_cdf(q - x, *ends)) for q in quantiles])
    for level, share in zip(LEVELS, below.tolist(), strict=True):
        told = f"{share:.4%} of what its own next two bars add up to is below its quantile at {level:.0%}"
        assert abs(share - level) <= NEAR * min(level, 1.0 - level), f"forecast: {told}"


def _mixture(of: Forecast) -> tuple[Floats, Floats, Floats, Floats]:
    return of.weights, of.mean, of.variance, of.degrees_of_freedom


def _copied(tree: Any) -> Any:
    if isinstance(tree, np.ndarray):
        return tree.copy()
    if isinstance(tree, tuple):
        leaves = [_copied(leaf) for leaf in tree]
        return type(tree)(*leaves) if hasattr(tree, "_fields") else tuple(leaves)
    return tree


LAWS: Final[dict[str, Callable[[_Case], None]]] = {
    "width": _width,
    "probabilities": _sums,
    "future": _future,
    "steps": _steps,
    "saving": _saved,
    "batch": _batch,
    "missing bars": _missing,
    "missing cells": _cells,
    "renumbering": _renumbered,
    "scale": _scale,
    "shapes": _shapes,
    "snapshot": _snapshot,
    "degeneracies": _told,
    "mixture": _sound,
    "density": _density,
    "unseen bars": _unseen,
    "two bars": _two_bars,
}
"""The laws by their names."""
