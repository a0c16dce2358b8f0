"""How long regimes last, as hazards: P(a stay ends at this bar | it has lasted a bars), and how they are learned.

A law is a mean m of the bars beyond the first and a dispersion v: their variance is m + v m**2. It is the negative
binomial's, the Poisson's where v = 0, and the geometric's, a Markov chain, where v = 1. Hazards follow from the ratio
of neighbouring probabilities, rho(a) = p(a+1) / p(a) = (1 + (a-1) v) / a * m / (1 + m v): h(a) = h(a+1) / (h(a+1) +
rho(a)), so that neither factorials nor tails are ever summed. From the last age D on rho stays what it is there: the
tail is geometric, and the hazard 1 - rho(D).

Of a law with v < 1 rho(D) may be anything: from m = D - 1 on its tail lasts longer than 1 + m, and soon for ever, where
the hazard has no slope to climb by. So m is held where the tail lasts at most `TAILS` times 1 + m (`farthest`).
"""

from __future__ import annotations

import math
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.jit.arithmetic import exp, log
from barograph.jit.kernel import kernel
from barograph.types import Floats

__all__ = ["DISPERSION", "EMPIRICAL", "KINDS", "Habits", "bands", "belief_in", "farthest", "fill", "hazards",
           "lay_out", "learn", "remaining", "stays", "told"]  # fmt: skip

NEGATIVE_BINOMIAL, POISSON, GEOMETRIC, EMPIRICAL = 0, 1, 2, 3
KINDS: Final = {
    "negative_binomial": NEGATIVE_BINOMIAL,
    "poisson": POISSON,
    "geometric": GEOMETRIC,
    "empirical": EMPIRICAL,
}
DISPERSION: Final = {NEGATIVE_BINOMIAL: 1.0, POISSON: 0.0, GEOMETRIC: 1.0, EMPIRICAL: 1.0}
"""Where a dispersion begins, and stays where it is not learned."""
SUREST: Final = 1.0 - 1e-12
LONGEST_TAIL: Final = 1.0 - 1e-6
"""Beyond the last age a stay ends with a chance of at least a millionth a bar."""
TAILS: Final = 10.0
"""Beyond the last age a stay lasts at most so many times what its law expects of a whole one."""
GONE: Final = 1e-120
"""Fewer stays than this share are not aged any further: weights of ages are divided by no less."""
NEAREST, FARTHEST = log(1e-2), log(1e5)
NARROWEST, WIDEST = log(0.02), log(20.0)
STEPS: Final = 4
HALVINGS: Final = 8


class Habits(NamedTuple):
    """What is believed of stays before any is seen: about log(`mean`) with precision `firm`, and as firmly v = 1."""

    mean: float
    firm: float


@kernel
def farthest(dispersion: Any, D: Any) -> Any:
    """Return the largest mean of a law that is told apart up to age D: where 1 / (1 - rho(D)) = `TAILS` (1 + m).

    Infinite from v = 1 on, where a tail never lasts longer than 1 + m.
    """
    if dispersion >= 1.0:
        return math.inf
    # rho(D) = w m / (1 + m v) with w = (1 + (D-1) v) / D; w - v = (1 - v) / D: a quadratic in m.
    w, left = (1.0 + (D - 1.0) * dispersion) / D, 1.0 - 1.0 / TAILS
    a, b = (1.0 - dispersion) / D, 1.0 + dispersion * left - w
    return (b + math.sqrt(b * b + 4.0 * a * left)) / (2.0 * a)


@kernel
def fill(k: Any, mean: Any, dispersion: Any, hazard: Any, slopes: Any) -> None:
    """Fill regime k's hazards (K, D) and, where `slopes` (2, D) has room, what they grow by with log m and log v."""
    D = hazard.shape[1]
    whole = 1.0 + mean * dispersion
    for a in range(D - 1, -1, -1):
        # Row a is age a + 1.
        widened = 1.0 + a * dispersion
        ratio = widened / (a + 1.0) * mean / whole
        by_mean, by_spread = ratio / whole, ratio * (a * dispersion / widened - mean * dispersion / whole)
        if a == D - 1:
            clipped = ratio > LONGEST_TAIL
            hazard[k, a] = 1.0 - LONGEST_TAIL if clipped else 1.0 - ratio
            slopes[0, a] = 0.0 if clipped else -by_mean
            slopes[1, a] = 0.0 if clipped else -by_spread
        else:
            older = hazard[k, a + 1]
            below = older + ratio
            hazard[k, a] = older / below
            slopes[0, a] = (ratio * slopes[0, a + 1] - older * by_mean) / (below * below)
            slopes[1, a] = (ratio * slopes[1, a + 1] - older * by_spread) / (below * below)
    for a in range(D):
        hazard[k, a] = min(hazard[k, a], SUREST)


@kernel
def lay_out(hazard: Any, ends: Any, lasts: Any) -> None:
    """Fill P(a stay is exactly, is longer than a bars), (K, D) each; the last age has its own chance to end, or not."""
    K, D = hazard.shape
    for k in range(K):
        alive = 1.0
        for a in range(D - 1):
            if alive < GONE:
                hazard[k, a] = 0.0
            ends[k, a] = alive * hazard[k, a]
            alive *= 1.0 - hazard[k, a]
            lasts[k, a] = alive
        ends[k, D - 1] = hazard[k, D - 1]
        lasts[k, D - 1] = 1.0 - hazard[k, D - 1]


@kernel
def _worth(k: Any, hazard: Any, ended: Any, lasted: Any) -> Any:
    """Return the log likelihood of so many ends, and bars that were no end, at each age."""
    found = 0.0
    for a in range(hazard.shape[1]):
        if ended[k, a] > 0.0:
            found += ended[k, a] * (log(hazard[k, a]) if hazard[k, a] > 0.0 else -1e3)
        if lasted[k, a] > 0.0:
            found += lasted[k, a] * log(1.0 - hazard[k, a])
    return found


@kernel
def _belief(mean: Any, dispersion: Any, free: Any, habits: Any) -> Any:
    away = log(mean) - log(habits.mean)
    found = -0.5 * habits.firm * away * away
    if free:
        found -= 0.5 * habits.firm * log(dispersion) * log(dispersion)
    return found


@kernel
def _score(k: Any, hazard: Any, slopes: Any, ended: Any, lasted: Any) -> Any:
    """Return the gradient and the expected information by log m and log v: Fisher scoring of a hazard."""
    g, s, gg, gs, ss = 0.0, 0.0, 0.0, 0.0, 0.0
    for a in range(hazard.shape[1]):
        h, risk = hazard[k, a], ended[k, a] + lasted[k, a]
        if risk <= 0.0 or h <= 0.0:
            continue
        each = 1.0 / (h * (1.0 - h))
        surplus = (ended[k, a] - risk * h) * each
        g += surplus * slopes[0, a]
        s += surplus * slopes[1, a]
        gg += risk * each * slopes[0, a] * slopes[0, a]
        gs += risk * each * slopes[0, a] * slopes[1, a]
        ss += risk * each * slopes[1, a] * slopes[1, a]
    return g, s, gg, gs, ss


@kernel
def _step(k: Any, mean: Any, dispersion: Any, free: Any, habits: Any, hazard: Any, slopes: Any, ended: Any,
          lasted: Any) -> Any:  # fmt: skip
    """Return how far a scoring step goes in log m and in log v."""
    g, s, gg, gs, ss = _score(k, hazard, slopes, ended, lasted)
    g -= habits.firm * (log(mean) - log(habits.mean))
    gg += habits.firm
    if not free:
        return g / gg if gg > 0.0 else 0.0, 0.0
    s -= habits.firm * log(dispersion)
    ss += habits.firm
    whole = gg * ss - gs * gs
    # Where the two cannot be told apart each is moved as if the other stood.
    if whole <= 1e-12 * gg * ss:
        return 0.5 * g / gg if gg > 0.0 else 0.0, 0.5 * s / ss if ss > 0.0 else 0.0
    return (ss * g - gs * s) / whole, (gg * s - gs * g) / whole


@kernel
def _moved(was: Any, by: Any, low: Any, high: Any) -> Any:
    """Move a logarithm, by at most one, and keep it within bounds."""
    to = log(was) + max(-1.0, min(1.0, by))
    return exp(max(low, min(high, to)))


@kernel
def _learn_law(k: Any, free: Any, habits: Any, law: Any, hazard: Any, slopes: Any, ended: Any, lasted: Any) -> None:
    """Climb by a few scoring steps: EM needs no summit, only that it rises."""
    D = hazard.shape[1]
    mean, dispersion = min(law[k, 0], farthest(law[k, 1], D)), law[k, 1]
    fill(k, mean, dispersion, hazard, slopes)
    best = _worth(k, hazard, ended, lasted) + _belief(mean, dispersion, free, habits)
    for _ in range(STEPS):
        far, wide = _step(k, mean, dispersion, free, habits, hazard, slopes, ended, lasted)
        share, rose = 1.0, False
        for _ in range(HALVINGS):
            spread = _moved(dispersion, share * wide, NARROWEST, WIDEST) if free else dispersion
            there = min(_moved(mean, share * far, NEAREST, FARTHEST), farthest(spread, D))
            fill(k, there, spread, hazard, slopes)
            reached = _worth(k, hazard, ended, lasted) + _belief(there, spread, free, habits)
            if reached > best:
                best, mean, dispersion, rose = reached, there, spread, True
                break
            share *= 0.25
        if not rose:
            break
    law[k, 0], law[k, 1] = mean, dispersion
    fill(k, mean, dispersion, hazard, slopes)


@kernel
def _bands(D: Any) -> Any:
    found, high = 1, 1
    while high < D:
        found, high = found + 1, 2 * high
    return found


@kernel
def _learn_bands(k: Any, habits: Any, hazard: Any, ended: Any, lasted: Any) -> None:
    """Set each band's hazard to its share of ends among the bars at risk: a life table, bands twice as wide each.

    What is believed is as much as of a law: `firm` stays that end after `mean` bars more, shared by the bands alike.
    """
    D = hazard.shape[1]
    firm = habits.firm / _bands(D)
    low, high = 0, 1
    while low < D:
        high = min(high, D)
        ends, risk = firm, firm * (habits.mean + 1.0)
        for a in range(low, high):
            ends += ended[k, a]
            risk += ended[k, a] + lasted[k, a]
        for a in range(low, high):
            if risk > 0.0:
                hazard[k, a] = min(max(ends / risk, 0.0), SUREST)
        low, high = high, 2 * high


@kernel
def learn(kind: Any, habits: Any, law: Any, hazard: Any, slopes: Any, ended: Any, lasted: Any) -> None:
    """Set every regime's law and hazards to what makes so many ends, and bars that were none, likelier: (K, D) each."""
    for k in range(hazard.shape[0]):
        if kind == EMPIRICAL:
            _learn_bands(k, habits, hazard, ended, lasted)
        else:
            _learn_law(k, kind == NEGATIVE_BINOMIAL, habits, law, hazard, slopes, ended, lasted)


@kernel
def belief_in(kind: Any, habits: Any, law: Any, hazard: Any) -> Any:
    """Return the log density, up to a constant, that was believed of these laws before any stay was seen."""
    found = 0.0
    if habits.firm <= 0.0:
        return found
    for k in range(hazard.shape[0]):
        if kind != EMPIRICAL:
            found += _belief(law[k, 0], law[k, 1], kind == NEGATIVE_BINOMIAL, habits)
            continue
        low, firm = 0, habits.firm / _bands(hazard.shape[1])
        while low < hazard.shape[1]:
            h = hazard[k, low]
            found += firm * (log(h) + habits.mean * log(1.0 - h))
            low = 2 * low if low > 0 else 1
    return found


def hazards(mean: Any, dispersion: Any, longest: int) -> Floats:
    """Return the hazards (K, D) of laws with these means of the bars beyond the first, and dispersions, (K,).

    >>> hazards([9.0], [1.0], 3)
    array([[0.1, 0.1, 0.1]])
    """
    found, slopes = np.empty((len(mean), longest)), np.empty((2, longest))
    for k in range(len(mean)):
        fill(k, float(mean[k]), float(dispersion[k]), found, slopes)
    return found


def bands(longest: int) -> int:
    """Return how many bands a life table of so many ages has.

    >>> bands(300)
    10
    """
    return 1 + (longest - 1).bit_length()


def remaining(hazard: Floats) -> Floats:
    """Return the expected bars that a stay still lasts after each age, (K, D); infinite where it never ends."""
    found = np.empty_like(hazard)
    last = hazard[:, -1]
    ahead = np.where(last > 0.0, (1.0 - last) / np.where(last > 0.0, last, 1.0), np.inf)
    found[:, -1] = ahead
    for a in range(hazard.shape[1] - 2, -1, -1):
        goes_on = 1.0 - hazard[:, a]
        ahead = np.where(goes_on > 0.0, goes_on * (1.0 + np.where(goes_on > 0.0, ahead, 0.0)), 0.0)
        found[:, a] = ahead
    return found


def told(hazard: Floats) -> Floats:
    """Return the law (K, 2) that is told of a life table: what stays expect beyond the first bar, and v = 1.

    It is no further than a law's own mean may be, for a stay that never ends is no number.
    """
    beyond = np.minimum(stays(hazard) - 1.0, exp(FARTHEST))
    return np.column_stack([beyond, np.full(len(hazard), DISPERSION[EMPIRICAL])])


def stays(hazard: Floats) -> Floats:
    """Return the expected stay in each regime, in bars, (K,)."""
    return np.asarray(1.0 + remaining(hazard)[:, 0])
