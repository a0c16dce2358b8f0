"""A model that does not change its mind at once: a regime is held until another has been seen for long enough."""

from __future__ import annotations

import functools
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.errors import ConfigError
from barograph.jit.kernel import Kernel, kernel
from barograph.jit.views import frozen, unowned
from barograph.regimes.dwelling import UNDECIDED, Choice, Waiting, seen_again, switch
from barograph.regimes.family import Family
from barograph.regimes.fitted import Model
from barograph.types import Belief, Floats
from barograph_models._fit.settings import checked
from barograph_models._over.family import Changed, family_named, model_over

__all__ = ["DwellState", "dwell"]

NAME: Final = "dwell"


class DwellState(NamedTuple):
    """The other's state and belief (R,), the belief that is shown (R,), what is held, and what waits to be."""

    inner: Any
    believed: Floats
    probs: Floats
    choice: Choice
    waiting: Waiting


@functools.cache
def _make(begin: Any, look: Any) -> tuple[Any, Any]:
    def init(params: Any) -> Any:
        R = int(params.dwelling[3])
        return DwellState(begin(params), np.zeros(R), np.zeros(R), Choice(UNDECIDED, 0), Waiting(UNDECIDED, 0))

    def step(state: Any, x: Any, params: Any) -> Any:
        inner, belief = look(state.inner, x, params)
        believed, probs, told = unowned(state.believed), unowned(state.probs), belief.probs
        best = 0
        for k in range(probs.size):
            believed[k] = told[k]
            if told[k] > told[best]:
                best = k
        held = state.choice.current
        sure = held == UNDECIDED or told[best] > params.dwelling[2]
        waiting = seen_again(state.waiting, best if sure and best != held else UNDECIDED)
        ready = waiting.candidate != UNDECIDED and (held == UNDECIDED or waiting.closes >= params.dwelling[1])
        choice = switch(state.choice, waiting.candidate if ready else UNDECIDED, int(params.dwelling[0]))
        for k in range(probs.size):
            probs[k] = 1.0 if k == choice.current else 0.0
        after = DwellState(inner, state.believed, state.probs, choice, waiting)
        return after, Belief(frozen(state.probs), belief.logpdf)

    if isinstance(begin, Kernel) and isinstance(look, Kernel):
        return kernel(init), kernel(step)
    return init, step


_CHANGED: Final = Changed(__name__, ("dwelling",), _make)


@checked
def dwell(of: Model, bars: int = 5, closes: int = 1, probability: float = 0.0) -> Model:
    """Hold a regime of the model `of` until another has been the likeliest for `closes` bars in a row.

    It has to be likelier than `probability` at each of them, and none replaces a regime that is held for less than
    `bars`. The belief is certain of what is held; `logpdf`, forecasts, stays and moments are those of the other, which
    goes on believing what it believes. The strategies' `dwell` is `bars`, and the alerts' is `closes`.

    Raises `ConfigError` for values that cannot be meant.

    >>> from barograph_models.gaussian_hmm import gaussian_hmm
    >>> noise = np.random.default_rng(0).standard_normal(600) * np.repeat([1.0, 3.0, 1.0], 200)
    >>> hasty = gaussian_hmm(states=2, starts=2)
    >>> [int(np.count_nonzero(np.diff(model.fit(noise).filter_path(noise).probs[:, 1] > 0.5)))
    ...  for model in (hasty, dwell(hasty, bars=10, closes=3))]
    [8, 2]
    """
    for key, value in {"bars": bars, "closes": closes}.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
            raise ConfigError(f"{NAME}: {key} = {value!r}, a whole number of at least 1 is wanted")
    if not 0.0 <= probability < 1.0:
        raise ConfigError(f"{NAME}: probability = {probability!r}, a number from 0 and below 1 is wanted")
    if of.panel:
        raise ConfigError(f"{NAME}: {of.name} is a model for several assets; wanted one of a single asset")
    setting = np.array([bars, closes, probability, of.regimes], dtype=np.float64)
    return model_over(_CHANGED, of, NAME, setting)


def __getattr__(name: str) -> Family:
    """Find the family of a saved fit: it is called like the one it is over."""
    return family_named(_CHANGED, name)
