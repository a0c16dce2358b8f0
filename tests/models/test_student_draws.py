"""Posterior draws: the numbers they are made of, the posterior they come from, and the filter that carries them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from scipy import special, stats

from barograph.errors import ConfigError
from barograph.jit.kernel import compiled
from barograph.jit.views import frozen
from barograph.regimes.filtering import filter_rows
from barograph.regimes.fitted import Fitted
from barograph.regimes.window import window
from barograph_models._chain.chance import gamma, generator, normal, uniform
from barograph_models._student import ascent, gibbs
from barograph_models._student.data import cells
from barograph_models._student.drawn import FADE
from barograph_models._student.fit import Ascender, best_climb
from barograph_models._student.gibbs import draws
from barograph_models._student.priors import habits, market
from barograph_models.student_hmm import student_hmm

needs_compiler = pytest.mark.skipif(bool(numba.config.DISABLE_JIT), reason="minutes long in plain Python")


def _rows(seed: int = 0, d: int = 1, T: int = 240) -> Any:
    random = np.random.default_rng(seed)
    return random.standard_t(5, (T, d)) * np.repeat([0.5, 2.0, 0.5], T // 3)[:, None]


@compiled
def _many(chance: Any, which: Any, shape: Any, out: Any) -> None:
    for i in range(out.size):
        out[i] = uniform(chance) if which == 0 else normal(chance) if which == 1 else gamma(chance, shape)


LAWS = [(0, 0.0, stats.uniform()), (1, 0.0, stats.norm()), (2, 0.3, stats.gamma(0.3)), (2, 2.5, stats.gamma(2.5)),
        (2, 300.0, stats.gamma(300.0))]  # fmt: skip


@pytest.mark.parametrize(("which", "shape", "law"), LAWS)
def test_numbers_follow_their_law(which: int, shape: float, law: Any) -> None:
    out = np.empty(2_000 if numba.config.DISABLE_JIT else 50_000)
    _many(generator(1), which, shape, out)
    assert stats.kstest(out, law.cdf).pvalue > 1e-3
    assert abs(np.corrcoef(out[1:], out[:-1])[0, 1]) < 4.0 / np.sqrt(len(out))


def test_plain_python_draws_the_same_bits() -> None:
    one, other = np.empty(50), np.empty(50)
    _many(generator(7), 2, 0.7, one)
    _many.py_func(generator(7), 2, 0.7, other)
    assert one.tobytes() == other.tobytes()
    # The generator's own, from its definition in whole numbers of any size.
    a, b = generator(3).tolist()[:3], generator(3).tolist()[3:]
    p, q = (1403580 * a[1] - 810728 * a[0]) % 4294967087, (527612 * b[2] - 1370589 * b[0]) % 4294944443
    assert uniform(generator(3)) == (p - q) % 4294967087 / 4294967088.0


@needs_compiler
def test_the_draws_of_one_regime_are_those_of_the_posterior() -> None:
    """One regime, fixed degrees of freedom: mean and precision have a density that can be put on a grid."""
    x = np.random.default_rng(0).standard_t(6, (60, 1))
    data = cells(x, 1, "test")
    prior = market(habits("test", 1, None, None, 4.0, 20.0, 6.0, 1.0), 1)
    ascender = Ascender(ascent.VB, ascent.FIXED, 6.0, 1, 200, 1e-9, 1e-6)
    out = draws(ascent.FIXED, data, prior, best_climb(ascender, data, prior), 4000, 16_000, 0)
    m, log_p = np.meshgrid(np.linspace(-1.0, 1.0, 301), np.linspace(-2.0, 2.0, 301))
    p = np.exp(log_p)
    logs = stats.norm.logpdf(m, 0.0, 1 / np.sqrt(prior.bars[0, 0] * p)) + log_p
    logs += stats.gamma.logpdf(p, prior.shape[0, 0], scale=1.0 / prior.rate[0, 0])
    logs += sum(stats.t.logpdf(z, 6.0, m, 1 / np.sqrt(p)) for z in data.Z[:, 0])
    weight = np.exp(logs - special.logsumexp(logs))
    for drawn, grid in ((out.means[:, 0, 0], m), (np.log(out.precision[:, 0, 0]), log_p)):
        mean = (weight * grid).sum()
        deviation = np.sqrt((weight * (grid - mean) ** 2).sum())
        assert abs(drawn.mean() - mean) < 0.08 * deviation
        assert drawn.std() == pytest.approx(deviation, rel=0.06)


@needs_compiler
def test_plain_python_sweeps_to_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    data, prior = cells(_rows(T=60, d=2), 2, "test"), market(habits("test", 2, None, None, 10.0, 20.0, 5.6, 0.8), 2)
    found = best_climb(Ascender(ascent.VB, ascent.SHARED, 5.6, 1, 20, 1e-6, 1e-6), data, prior)
    compiled = draws(ascent.SHARED, data, prior, found, 2, 6, 3)
    monkeypatch.setattr(gibbs, "_sweep", gibbs._sweep.py_func)
    for one, other in zip(draws(ascent.SHARED, data, prior, found, 2, 6, 3), compiled, strict=True):
        assert one.tobytes() == other.tobytes()


@needs_compiler
def test_draws_are_wider_than_the_variational_factors_and_around_them() -> None:
    X = _rows(T=900)
    data, prior = cells(X, 2, "test"), market(habits("test", 2, None, None, 10.0, 20.0, 5.6, 0.8), 1)
    found = best_climb(Ascender(ascent.VB, ascent.SHARED, 5.6, 1, 400, 1e-6, 1e-6), data, prior)
    out = draws(ascent.SHARED, data, prior, found, 500, 3000, 1)
    factor = 1.0 / np.sqrt(found.known.shape[:, 0])
    spread = np.log(out.precision[:, :, 0]).std(axis=0)
    assert (spread > 1.2 * factor).all()
    assert (abs(np.log(out.precision[:, :, 0]).mean(axis=0) - np.log(found.precision[:, 0])) < spread).all()
    assert (np.diff(out.precision[:, :, 0], axis=1) < 0.0).all()


def test_the_belief_is_the_mean_of_the_draws_filters_weighted_by_what_they_foresaw() -> None:
    X = _rows(d=2)
    X[5, 0], X[9] = np.nan, np.nan
    fitted = student_hmm(2, uncertainty=4, sweeps=20).fit(X)
    p, path = fitted.params, fitted.filter_path(X)
    plain = student_hmm(2).fit(X)
    weights, alone = np.full(4, 0.25), []
    for m in range(4):
        drawn = {name: getattr(p, f"drawn_{name}")[:, m] for name in
                 ("start", "transition", "means", "whitening", "log_scales", "norms", "peak")}  # fmt: skip
        own = plain.params._replace(degrees_of_freedom=p.drawn_dof[:, m], **drawn)
        one = Fitted(**{**{f: getattr(plain, f) for f in plain.__dataclass_fields__}, "params": own})
        alone.append(one.filter_path(X))
    for t in range(len(X)):
        gains = np.array([a.logpdf[t] for a in alone])
        assert path.logpdf[t] == pytest.approx(np.log((weights * np.exp(gains)).sum()), abs=1e-9)
        weights = weights * np.exp(gains) / (weights * np.exp(gains)).sum()
        belief = sum(w * a.probs[t] for w, a in zip(weights, alone, strict=True))
        np.testing.assert_allclose(path.probs[t], belief, atol=1e-10)
        if np.isfinite(X[t]).any():
            weights = (1.0 - FADE) * weights + FADE / 4


def test_step_by_step_plain_saved_and_renumbered(tmp_path: Path) -> None:
    X = _rows(d=2)
    model = student_hmm(3, uncertainty=3, sweeps=12, seed=5)
    fitted = model.fit(X)
    assert fitted.to_bytes() == model.fit(X).to_bytes()
    assert fitted.to_bytes() != student_hmm(3, uncertainty=3, sweeps=12, seed=6).fit(X).to_bytes()
    online, path = fitted.filter(), fitted.filter_path(X[:40])
    state = online.init(online.params)
    for t, row in enumerate(X[:40]):
        state, belief = online.step(state, frozen(row), online.params)
        assert belief.probs.tobytes() == path.probs[t].tobytes()
    assert filter_rows(online, X[:40], interpret=True)[1].tobytes() == filter_rows(online, X[:40])[1].tobytes()
    fitted.save(tmp_path / "fit.npz")
    assert Fitted.load(tmp_path / "fit.npz").filter_path(X).probs.tobytes() == fitted.filter_path(X).probs.tobytes()
    order = np.array([1, 2, 0])
    turned = fitted.reordered(order)
    np.testing.assert_allclose(turned.filter_path(X).probs, fitted.filter_path(X).probs[:, order], atol=1e-12)
    np.testing.assert_array_equal(
        turned.reordered(np.argsort(order)).params.drawn_transition, fitted.params.drawn_transition
    )
    shapes = [a.shape for a in fitted.params]
    assert [a.shape for a in model.fit(window(_rows(1, 2, 180), previous=fitted)).params] == shapes


def test_draws_come_from_a_carried_posterior_too() -> None:
    X = _rows(T=600)
    model = student_hmm(2, prior="previous", uncertainty=4, sweeps=20, guard=1e6)
    first = model.fit(X[:400])
    second = model.fit(window(X[63:463], ts=np.arange(63, 463), previous=first))
    assert second.params.strength.sum() > first.params.strength.sum() * 0.7
    assert second.family is first.family


WRONG = [{"uncertainty": -1}, {"uncertainty": 4, "how": "map"}, {"uncertainty": 4, "prior": "none"}, {"seed": -1},
         {"uncertainty": 2, "sweeps": 0}]  # fmt: skip


@pytest.mark.parametrize("settings", WRONG)
def test_draws_that_cannot_be_meant_are_refused(settings: Any) -> None:
    with pytest.raises(ConfigError, match="student_hmm: "):
        student_hmm(**settings)
