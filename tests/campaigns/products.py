"""Worlds drawn from models on product spaces, and what their fits make of them: bias, and errors that halve.

    python -m tests.campaigns.products --worlds 200 --seed 2

For each parameter, over worlds of 4,000 and of 16,000 bars: the bias at the larger is within three Monte-Carlo standard
errors, and the root mean square error at the larger is half of that at the smaller, a quarter of that either way. A fit
begins at the truth, as at a previous fit, and at one drawn start. The exit status tells how many parameters fail. Of
100 worlds a ratio has a standard error of .05, so that one of these 22 may fall out by chance.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.regimes.fitted import Fitted, Model
from barograph.regimes.window import window
from barograph_models.factorial_hmm import FACTORIAL, factorial_hmm, factorial_params
from barograph_models.hierarchical_hmm import HIERARCHICAL, hierarchical_hmm, hierarchical_params

BARS: Final = (4_000, 16_000)


class World(NamedTuple):
    """A model, its truth, and what is read off a fit."""

    model: Model
    truth: Fitted
    read: Callable[[Any], dict[str, float]]


def factorial() -> World:
    """Return a slow chain that doubles the volatility, and a quick one that trebles it."""
    moves = [[[0.99, 0.01], [0.02, 0.98]], [[0.9, 0.1], [0.2, 0.8]]]
    factors = [[[1.0], [4.0]], [[1.0], [9.0]]]
    # The start is learned from one bar: worlds begin where they do most.
    start = [[2.0 / 3.0, 1.0 / 3.0]] * 2
    params = factorial_params(start, moves, [0.05], [1.0], np.zeros((2, 2, 1)), factors)

    def read(of: Any) -> dict[str, float]:
        found = {f"leave {k} of chain {c}": float(of.moves[c, k, 1 - k]) for c in range(2) for k in range(2)}
        found |= {f"log factor of chain {c}": float(np.log(of.factors[c, 1, 0])) for c in range(2)}
        return found | {"centre": float(of.centre[0]), "log spread": float(np.log(of.spread[0]))}

    return World(factorial_hmm(effect="variance", starts=1), _kept(FACTORIAL, params), read)


def hierarchical() -> World:
    """Return a calm market with rough days, and a wild one with rougher."""
    macro, entry = [[0.99, 0.01], [0.02, 0.98]], [[0.9, 0.1], [0.3, 0.7]]
    fine = [[[0.95, 0.05], [0.3, 0.7]], [[0.9, 0.1], [0.15, 0.85]]]
    variances = [[[0.25], [2.25]], [[4.0], [49.0]]]
    params = hierarchical_params([[0.5, 0.1], [0.2, 0.2]], macro, entry, fine, np.zeros((2, 2, 1)), variances)

    def read(of: Any) -> dict[str, float]:
        found = {f"leave macro {m}": float(of.macro[m, 1 - m]) for m in range(2)}
        found |= {f"leave {k} of macro {m}": float(of.fine[m, k, 1 - k]) for m in range(2) for k in range(2)}
        found |= {f"log variance {s}": float(np.log(of.covariances[s, 0])) for s in range(4)}
        return found | {f"mean {s}": float(of.means[s, 0]) for s in range(4)}

    return World(hierarchical_hmm(starts=1), _kept(HIERARCHICAL, params), read)


def _kept(family: Any, params: Any) -> Fitted:
    return Fitted(family, params, None, 100, None, None, True, 0, ("x0",))


def recovered(world: World, worlds: int, seed: int) -> dict[str, tuple[float, float, float]]:
    """Return of each parameter the bias at the larger, its Monte-Carlo standard error, and the ratio of the errors."""
    true, away = world.read(world.truth.params), {}
    for bars in BARS:
        found = []
        for n in range(worlds):
            X = world.truth.sample(bars, seed * 100_000 + bars + n)[0]
            found.append(world.read(world.model.fit(window(X, previous=world.truth)).params))
        away[bars] = {name: np.array([of[name] - true[name] for of in found]) for name in true}
    small, large = (away[bars] for bars in BARS)
    return {
        name: (
            float(large[name].mean()),
            float(large[name].std(ddof=1) / np.sqrt(worlds)),
            float(np.sqrt((large[name] ** 2).mean() / (small[name] ** 2).mean())),
        )
        for name in true
    }


def main() -> None:
    """Run the campaign and say what was found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args()
    bad = 0
    for make in (factorial, hierarchical):
        for name, (bias, error, ratio) in recovered(make(), told.worlds, told.seed).items():
            fails = abs(bias) > 3.0 * error or not 0.375 <= ratio <= 0.625
            bad += fails
            note = "  FAILS" if fails else ""
            print(f"{make.__name__}: {name}: bias {bias:+.4f} ± {error:.4f}, errors to {ratio:.2f}{note}", flush=True)
    sys.exit(bad)


if __name__ == "__main__":
    main()
