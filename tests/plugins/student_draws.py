"""A Student-t chain whose parameters are uncertain: draws side by side, weighed by how they predicted."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy.special import gammaln

import barograph as bg
from barograph.errors import PartError
from barograph.jit.arithmetic import exp, log, log1p
from barograph.regimes.family import Family, Moments
from barograph.regimes.fitted import Fitted, Model


class Params(NamedTuple):
    leave: Any  # (K, M): P(leave regime k) in draw m; the other one follows
    means: Any  # (K, M)
    scales: Any  # (K, M)
    freedom: Any  # (K, M)
    constant: Any  # (K, M): the log of the density's constant, so that no gamma function is needed in the step
    weights: Any  # (M,): what the draws are worth at the beginning


class State(NamedTuple):
    each: Any  # (K, M): P(regime | draw)
    room: Any  # (K,)
    weights: Any  # (M,)
    probs: Any  # (K,)
    seen: int


@bg.kernel
def init(p: Any) -> Any:
    return State(np.full(p.means.shape, 0.5), np.zeros(2), p.weights.copy(), np.full(2, 0.5), 0)


@bg.kernel
def step(s: Any, x: Any, p: Any) -> Any:
    K, M = s.each.shape
    evidence, there = 0.0, x[0] == x[0]
    for m in range(M):
        if s.seen > 0:
            moved = s.each[0, m] * (1.0 - p.leave[0, m]) + s.each[1, m] * p.leave[1, m]
            s.each[0, m], s.each[1, m] = moved, 1.0 - moved
        if there:
            whole = 0.0
            for k in range(K):
                z = (x[0] - p.means[k, m]) / p.scales[k, m]
                nu = p.freedom[k, m]
                s.each[k, m] *= exp(p.constant[k, m] - 0.5 * (nu + 1.0) * log1p(z * z / nu))
                whole += s.each[k, m]
            for k in range(K):
                s.each[k, m] /= whole
            s.weights[m] *= whole
            evidence += s.weights[m]
    for k in range(K):
        s.probs[k] = 0.0
    for m in range(M):
        if there:
            s.weights[m] /= evidence
        for k in range(K):
            s.probs[k] += s.weights[m] * s.each[k, m]
    return State(s.each, s.room, s.weights, s.probs, s.seen + 1), bg.Belief(
        bg.frozen(s.probs), log(evidence) if there else 0.0
    )


@bg.kernel
def forecast(s: Any, p: Any, horizon: int, out: Any) -> None:
    K, M = s.each.shape
    for k in range(K):
        out.probs[k] = 0.0
    for m in range(M):
        calm = s.each[0, m]
        for _ in range(horizon):
            calm = calm * (1.0 - p.leave[0, m]) + (1.0 - calm) * p.leave[1, m]
        for k in range(K):
            weight = s.weights[m] * (calm if k == 0 else 1.0 - calm)
            nu, n = p.freedom[k, m], m * K + k
            out.probs[k] += weight
            out.weights[n], out.mean[n], out.degrees_of_freedom[n] = weight, p.means[k, m], nu
            out.variance[n] = p.scales[k, m] * p.scales[k, m] * nu / (nu - 2.0)


def one_bar(p: Any, horizon: int) -> Any:
    if horizon != 1:
        raise PartError(f"student_draws forecasts one bar ahead, not {horizon}")
    return p


def components(p: Any, horizon: int) -> int:
    return int(p.means.size)


def moments(p: Any) -> Moments:
    mean = (p.means * p.weights).sum(axis=1)
    variance = (p.scales**2 * p.freedom / (p.freedom - 2.0) + p.means**2) * p.weights
    return Moments(mean[:, None], (variance.sum(axis=1) - mean**2)[:, None])


def stays(p: Any) -> Any:
    return (p.weights / p.leave).sum(axis=1)


def renumber(p: Any, order: Any) -> Any:
    return Params(*(a[order] for a in p[:-1]), p.weights)


def snapshot(p: Any, state: Any) -> Any:
    return p._replace(weights=state.weights)


STUDENT_DRAWS = Family(
    f"{__name__}:STUDENT_DRAWS",
    Params,
    init,
    step,
    moments=moments,
    stays=stays,
    renumber=renumber,
    snapshot=snapshot,
    forecast=forecast,
    plan=one_bar,
    components=components,
)


def student_draws(draws: int = 6, seed: int = 0) -> Model:
    def fit(window: Any) -> Fitted:
        x = window.rows[np.isfinite(window.rows[:, 0]), 0]
        random, spread = np.random.default_rng(seed), x.std()
        jitter = np.exp(0.2 * random.standard_normal((4, 2, draws)))
        freedom = 2.5 + 4.0 * jitter[0]
        scales = spread * np.array([[0.5], [1.5]]) * jitter[1]
        constant = gammaln(0.5 * (freedom + 1.0)) - gammaln(0.5 * freedom) - 0.5 * np.log(freedom * np.pi)
        params = Params(
            leave=0.02 * jitter[2],
            means=0.02 * spread * np.log(jitter[3]),
            scales=scales,
            freedom=freedom,
            constant=constant - np.log(scales),
            weights=np.full(draws, 1.0 / draws),
        )
        return Fitted(STUDENT_DRAWS, params, None, len(x), None, None, True, seed, window.names)

    return Model(fit, 2, "student_draws")
