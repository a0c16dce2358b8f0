"""A semi-Markov filter in age form: a stay's end depends on how long it has lasted.

S.-Z. Yu, *Hidden semi-Markov models*, Artificial Intelligence 174 (2010).
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

import barograph as bg
from barograph.jit.arithmetic import exp, log
from barograph.regimes.family import Family, Moments
from barograph.regimes.fitted import Fitted, Model

HALF_LOG = 0.5 * log(2.0 * 3.141592653589793)


class Params(NamedTuple):
    follows: Any  # (K, K), zero diagonal: which regime comes next
    means: Any  # (K, 1)
    variances: Any  # (K, 1)
    hazard: Any  # (K, D): P(the stay ends | it has lasted a bars); the last age absorbs
    start: Any  # (K,)


class State(NamedTuple):
    age: Any  # (K, D)
    room: Any  # (K, D)
    probs: Any  # (K,)
    seen: int


@bg.kernel
def init(p: Any) -> Any:
    age = np.zeros(p.hazard.shape)
    for k in range(p.start.size):
        age[k, 0] = p.start[k]
    return State(age, np.zeros(p.hazard.shape), p.start.copy(), 0)


@bg.kernel
def older(age: Any, room: Any, p: Any) -> None:
    """Fill `room` with P(regime, age) one bar later."""
    K, D = age.shape
    for k in range(K):
        for a in range(D):
            room[k, a] = 0.0
    for k in range(K):
        for a in range(D):
            ends = age[k, a] * p.hazard[k, a]
            for j in range(K):
                room[j, 0] += ends * p.follows[k, j]
            room[k, min(a + 1, D - 1)] += age[k, a] - ends


@bg.kernel
def step(s: Any, x: Any, p: Any) -> Any:
    K, D = s.age.shape
    if s.seen > 0:
        older(s.age, s.room, p)
        for k in range(K):
            for a in range(D):
                s.age[k, a] = s.room[k, a]
    whole, logpdf = 0.0, 0.0
    for k in range(K):
        z = x[0] - p.means[k, 0]
        likely = exp(-0.5 * z * z / p.variances[k, 0] - 0.5 * log(p.variances[k, 0]) - HALF_LOG) if z == z else 1.0
        s.probs[k] = 0.0
        for a in range(D):
            s.age[k, a] *= likely
            s.probs[k] += s.age[k, a]
        whole += s.probs[k]
    for k in range(K):
        s.probs[k] /= whole
        for a in range(D):
            s.age[k, a] /= whole
    if x[0] == x[0]:
        logpdf = log(whole)
    return State(s.age, s.room, s.probs, s.seen + 1), bg.Belief(bg.frozen(s.probs), logpdf)


@bg.kernel
def forecast(s: Any, p: Any, horizon: int, out: Any) -> None:
    """Walk every path of regimes: part number m is the path whose digits, in base K, are m's."""
    K, D = s.age.shape
    now, later = np.empty((K, D)), np.empty((K, D))
    for k in range(K):
        out.probs[k] = 0.0
    for m in range(out.weights.size):
        for k in range(K):
            for a in range(D):
                now[k, a] = s.age[k, a]
        mean, variance, path, last = 0.0, 0.0, m, 0
        for _ in range(horizon):
            older(now, later, p)
            last, path = path % K, path // K
            for k in range(K):
                for a in range(D):
                    now[k, a] = later[k, a] if k == last else 0.0
            mean, variance = mean + p.means[last, 0], variance + p.variances[last, 0]
        weight = 0.0
        for a in range(D):
            weight += now[last, a]
        out.weights[m], out.mean[m], out.variance[m], out.degrees_of_freedom[m] = weight, mean, variance, np.inf
        out.probs[last] += weight


def stays(p: Any) -> Any:
    """The sum of P(the stay lasts longer than a bars); from the last age on it is geometric."""
    alive = np.cumprod(np.hstack([np.ones((len(p.hazard), 1)), 1.0 - p.hazard[:, :-1]]), axis=1)
    return alive[:, :-1].sum(axis=1) + alive[:, -1] / p.hazard[:, -1]


def stationary(p: Any) -> Any:
    """Visits of the embedded chain times how long each lasts."""
    K = len(p.follows)
    system = np.vstack([p.follows.T - np.eye(K), np.ones(K)])
    visits = np.linalg.lstsq(system, np.r_[np.zeros(K), 1.0], rcond=None)[0]
    share = visits * stays(p)
    return share / share.sum()


def renumber(p: Any, order: Any) -> Any:
    return Params(p.follows[order][:, order], p.means[order], p.variances[order], p.hazard[order], p.start[order])


def moments(p: Any) -> Moments:
    return Moments(p.means, p.variances)


def components(p: Any, horizon: int) -> int:
    return int(len(p.start) ** horizon)


SEMI_MARKOV = Family(
    f"{__name__}:SEMI_MARKOV",
    Params,
    init,
    step,
    moments=moments,
    stays=stays,
    stationary=stationary,
    renumber=renumber,
    forecast=forecast,
    components=components,
)


def semi_markov(hazard: Any) -> Model:
    """Two regimes with these hazards (2, D); means and variances from the calmer and the wilder half of the rows."""

    def fit(window: Any) -> Fitted:
        x = window.rows[np.isfinite(window.rows[:, 0]), 0]
        wild = np.abs(x - x.mean()) > np.quantile(np.abs(x - x.mean()), 0.7)
        halves = [x[~wild], x[wild]]
        means, variances = (np.array([[f(h)] for h in halves]) for f in (np.mean, np.var))
        params = Params(1.0 - np.eye(2), means, variances, np.array(hazard), np.array([0.5, 0.5]))
        return Fitted(SEMI_MARKOV, params, None, len(x), None, None, True, 0, window.names)

    return Model(fit, 2, "semi_markov")


def all_paths(regimes: int, horizon: int) -> Any:
    """Every path of regimes over so many bars."""
    return itertools.product(range(regimes), repeat=horizon)
