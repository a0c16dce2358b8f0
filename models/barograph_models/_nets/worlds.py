"""The worlds that `amortised` was trained on: two regimes drawn from a declared prior, and what a net sees of them."""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.jit.arithmetic import exp, log
from barograph.jit.kernel import compiled, kernel, shared
from barograph.types import Floats
from barograph_models._chain.chance import gamma, generator, normal, uniform

__all__ = ["INPUTS", "MEMORY", "PRIOR", "Worlds", "inputs_of", "see", "worlds"]

PRIOR: Final = {
    "ratio of the volatilities, logarithm uniform": (1.6, 4.0),
    "expected stay in the calm regime, logarithm uniform": (80.0, 800.0),
    "expected stay in the wild regime, logarithm uniform": (25.0, 250.0),
    "degrees of freedom of the Student-t noise, logarithm uniform": (3.2, 16.0),
    "calm mean in calm deviations, uniform": (-0.03, 0.12),
    "wild mean in wild deviations, uniform": (-0.15, 0.05),
}
"""What is drawn for every world, alone and from where to where; the calm volatility is one, as no scale is seen."""
_BOUNDS: Final = np.array(list(PRIOR.values()))
MEMORY: Final = 1000
"""How many rows the past's mean square goes back: all until then, and after that with exponential weights."""
INPUTS: Final = 3
_FARTHEST: Final = 8.0
_WRONG: Final = 128.0
"""Root mean squares beyond which a return counts as `_FARTHEST` of them. A scale that has truly moved is still reached.

The prior never draws one, so that the weights see what they were trained on: of 32 million returns the largest was 90.
"""
_KNOWN: Final = 20.0
"""Returns of which a mean square is known well enough to say so: the second may be anything beside the first."""
_USUAL: Final = 0.7
_LONG: Final = 7.0


class Worlds(NamedTuple):
    """Returns (N, T), the regime in force (N, T), 0 the calm, and what was drawn of `PRIOR`, in its order, (N, 6)."""

    returns: Floats
    regimes: NDArray[np.int64]
    drawn: Floats


@kernel
def _law(bounds: Any, chance: Any, drawn: Any) -> None:
    for i in range(drawn.size):
        low, high, share = bounds[i, 0], bounds[i, 1], uniform(chance)
        drawn[i] = low + (high - low) * share if low < 0.0 else exp(log(low) + (log(high) - log(low)) * share)


@kernel
def _noise(freedom: Any, chance: Any) -> Any:
    """Return a Student-t number of variance one."""
    spread = 2.0 * gamma(chance, 0.5 * freedom)
    return normal(chance) * math.sqrt((freedom - 2.0) / spread)


@compiled
def _draw(bounds: Any, chance: Any, returns: Any, regimes: Any, drawn: Any) -> None:
    for n in range(returns.shape[0]):
        _law(bounds, chance, drawn[n])
        ratio, calm, wild, freedom, up, down = drawn[n]
        now = 1 if uniform(chance) < wild / (calm + wild) else 0
        for t in range(returns.shape[1]):
            if t > 0 and uniform(chance) < 1.0 / (wild if now == 1 else calm):
                now = 1 - now
            told = (down if now == 1 else up) + _noise(freedom, chance)
            returns[n, t] = ratio * told if now == 1 else told
            regimes[n, t] = now


def worlds(count: int, bars: int, seed: int) -> Worlds:
    """Return worlds drawn from the prior, each begun in its long run; the same on every processor.

    >>> drawn = worlds(3, 100, seed=0)
    >>> drawn.returns.shape, drawn.drawn.shape
    ((3, 100), (3, 6))
    """
    made = Worlds(np.zeros((count, bars)), np.zeros((count, bars), dtype=np.int64), np.zeros((count, len(_BOUNDS))))
    _draw(_BOUNDS, generator(seed), *made)
    return made


@kernel
def see(x: Any, square: Any, seen: Any, memory: Any, out: Any) -> Any:
    """Write what a net sees of a return after `seen` others of mean square `square`; return the mean square with it.

    That is the return over the root of the mean square before it, how far that is from its usual size, and how much
    past there is. The first return, and all after nothing but zeros, are seen as zero. A wrong print is kept from the
    mean square (`_WRONG`): else it would be the scale of a thousand bars.
    """
    scaled = x / math.sqrt(square) if square > 0.0 else 0.0
    scaled = max(-_FARTHEST, min(_FARTHEST, scaled))
    out[0] = scaled
    out[1] = abs(scaled) - _USUAL
    out[2] = log(1.0 + min(seen, memory)) / _LONG
    counts = x * x
    if seen >= _KNOWN and abs(x) > _WRONG * math.sqrt(square):
        counts = _FARTHEST * _FARTHEST * square
    return square + (counts - square) / min(seen + 1.0, memory)


@shared
def _see_all(x: Any, memory: Any, out: Any) -> None:
    square = 0.0
    for t in range(x.size):
        square = see(x[t], square, float(t), memory, out[t])


@compiled
def _see_each(X: Any, memory: Any, out: Any) -> None:
    for n in range(X.shape[0]):
        _see_all(X[n], memory, out[n])


def inputs_of(returns: Floats) -> Floats:
    """Return what a net sees of returns (N, T): (N, T, 3).

    >>> inputs_of(np.array([[0.01, 0.02, -0.01]]))[0, :, 0].round(2)
    array([ 0.  ,  2.  , -0.63])
    """
    out = np.zeros((*returns.shape, INPUTS))
    _see_each(np.ascontiguousarray(returns), float(MEMORY), out)
    return out
