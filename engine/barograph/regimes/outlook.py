"""What a fit expects of the bars to come: its chain, its regimes' names, and how likely it thinks its data are.

All of it is computed once a fit and remembered; every answer is a function of the fit and a belief alone.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

from barograph.regimes.mixture import mixture_quantile
from barograph.types import Floats

if TYPE_CHECKING:
    from barograph.regimes.fitted import Fitted

__all__ = ["Outlook", "outlook"]

# Points a regime that an expectation over its density is taken at: 1 % of a standard deviation off in ten dimensions.
_POINTS: Final = 128
_TINY: Final = 1e-300
_NAMES: Final = {2: ("calm", "wild"), 3: ("calm", "middle", "wild")}


class Outlook(NamedTuple):
    """A fit, laid out for questions: `transition` (K, K), `ahead` (K, K) over the horizon, means and variances (K,).

    `logs` (K, S, K) is the log-density under every regime at points drawn from each; `shift` is what the mean of the
    training data's log-density differs by; `changes` is the share of bars at which the regime is left. `returns` tells
    whether feature 0 is the log return of a bar, so that it can be multiplied by a weight.
    """

    transition: Floats
    ahead: Floats
    mean: Floats
    variance: Floats
    stays: tuple[float | None, ...]
    names: tuple[str, ...]
    logs: Floats
    shift: float
    changes: float
    returns: bool
    mark: str

    def next(self, belief: Floats) -> Floats:
        """Return the probabilities at the next close, (K,)."""
        return np.asarray(np.einsum("i,ij->j", belief, self.transition))

    def leaving(self, belief: Floats, regime: int) -> float:
        """Return the probability that the regime at the horizon is another one."""
        return 1.0 - float(np.einsum("i,i->", belief, self.ahead[:, regime]))

    def quantile(self, belief: Floats, level: float) -> float:
        """Return the quantile of the next bar's feature 0, under the predicted mixture."""
        return float(mixture_quantile(level, self.next(belief), self.mean, self.variance))

    def surprise(self, belief: Floats, logpdf: float) -> float:
        """Return by how many standard deviations a bar's log-density is below what the belief before it expected."""
        mean, deviation = _expected(self.logs, self.next(belief))
        return (mean + self.shift - logpdf) / deviation


@lru_cache(maxsize=8)
def outlook(fitted: Fitted, horizon: int) -> Outlook:
    """Lay out a fit for the questions that a watcher asks at every close.

    >>> import numpy as np
    >>> from barograph_models.gaussian_hmm import gaussian_hmm
    >>> noise = np.random.default_rng(0).standard_normal(600)
    >>> fitted = gaussian_hmm(states=2, starts=2).fit((noise * np.repeat([1.0, 4.0, 1.0], 200))[:, None], None)
    >>> seen = outlook(fitted, horizon=5)
    >>> seen.names, round(seen.leaving(np.array([1.0, 0.0]), 0), 2)
    (('calm', 'wild'), 0.01)
    """
    moments, transition = fitted.moments(), np.array(fitted.transition)
    logs, share = _log_densities(moments.mean, moments.variance), fitted.stationary()
    surest = sum(float(p) * _expected(logs, row)[0] for p, row in zip(share, transition, strict=True))
    stay = np.diag(transition)
    return Outlook(
        transition=transition,
        ahead=_power(transition, horizon),
        mean=np.ascontiguousarray(moments.mean[:, 0]),
        variance=np.ascontiguousarray(moments.variance[:, 0]),
        stays=tuple(1.0 / (1.0 - p) if p < 1.0 else None for p in stay.tolist()),
        names=_names(moments.variance[:, 0]),
        logs=logs,
        # What the diagonal Gaussians leave out (covariances, tails, doubt) is in the training data's own mean.
        shift=float(fitted.log_likelihood[-1]) / max(1, fitted.observations) - surest,
        changes=float(np.einsum("k,k->", share, 1.0 - stay)),
        returns=fitted.features[0].startswith("log_return"),
        mark=f"{fitted.observations}:{float(fitted.log_likelihood[-1])!r}",
    )


def _names(variance: Floats) -> tuple[str, ...]:
    """Name regimes by how wild feature 0 is in them; with more than three the number has to do."""
    words, order = _NAMES.get(len(variance)), np.argsort(np.argsort(variance, kind="stable"), kind="stable")
    return tuple(words[rank] if words else f"regime {k}" for k, rank in enumerate(order))


def _power(transition: Floats, horizon: int) -> Floats:
    product = transition
    for _ in range(horizon - 1):
        product = np.asarray(np.einsum("ij,jk->ik", product, transition))
    return product


def _log_densities(mean: Floats, variance: Floats) -> Floats:
    """Return log N_j(x) at points x of regime k, (K, S, K), features independent."""
    points = mean[:, None, :] + np.sqrt(variance)[:, None, :] * _points(mean.shape[1])
    away = (points[:, :, None, :] - mean) ** 2 / variance
    return np.asarray(-0.5 * (away + np.log(2.0 * math.pi * variance)).sum(axis=3))


def _points(dimensions: int) -> Floats:
    """Return standard normal points (S, d): a lattice by the golden ratio's relatives, the same everywhere.

    M. Roberts, *The unreasonable effectiveness of quasirandom sequences* (2018).
    """
    from scipy.special import ndtri

    root = 2.0
    for _ in range(64):
        root = (1.0 + root) ** (1.0 / (dimensions + 1))
    steps = root ** -np.arange(1.0, dimensions + 1.0)
    points: Floats = ndtri((0.5 + steps * np.arange(1.0, _POINTS + 1.0)[:, None]) % 1.0)
    points = points - points.mean(axis=0)
    return np.asarray(points / np.sqrt((points**2).mean(axis=0)))


def _expected(logs: Floats, probs: Floats) -> tuple[float, float]:
    """Return mean and deviation of the log-density of a bar that is drawn from the mixture `probs` (K,)."""
    weighed = logs + np.log(np.maximum(probs, _TINY))
    top = weighed.max(axis=2)
    mixed = top + np.log(np.exp(weighed - top[:, :, None]).sum(axis=2))
    mean = float(np.einsum("k,ks->", probs, mixed)) / mixed.shape[1]
    square = float(np.einsum("k,ks->", probs, (mixed - mean) ** 2)) / mixed.shape[1]
    return mean, math.sqrt(max(square, _TINY))
