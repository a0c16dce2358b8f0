"""A filter that was trained once, on simulated worlds, and has never seen a market: it is never fitted."""

from __future__ import annotations

import functools
import hashlib
import json
import zipfile
from io import BytesIO
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.errors import FitError
from barograph.jit.kernel import kernel
from barograph.jit.ordered import mean, total
from barograph.jit.views import by_address, frozen, unowned
from barograph.regimes.filtering import filter_path
from barograph.regimes.fitted import Family, Fitted, Model
from barograph.regimes.window import Window
from barograph.types import Belief, Filter, Floats
from barograph_models._chain.filter import observed
from barograph_models._classify.scoring import calibrate, moments, pass_missing
from barograph_models._fit.data import emitted, refuse_infinite
from barograph_models._fit.settings import checked
from barograph_models._nets.recurrent import advance, told
from barograph_models._nets.worlds import INPUTS, PRIOR, see

__all__ = ["AMORTISED", "DIGEST", "AmortisedParams", "amortised", "weights"]

FILE: Final = Path(__file__).with_name("_nets") / "amortised.npz"
DIGEST: Final = "8336f75503c1a735662671cd1f6d22015420c32b7bc623342e094a16aaf84145"
"""The SHA-256 of that file, which ``python -m barograph_models._nets.amortise OUT`` makes anew."""
NAMES: Final = ("calm", "wild")
_BELIEVED: Final = 20.0
"""Rows that what the prior says of a regime's mean and variance counts for."""


class AmortisedParams(NamedTuple):
    """What all classifiers have (`barograph_models._classify.scoring.COMMON`), then the weights that ship.

    `memory` (1,) is how many returns the scale goes back; the rest is as in
    `barograph_models._nets.recurrent.LSTMParams`.
    """

    start: Floats
    transition: Floats
    means: Floats
    variances: Floats
    centre: Floats
    shrink: Floats
    temperature: Floats
    knots: Floats
    memory: Floats
    entry: Floats
    between: Floats
    recurrent: Floats
    bias: Floats
    out: Floats
    out_bias: Floats


class AmortisedState(NamedTuple):
    """What the layers said last and their cells, (L, H), the belief (2,), the mean square so far and of how many."""

    said: Floats
    cells: Floats
    probs: Floats
    square: float
    seen: int


@kernel
def begin(params: Any) -> AmortisedState:
    """Begin with empty cells, no past, and the regimes' shares of the time."""
    L, H = params.recurrent.shape[0], params.recurrent.shape[1]
    return AmortisedState(np.zeros((L, H)), np.zeros((L, H)), params.start.copy(), 0.0, 0)


@kernel
def step(state: Any, x: Any, params: Any) -> tuple[AmortisedState, Belief]:
    """See one return more; a missing one is not taken, and the belief moves as the regimes do. `logpdf` is NaN."""
    if not observed(x):
        return pass_missing(state, params)
    own, said, probs = by_address(params), unowned(state.said), unowned(state.probs)
    inputs, gates = np.empty(INPUTS), np.empty(4 * said.shape[1])
    square = see(x[0], state.square, float(state.seen), params.memory[0], inputs)
    advance(unowned(inputs), said, unowned(state.cells), unowned(gates), own)
    told(said, probs, own)
    calibrate(probs, own)
    after = AmortisedState(state.said, state.cells, state.probs, square, state.seen + 1)
    return after, Belief(frozen(state.probs), np.nan)


AMORTISED: Final = Family(
    f"{__name__}:AMORTISED", AmortisedParams, begin, step, moments, shared=AmortisedParams._fields[4:]
)


@checked
def amortised() -> Model:
    """Tell calm from wild returns by a net that was trained once, on worlds drawn from a prior, and on no market.

    An LSTM of 32 cells, carried on, sees each return over the root mean square of those before it, and its belief is
    near P(regime | returns so far) averaged over all worlds of `barograph_models._nets.worlds.PRIOR`: two regimes whose
    volatilities differ 1.6 to 4 times, which last 80 to 800 and 25 to 250 bars, with Student-t noise. A bar takes 3 µs.

    ``fit(window)`` takes returns (T, 1), NaN where missing, and learns nothing: it measures what the two regimes look
    like in these returns, as believed bar for bar, so that forecasts are in their unit. What it believes hangs on the
    returns since the first row that its filter has seen, a thousand of them or so, and on nothing else. It raises
    `FitError` for more than one column, or returns that never move.

    The idea is amortised inference: S. Gershman & N. Goodman, *Amortized Inference in Probabilistic Reasoning*, CogSci
    2014; S. Radev et al., *BayesFlow*, IEEE Trans. Neural Networks 33 (2022).

    >>> noise = np.random.default_rng(0).standard_normal(900) * np.repeat([0.01, 0.03, 0.01], 300)
    >>> amortised().fit(noise).filter_path(noise).probs[[500, 800], 1].round(1)
    array([1., 0.])
    """
    return Model(_fit, 2, "amortised", NAMES, ("amortised", DIGEST), untrained=_untrained, hindsight=False)


@functools.cache
def weights() -> dict[str, Floats]:
    """Return the arrays that ship, by name, and `memory`. Raises `FitError` where the file is another one."""
    try:
        data = FILE.read_bytes()
    except OSError as error:
        raise FitError(f"amortised: {FILE.name} cannot be read: {error.strerror}; install barograph anew") from error
    found = hashlib.sha256(data).hexdigest()
    if found != DIGEST:
        raise FitError(f"amortised: {FILE.name} has digest {found[:12]}, wanted {DIGEST[:12]}; install barograph anew")
    with zipfile.ZipFile(BytesIO(data)) as file:
        about = json.loads(file.read("about.json"))
        arrays = {name.removesuffix(".npy"): np.load(BytesIO(file.read(name)), allow_pickle=False)
                  for name in file.namelist() if name.endswith(".npy")}  # fmt: skip
    return {"memory": np.array([float(about["memory"])]), **arrays}


def _middle(name: str) -> float:
    """Return the geometric middle of what the prior says of a size."""
    low, high = next(bounds for told, bounds in PRIOR.items() if told.startswith(name))
    return float(np.sqrt(low * high))


def _params(means: Floats, variances: Floats) -> AmortisedParams:
    stays = np.array([_middle("expected stay in the calm"), _middle("expected stay in the wild")])
    leaves = 1.0 / stays
    transition = np.array([[1.0 - leaves[0], leaves[0]], [leaves[1], 1.0 - leaves[1]]])
    common = (stays / total(stays), transition, means, variances, np.zeros(1), np.ones(1), np.ones(1))
    return AmortisedParams(*common, np.zeros((2, 2, 0)), **weights())


def _fitted(params: AmortisedParams, rows: int) -> Fitted:
    note = f"weights {DIGEST[:12]} were trained on simulated worlds alone, and are never fitted"
    return Fitted(AMORTISED, params, None, rows, None, None, True, 0, ("x0",), labels=NAMES, notes=(note,))


def _untrained(features: int) -> Fitted:
    if features != 1:
        raise FitError(f"amortised: looks at returns alone, found {features} columns; wanted one")
    return _fitted(_params(np.zeros((2, 1)), np.array([[1.0], [_middle("ratio") * _middle("ratio")]])), 0)


def _fit(window: Window) -> Fitted:
    X = emitted(window, "amortised")
    if X.shape[1] != 1:
        told = f"looks at returns alone, found {X.shape[1]} columns: {', '.join(window.names)}"
        raise FitError(f"amortised: {told}; wanted the return only")
    refuse_infinite(X, "amortised")
    seen = np.isfinite(X[:, 0])
    x = X[seen, 0]
    size = float(mean(x * x)) if len(x) else 0.0
    if not size > 0.0:
        raise FitError(f"amortised: {len(x)} of {len(X)} returns are there, and none differs from zero; wanted some")
    params = _untrained(1).params
    probs = filter_path(Filter(begin, step, params, 2, "amortised"), X).probs[seen]
    return _fitted(_params(*_looks(x, probs, params, size)), len(x))


def _looks(x: Floats, probs: Floats, params: AmortisedParams, size: float) -> tuple[Floats, Floats]:
    """Return the regimes' means and variances, (2, 1) each, of returns (T,) as they were believed, (T, 2).

    The prior's ratio, at the returns' own mean square, counts for a few rows more: a regime that was never believed
    still looks like something.
    """
    prior = params.variances[:, 0] * (size / float(total(params.start * params.variances[:, 0])))
    rows = total(probs) + _BELIEVED
    centre = total(probs * x[:, None]) / rows
    away = x[:, None] - centre
    spread = (total(probs * away * away) + _BELIEVED * prior) / rows
    return np.ascontiguousarray(centre[:, None]), np.ascontiguousarray(spread[:, None])
