"""A model that is told late: its belief is the one of so many bars before."""

from __future__ import annotations

import functools
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.errors import ConfigError
from barograph.jit.kernel import Kernel, kernel
from barograph.jit.views import frozen, unowned
from barograph.regimes.family import Family
from barograph.regimes.fitted import Model
from barograph.types import Belief, Floats
from barograph_models._fit.settings import checked
from barograph_models._over.family import Changed, family_named, model_over

__all__ = ["DelayState", "delay"]

NAME: Final = "delay"


class DelayState(NamedTuple):
    """The other's state and belief (R,), the belief shown, a ring of the last ones (bars, R), and the bars seen."""

    inner: Any
    believed: Floats
    probs: Floats
    ring: Floats
    seen: int


@functools.cache
def _make(begin: Any, look: Any) -> tuple[Any, Any]:
    def init(params: Any) -> Any:
        R = int(params.late[1])
        return DelayState(begin(params), np.zeros(R), np.zeros(R), np.zeros((int(params.late[0]), R)), 0)

    def step(state: Any, x: Any, params: Any) -> Any:
        inner, belief = look(state.inner, x, params)
        believed, probs, ring, told = unowned(state.believed), unowned(state.probs), unowned(state.ring), belief.probs
        place = state.seen % ring.shape[0]
        for k in range(probs.size):
            believed[k] = told[k]
            # Before there is an older one the first stands for it.
            if state.seen == 0:
                for i in range(ring.shape[0]):
                    ring[i, k] = told[k]
            probs[k] = ring[place, k]
            ring[place, k] = told[k]
        after = DelayState(inner, state.believed, state.probs, state.ring, state.seen + 1)
        return after, Belief(frozen(state.probs), belief.logpdf)

    if isinstance(begin, Kernel) and isinstance(look, Kernel):
        return kernel(init), kernel(step)
    return init, step


_CHANGED: Final = Changed(__name__, ("late",), _make)


@checked
def delay(of: Model, bars: int = 1) -> Model:
    """Believe what the model `of` believed `bars` ago: what is a regime worth that is known a day late?

    `logpdf` and forecasts stay those of the other at this bar: it is the belief alone that comes late. Raises
    `ConfigError` for values that cannot be meant.

    >>> from barograph_models.gaussian_hmm import gaussian_hmm
    >>> noise = np.random.default_rng(0).standard_normal(600) * np.repeat([1.0, 4.0, 1.0], 200)
    >>> prompt = gaussian_hmm(states=2, starts=2)
    >>> at_once, late = (model.fit(noise).filter_path(noise).probs for model in (prompt, delay(prompt, bars=3)))
    >>> bool((late[3:] == at_once[:-3]).all())
    True
    """
    if isinstance(bars, bool) or not isinstance(bars, int | np.integer) or bars < 1:
        raise ConfigError(f"{NAME}: bars = {bars!r}, a whole number of at least 1 is wanted")
    if of.panel:
        raise ConfigError(f"{NAME}: {of.name} is a model for several assets; wanted one of a single asset")
    return model_over(_CHANGED, of, NAME, np.array([bars, of.regimes], dtype=np.float64))


def __getattr__(name: str) -> Family:
    """Find the family of a saved fit: it is called like the one it is over."""
    return family_named(_CHANGED, name)
