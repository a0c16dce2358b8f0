"""Two models believed together: by fixed weights, or by how well each has foreseen the bars."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import numpy as np

from barograph.errors import ConfigError, FitError
from barograph.regimes.family import Family
from barograph.regimes.fitted import Fitted, Model
from barograph.regimes.matching import match
from barograph.regimes.window import Window
from barograph.types import Floats
from barograph_models._fit.settings import checked
from barograph_models._over.blending import family_of, named_family, named_pair, split

__all__ = ["blend"]

NAME: Final = "blend"


@checked
def blend(of: Model, other: Model, weight: float = 0.5, keep: float = 0.0) -> Model:
    """Believe two models together: `weight` of the first, the rest of the second.

    With `keep` above 0 the weights follow what each foresaw: after a bar they are by Bayes' rule, w_i p_i(bar | earlier
    bars), and that is kept to the share `keep`, the rest being `weight` again, so that neither is ever given up (the
    fixed share of Herbster & Warmuth, *Machine Learning* 32, 1998). At 0 they stand.

    A bar that one of them does not see, as one that lacks a cell, leaves the weights as they are and has no density.

    Both are fitted to the same window, and the second one's regimes recognised by the first one's. The density is that
    of the mixture, and so is a forecast; moments, stays and shares are the means of both by `weight`. Raises
    `ConfigError` for models of different numbers of regimes, with names, or for several assets; its fit `FitError`
    where `keep` is above 0 and a model tells no density to be weighed by.

    >>> from barograph_models.gaussian_hmm import gaussian_hmm
    >>> from barograph_models.gaussian_mixture import gaussian_mixture
    >>> noise = np.random.default_rng(0).standard_normal(600) * np.repeat([1.0, 4.0, 1.0], 200)
    >>> both = blend(gaussian_hmm(starts=2), gaussian_mixture(starts=2), keep=0.99).fit(noise)
    >>> bool(both.state_after(noise).weights[0] > 0.9)
    True
    """
    if not 0.0 < weight < 1.0 or not 0.0 <= keep < 1.0:
        told = "numbers above 0 and below 1 are wanted, of keep 0 too"
        raise ConfigError(f"{NAME}: weight = {weight!r}, keep = {keep!r}; {told}")
    if of.regimes != other.regimes or of.panel or other.panel or of.labels or other.labels:
        told = f"{of.name} ({of.regimes} regimes) and {other.name} ({other.regimes})"
        raise ConfigError(f"{NAME}: {told}; wanted two with as many regimes, without names, for one asset")
    setting = np.array([weight, 1.0 - weight, keep, of.regimes], dtype=np.float64)
    settings = (NAME, of.settings, other.settings, tuple(setting.tolist()))
    known = of.settings is not None and other.settings is not None

    def fit(window: Window) -> Fitted:
        return _fit(of, other, setting, window)

    return Model(fit, of.regimes, NAME, settings=settings if known else None,
                 partial_rows=of.partial_rows and other.partial_rows, hindsight=False)  # fmt: skip


def _fit(of: Model, other: Model, setting: Floats, window: Window) -> Fitted:
    windows = _windows(window)
    one, two = of.learn(windows[0]), other.learn(windows[1])
    if setting[2] > 0.0:
        _refuse_no_density(one, window.rows)
        _refuse_no_density(two, window.rows)
    two = match(one, two)[0]
    family = family_of(__name__, one.family, two.family)
    known = one.free_parameters is not None and two.free_parameters is not None
    return replace(
        one,
        family=family,
        params=family.params(*one.params, *two.params, setting.copy()),
        # What it climbed was neither's alone: how likely data are is for `score` to say.
        log_likelihood=None,
        completed=None,
        free_parameters=one.free_parameters + two.free_parameters if known else None,  # type: ignore[operator]
        converged=one.converged and two.converged,
        dropped=(*one.dropped, *two.dropped),
    )


def _refuse_no_density(fitted: Fitted, rows: Floats) -> None:
    """Ask the filter of one row: what has no density says so of every row."""
    complete = np.flatnonzero(np.isfinite(rows).all(axis=1))
    online = fitted.filter()
    for t in complete[:1]:
        _, belief = online.step(online.init(online.params), np.ascontiguousarray(rows[t]), online.params)
        if np.isnan(belief.logpdf):
            told = f"{fitted.name} has no density to be weighed by, and keep is above 0"
            raise FitError(f"{NAME}: {told}; take keep = 0, or a model with a density")


def _windows(window: Window) -> list[Window]:
    """Return each model's own window: its fit in force, and its own part of the filter's state."""
    before = _before(window.previous)
    sides = [getattr(window.state, name, None) for name in ("one", "other")]
    states = [None if fit is None else getattr(side, "inner", None) for fit, side in zip(before, sides, strict=True)]
    return [window._replace(previous=fit, state=state) for fit, state in zip(before, states, strict=True)]


def _before(previous: Fitted | None) -> tuple[Fitted | None, Fitted | None]:
    """Return both models' fits in force, or none of another kind."""
    if previous is None or not previous.family.name.startswith(f"{__name__}:"):
        return None, None
    families = named_pair(previous.family.name.partition(":")[2])
    one, two = (replace(previous, family=f, params=p)
                for f, p in zip(families, split(previous.family, previous.params), strict=True))  # fmt: skip
    return one, two


def __getattr__(name: str) -> Family:
    """Find the family of a saved fit: it is called like both that it is of."""
    return named_family(__name__, name)
