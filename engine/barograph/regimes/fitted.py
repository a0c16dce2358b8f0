"""A fitted model: its numbers, what they say, and its online filter.

Every model fits to the same `Fitted`. What differs between models stands in one `Family`, a tuple of functions in
the model's own file; the family's import path is written into the saved file, so that loading needs no registry.
"""

from __future__ import annotations

import hashlib
import importlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from barograph.errors import FitError, PartError, nearest
from barograph.jit.arithmetic import ARITHMETIC, log
from barograph.jit.ordered import total
from barograph.regimes import family as asked
from barograph.regimes import saving, transitions
from barograph.regimes.answers import telling
from barograph.regimes.answers.connectedness import Spillover, correlations_of, spillover
from barograph.regimes.degeneracies import degeneracies
from barograph.regimes.family import Family, Moments, Signature
from barograph.regimes.filtering import filter_path, filter_rows, forecast_path
from barograph.regimes.judged import Judged, settled
from barograph.regimes.saving import Modules
from barograph.regimes.transitions import Transition, never_left
from barograph.regimes.window import Window, table, window
from barograph.types import Entering, Filter, Filtered, Floats, Forecast, Smoothed

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

__all__ = ["Family", "Fitted", "Model", "Modules", "Moments", "Signature", "blank_forecast"]


@dataclass(frozen=True, init=False)
class Model:
    """What a model factory returns: how it learns, the number of regimes, and a name for people.

    ``fit(window)`` is the model's own, a function of one `Window`; what a `Model` is asked to fit may be an array or a
    frame as well. `labels` are names that the model gives its regimes, which are then never renumbered. `settings`,
    hashable, is all that the answer hangs on beside the window, its own functions included: runs of one process then
    make the same fit once. Leave it None where there is anything else, such as what an earlier fit left behind. With
    `partial_rows` a row that lacks a cell says something to it: such rows count as training rows too. A `panel`
    model learns from several tables, one an asset. `untrained(features)` gives a fit of random weights in the shapes of
    a real one, where to learn takes long: to compile with, and to time. ``takes(rows, features)`` measures about how
    many seconds a fit takes here, of a model whose fits are waited for. ``moved(window, found, other)``, of a fit to
    the window and another with a regime fewer or more, gives the better of `found` and where an ascent from `other`
    ends, one of its regimes split or two merged. Without `hindsight` its fits tell no likeliest path: who asks for one
    is told before anything is fitted. ``labelled(window)`` gives the classes (T,) that a classifier learns, -1 unknown.

    >>> from barograph_models.gaussian_hmm import gaussian_hmm
    >>> import pandas as pd
    >>> noise = np.random.default_rng(0).standard_normal(600) * np.repeat([1.0, 4.0, 1.0], 200)
    >>> gaussian_hmm(states=2, starts=2).fit(pd.DataFrame({"SPY": noise})).features
    ('SPY',)
    """

    learn: Callable[[Window], Fitted]
    regimes: int
    name: str
    labels: tuple[str, ...]
    settings: Any = field(repr=False, compare=False)
    partial_rows: bool
    panel: bool
    untrained: Callable[[int], Fitted] | None = field(repr=False, compare=False)
    takes: Callable[[int, int], float] | None = field(repr=False, compare=False)
    moved: Callable[[Window, Fitted, Fitted], Fitted] | None = field(repr=False, compare=False)
    hindsight: bool = field(repr=False, compare=False)
    labelled: Callable[[Window], NDArray[np.int64]] | None = field(repr=False, compare=False)

    def __init__(
        self,
        fit: Callable[[Window], Fitted],
        regimes: int,
        name: str,
        labels: tuple[str, ...] = (),
        settings: Any = None,
        partial_rows: bool = False,
        panel: bool = False,
        untrained: Callable[[int], Fitted] | None = None,
        takes: Callable[[int, int], float] | None = None,
        moved: Callable[[Window, Fitted, Fitted], Fitted] | None = None,
        hindsight: bool = True,
        labelled: Callable[[Window], NDArray[np.int64]] | None = None,
    ) -> None:
        told = {"learn": fit, "regimes": regimes, "name": name, "labels": labels, "settings": settings}
        told |= {"partial_rows": partial_rows, "panel": panel, "untrained": untrained, "takes": takes, "moved": moved}
        told |= {"hindsight": hindsight, "labelled": labelled}
        for key, value in told.items():
            object.__setattr__(self, key, value)

    def fit(self, data: Any) -> Fitted:
        """Fit to a window, or to what `barograph.window` makes one from; the columns keep their names.

        Raises `FitError` when the model cannot learn from it or learns what is no number, `PartError` for what is no
        window.
        """
        made = window(data)
        return self._told(made, self.learn(made))

    def beside(self, data: Any, found: Fitted, other: Fitted) -> Fitted:
        """Return the better of a fit and where `other`'s regimes, one of them split or two merged, lead on these data.

        `other` has one regime fewer or one more. A model that knows no such moves answers `found`.
        """
        if self.moved is None or abs(other.regimes - found.regimes) != 1:
            return found
        made = window(data)
        better = self.moved(made, found, other)
        return found if better is found else self._told(made, better)

    def _told(self, made: Window, fitted: Fitted) -> Fitted:
        """Name a fit's features, refuse one that is no number, and tell what is degenerate."""
        fitted = fitted.named(made.names)
        _refuse_no_numbers(self.name, fitted)
        if self.panel:
            fitted = replace(fitted, symbols=made.symbols)
        told = (*fitted.degeneracies, *degeneracies(fitted, *(made.tables or (made.rows,))))
        return replace(fitted, degeneracies=tuple(dict.fromkeys(told)))


def _refuse_no_numbers(name: str, fitted: Fitted) -> None:
    for part, leaf in zip(fitted.params._fields, fitted.params, strict=True):
        if isinstance(leaf, bytes) or part in fitted.family.blanks:
            continue
        odd = np.argwhere(~np.isfinite(leaf))
        if len(odd):
            at = ", ".join(map(str, odd[0].tolist()))
            told = f"the fit's {part} is {leaf[tuple(odd[0])]} at [{at}] ({len(odd)} of {leaf.size})"
            raise FitError(f"{name}: {told}; mend the model, or name {part} in its family's `blanks`")


@dataclass(frozen=True, eq=False)
class Fitted:
    """A model's parameters and how they were reached; immutable, regimes ordered from calm to wild at the first fit.

    `log_likelihood` (iterations,) is the path of the kept start, in the data's own units, None where the model has no
    likelihood; `completed` is the log-likelihood of the data together with their most likely labels; `dropped` says,
    one line each, which starts failed and why; `degeneracies` what is wrong with the fit; `labels` are the names of
    regimes that are never renumbered; `arithmetic` numbers the elementary functions it was fitted with. `symbols` are
    the assets of a panel, in the order of its tables; `notes` say what was chosen on the way and why, a line each.
    `judged` are a classifier's answers on rows that it did not learn from (`barograph.regimes.judged`).
    What a model has not got is None. Feature 0 is the return: volatility, forecasts and ordering speak of it.

    >>> from barograph_models.gaussian_hmm import gaussian_hmm
    >>> noise = np.random.default_rng(0).standard_normal(600)
    >>> returns = noise * np.repeat([1.0, 4.0, 1.0], 200)
    >>> fitted = gaussian_hmm(states=2, starts=2).fit(returns)
    >>> np.sqrt(fitted.moments().variance[:, 0]).round()
    array([1., 4.])
    >>> fitted.viterbi(returns)[[100, 300, 500]]
    array([0, 1, 0])
    """

    family: Family
    params: Any
    log_likelihood: Floats | None
    observations: int
    free_parameters: int | None
    completed: float | None
    converged: bool
    seed: int
    features: tuple[str, ...]
    dropped: tuple[str, ...] = ()
    degeneracies: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    arithmetic: int = ARITHMETIC
    symbols: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    judged: Judged | None = None

    def __post_init__(self) -> None:
        params = self.family.params(*(a if isinstance(a, bytes) else _settled(a) for a in self.params))
        object.__setattr__(self, "params", params)
        if self.log_likelihood is not None:
            object.__setattr__(self, "log_likelihood", _settled(self.log_likelihood))
        for name in ("features", "dropped", "degeneracies", "labels", "symbols", "notes"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "judged", settled(self.judged))

    @property
    def name(self) -> str:
        """The model's name for people: the last part of its module."""
        return self.family.name.partition(":")[0].rpartition(".")[2]

    @property
    def regimes(self) -> int:
        """R, the number of regimes that are shown."""
        return len(self.labels) or asked.regimes_of(self.family, self.params)

    @property
    def panel(self) -> bool:
        """Whether it is of several assets: what filters is the fit of one (`of_asset`)."""
        return self.family.of_asset is not None

    def of_asset(self, asset: str | int) -> Fitted:
        """Return one asset's fit of a panel's, by symbol or by the number of its table; any other fit is everybody's.

        Raises `PartError` naming an asset that the panel was not fitted on.
        """
        if self.family.of_asset is None:
            return self
        if isinstance(asset, str) and asset not in self.symbols:
            known = ", ".join(self.symbols) or "assets without a name"
            raise PartError(f"{self.name} was fitted on {known}, not on {asset}{nearest(asset, self.symbols)}")
        family, params = self.family.of_asset(
            self.params, self.symbols.index(asset) if isinstance(asset, str) else asset
        )
        return replace(self, family=family, params=params, symbols=())

    @property
    def transition(self) -> Floats | None:
        """P(next state | this one), shape (K, K), rows from; None where regimes follow no chain."""
        return cast("Floats | None", getattr(self.params, "transition", None))

    @property
    def aic(self) -> float | None:
        """Akaike's criterion, ``2p - 2 log L``: lower is better."""
        return self._criterion(2.0, self._last)

    @property
    def bic(self) -> float | None:
        """Schwarz's criterion, ``p log n - 2 log L``: lower is better."""
        return self._criterion(log(self.observations), self._last)

    @property
    def icl(self) -> float | None:
        """The integrated completed likelihood, ``p log n - 2 log L(data, best labels)`` (Biernacki et al., 2000).

        Like `bic`, but it also charges for regimes that the data cannot tell apart: lower is better.
        """
        return self._criterion(log(self.observations), self.completed)

    @property
    def _last(self) -> float | None:
        return None if self.log_likelihood is None else float(self.log_likelihood[-1])

    def _criterion(self, price: float, log_likelihood: float | None) -> float | None:
        if log_likelihood is None or self.free_parameters is None:
            return None
        return price * self.free_parameters - 2.0 * log_likelihood

    def filter(self) -> Filter:
        """Return the online filter; a refit of the same model changes its numbers, never their types or shapes."""
        family = self.family
        params = family.params(*(a if isinstance(a, bytes) else a.copy() for a in self.params))
        forecast = _forecast_of(family, params)
        return Filter(family.init, family.step, params, self.regimes, self.name, *forecast, partial(never_left, family))

    def filter_path(self, X: Any) -> Filtered:
        """Run the online filter over `X` (T, d), from its start: the very kernel that live trading calls.

        Raises `PartError` when `X` has not d columns.
        """
        return filter_path(self.filter(), self._rows(X))

    def state_after(self, X: Any) -> Any:
        """Return the online filter's state after the rows of `X` (T, d), from its start."""
        return filter_rows(self.filter(), self._rows(X))[0]

    def forecast_path(self, X: Any, horizon: int | Entering) -> Floats:
        """Return P(regime ahead) as forecast at each row of `X` (T, d), (T, R); of an `Entering`, P(entered by then).

        Raises `PartError` where the model has no forecast, or cannot tell what is entered.

        >>> from barograph.types import Entering
        >>> from barograph_models.gaussian_hmm import gaussian_hmm
        >>> noise = np.random.default_rng(0).standard_normal(600) * np.repeat([1.0, 4.0, 1.0], 200)
        >>> fitted = gaussian_hmm(states=2, starts=2).fit(noise)
        >>> fitted.forecast_path(noise, Entering(10, (1,)))[[100, 300], 1].round(2)
        array([0.03, 1.  ])
        """
        return forecast_path(self.filter(), self._rows(X), horizon)

    def smooth(self, X: Any) -> Smoothed:
        """Return P(regime | all rows of `X`), (T, R): hindsight, for plots, refused by every strategy."""
        return Smoothed(self._own("smooth")(self.filter().params, self._rows(X)))

    def viterbi(self, X: Any) -> NDArray[np.int64]:
        """Return the most likely regimes given all rows of `X`, (T,) int64: hindsight, for plots and studies."""
        return cast("NDArray[np.int64]", self._own("decode")(self.filter().params, self._rows(X)))

    def _own(self, name: str) -> Callable[..., Any]:
        found = getattr(self.family, name)
        if found is None:
            raise PartError(f"{self.name} does not {name}: a model that looks at all rows at once is wanted")
        return cast("Callable[..., Any]", found)

    def _rows(self, X: Any) -> Floats:
        rows = table(X)
        if rows.shape[1] != len(self.features):
            raise PartError(
                f"{self.name}: X has {rows.shape[1]} columns, the model was fitted on {len(self.features)}: "
                f"{', '.join(self.features)}"
            )
        return rows

    def score(self, X: Any) -> float:
        """Return the log-likelihood of `X` (T, d) as the online filter tells it, bar for bar from its start.

        Rows without an observation say nothing. Raises `PartError` when `X` has not d columns, or the model no density.

        >>> from barograph_models.gaussian_hmm import gaussian_hmm
        >>> noise = np.random.default_rng(0).standard_normal(600) * np.repeat([1.0, 4.0, 1.0], 200)
        >>> fitted = gaussian_hmm(states=2, starts=2).fit(noise)
        >>> bool(abs(fitted.score(noise) - fitted.log_likelihood[-1]) < 1e-6)
        True
        """
        return telling.scored(self, self._rows(X))

    def sample(self, bars: int, seed: int = 0) -> tuple[Floats, NDArray[np.int64]]:
        """Return features (bars, d) drawn from the model, and the hidden states (bars,) that they were drawn in.

        For studies: what would the model find in data of its own? Raises `PartError` for a model that has no such law.
        """
        return telling.sampled(self, bars, seed)

    def parameters(self, periods: float = 252.0) -> pd.DataFrame:
        """Return a row a regime: `share` of the time, `stay` in bars, and of every feature its mean and volatility.

        Those of feature 0, the return, are a year's, of `periods` bars; all others one bar's.

        >>> from barograph_models.gaussian_hmm import gaussian_hmm
        >>> noise = np.random.default_rng(0).standard_normal(600) * np.repeat([0.01, 0.04, 0.01], 200)
        >>> gaussian_hmm(states=2, starts=2).fit(noise).parameters()["volatility x0"].round(1).tolist()
        [0.2, 0.7]
        """
        return telling.parameters(self, periods)

    def plot(self, X: Any, prices: Any = None) -> go.Figure:
        """Return a plotly figure of the regimes that were believed at each row of `X`, over `prices` (T,) if given.

        What is drawn is filtered: no row knew a later one. Without prices the sum of feature 0 stands for them.
        """
        # Floors above, known by name only.
        found: go.Figure = importlib.import_module("barograph.report.plot").regimes(self, X, prices)
        return found

    def predict(self, now: Any, horizon: int = 1) -> Forecast:
        """Return what is expected `horizon` bars after the filter's state `now`: the very kernel a strategy reads.

        The mixture is of feature 0 summed over the bars t+1..t+horizon. Of a Markov chain the probabilities of its
        states (K,) are enough; any other model wants the state (`state_after`).
        Raises `PartError` when `now` is neither, the horizon is no whole number of bars, or the model has no forecast.

        >>> from barograph_models.gaussian_hmm import gaussian_hmm
        >>> noise = np.random.default_rng(0).standard_normal(600) * np.repeat([1.0, 4.0, 1.0], 200)
        >>> fitted = gaussian_hmm(states=2, starts=2).fit(noise)
        >>> fitted.predict(fitted.filter_path(noise).probs[-1], horizon=5).probs.round(2)
        array([0.99, 0.01])
        """
        if not isinstance(horizon, int | np.integer) or isinstance(horizon, bool) or horizon < 1:
            raise PartError(f"horizon = {horizon!r}: a whole number of bars, at least 1, is wanted")
        online = self.filter()
        if online.forecast is None or online.plan is None or online.components is None:
            raise PartError(f"{self.name} has no forecast: neither of its own nor that of a Markov chain")
        out = blank_forecast(horizon, online.components(online.params, horizon), self.regimes)
        online.forecast(self._now(now), online.plan(online.params, horizon), horizon, out)
        return out

    def entering(self, now: Any, regimes: int | Sequence[int], horizon: int, level: float = 0.9) -> Transition:
        """Return how likely any of these regimes is entered within `horizon` bars after the filter's state `now`.

        What is there already has entered. `now` is as in `predict`. Raises `PartError` for regimes that are none, or
        all, and for a model that forecasts by itself and cannot tell.

        >>> from barograph_models.gaussian_hmm import gaussian_hmm
        >>> noise = np.random.default_rng(0).standard_normal(600) * np.repeat([1.0, 4.0, 1.0], 200)
        >>> fitted = gaussian_hmm(states=2, starts=2).fit(noise)
        >>> told = fitted.entering([1.0, 0.0], regimes=1, horizon=10)
        >>> bool(abs(told.probability - (1.0 - fitted.transition[0, 0] ** 10)) < 1e-12), round(told.bars)
        (True, 387)
        """
        return transitions.entering(self, now, regimes, horizon, level)

    def leaving(self, now: Any, horizon: int, regime: int | None = None, level: float = 0.9) -> Transition:
        """Return how likely a regime, by default the likeliest now, is left within `horizon` bars, if it is the one."""
        return transitions.leaving(self, now, horizon, regime, level)

    def remaining(self, now: Any) -> Floats | None:
        """Return the expected bars that each regime still lasts after this one, if it is the one now, (R,), or None."""
        return transitions.remaining(self, now)

    def _now(self, now: Any) -> Any:
        if isinstance(now, Smoothed):
            raise PartError("predict: smoothed probabilities have seen the future; give filtered ones")
        if isinstance(now, tuple) and (not asked.by_belief(self.family) or hasattr(now, "probs")):
            return now
        if not asked.by_belief(self.family):
            raise PartError(f"predict: {self.name} forecasts from its filter's state, not from probabilities alone")
        states, vector = len(self.params.transition), np.asarray(now, dtype=np.float64)
        if vector.shape != (states,) or not abs(total(vector) - 1.0) < 1e-6:
            raise PartError(f"predict: wanted {states} probabilities that sum to one, found {now!r}")
        return asked.ChainNow(vector)

    def moments(self) -> Moments | None:
        """Return one bar's mean and variance of every feature in every regime, (R, d), in the data's units, or None."""
        return asked.moments_of(self.family, self.params)

    def signature(self) -> Signature | None:
        """Return what regimes are recognised by: mean, log volatility and persistence of feature 0, each (R,)."""
        return asked.signature_of(self.family, self.params)

    def stays(self) -> Floats | None:
        """Return the expected stay in each regime, in bars (R,), infinite where it never ends, or None."""
        return asked.stays_of(self.family, self.params)

    def stationary(self) -> Floats | None:
        """Return the share of time spent in each regime in the long run, (R,), or None."""
        return asked.stationary_of(self.family, self.params)

    def correlations(self) -> Floats | None:
        """Return the correlations of the features within each regime, (R, d, d), or None where they have none.

        >>> from barograph_models.gaussian_hmm import gaussian_hmm
        >>> noise = np.random.default_rng(0).standard_normal((600, 2))
        >>> noise[300:] = noise[300:, :1] * 3.0 + noise[300:]  # in the storm they move together
        >>> gaussian_hmm(covariance="full", starts=2).fit(noise).correlations()[:, 0, 1].round(1)
        array([0. , 0.9])
        """
        own = self.family.covariances
        return None if own is None else correlations_of(own(self.params))

    def spillover(self) -> Spillover | None:
        """Return what share of each feature's variance comes by way of each other, in every regime, or None.

        Diebold & Yilmaz's (2012) spillover index one bar ahead (`barograph.regimes.answers.connectedness.spillover`).
        """
        together = self.correlations()
        return None if together is None else spillover(together)

    def snapshot(self, state: Any) -> Fitted:
        """Return the fit with the parameters that have moved in the filter's state; of most models the fit itself."""
        if self.family.snapshot is None or state is None:
            return self
        return replace(self, params=self.family.snapshot(self.params, state))

    def named(self, features: Sequence[str]) -> Fitted:
        """Return the same fit with its columns named, as they stand in a report."""
        if len(features) != len(self.features):
            raise PartError(f"{self.name}: {len(features)} names for {len(self.features)} features")
        return replace(self, features=tuple(features))

    def reordered(self, permutation: Sequence[int] | NDArray[np.int64]) -> Fitted:
        """Return the same model with its regimes renumbered: new regime i is what was regime ``permutation[i]``."""
        order = np.asarray(permutation, dtype=np.int64)
        if sorted(order.tolist()) != list(range(self.regimes)):
            raise PartError(f"reordered: {list(permutation)} is no permutation of 0..{self.regimes - 1}")
        if self.labels and order.tolist() != list(range(self.regimes)):
            raise PartError(f"reordered: the regimes of {self.name} have names: {', '.join(self.labels)}")
        return replace(self, params=asked.renumbered(self.family, self.params, order))

    def summary(self) -> dict[str, Any]:
        """Return the fit in readable terms, ready for JSON: one bar's numbers, not annualised.

        None is what the model has not got, and a stay that is endless.
        """
        moments, stays, stationary = self.moments(), self.stays(), self.stationary()
        return {
            "model": self.name,
            "regimes": self.regimes,
            "labels": list(self.labels),
            "features": list(self.features),
            **({"symbols": list(self.symbols)} if self.symbols else {}),
            "observations": self.observations,
            "means": None if moments is None else moments.mean.tolist(),
            "volatilities": None if moments is None else np.sqrt(moments.variance).tolist(),
            **self._together(),
            "transition": None if self.transition is None else self.transition.tolist(),
            "stationary": None if stationary is None else stationary.tolist(),
            "expected_stays": None if stays is None else [s if math.isfinite(s) else None for s in stays.tolist()],
            "log_likelihood": self._last,
            "free_parameters": self.free_parameters,
            "aic": self.aic,
            "bic": self.bic,
            "icl": self.icl,
            "converged": self.converged,
            "iterations": None if self.log_likelihood is None else len(self.log_likelihood),
            "seed": self.seed,
            "dropped_starts": list(self.dropped),
            "degeneracies": list(self.degeneracies),
            **({"notes": list(self.notes)} if self.notes else {}),
            "arithmetic": self.arithmetic,
        }

    def _together(self) -> dict[str, Any]:
        together, spill = self.correlations(), self.spillover()
        if together is None or spill is None or len(self.features) < 2:
            return {}
        shares = {"spillover_shares": spill.share.tolist(), "spillover": spill.whole.tolist()}
        return {"correlations": together.tolist(), **shares}

    def save(self, path: str | Path) -> None:
        """Write the fit to one file, whole or not at all: a zip of a JSON header and plain arrays, no pickle.

        The same fit gives the same bytes, and `load` gives back the same bits.
        """
        saving.write(Path(path), self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return what `save` writes."""
        return saving.packed(self)

    @property
    def digest(self) -> str:
        """The SHA-256 of the bytes that are saved: what tells this fit from any other."""
        return hashlib.sha256(self.to_bytes()).hexdigest()

    @classmethod
    def load(cls, path: str | Path, modules: Modules | None = None) -> Fitted:
        """Read what `save` wrote.

        `modules` finds the model's own module by its name, where that is no installed one (`barograph.config.modules`).
        Raises `FitError`, in one line, for a file that is missing, damaged, of another version, or of a model that
        cannot be imported.
        """
        return cls.from_bytes(saving.read(path), path, modules)

    @classmethod
    def from_bytes(cls, data: bytes, path: str | Path, modules: Modules | None = None, kept: bool = False) -> Fitted:
        """Read what `to_bytes` gave; `path` is named in errors, `modules` as in `load`.

        What a store has `kept` may be of the format before: its journal seals those very bytes.
        """
        return cls(**saving.unpacked(data, path, modules, kept))


def blank_forecast(horizon: int, components: int, regimes: int) -> Forecast:
    """Return room for a forecast, all NaN."""
    return Forecast(horizon, *(np.full(size, np.nan) for size in (*[components] * 4, regimes)))


def _forecast_of(family: Family, params: Any) -> tuple[Any, Any, Any]:
    """Return a family's forecast, its plan and its number of parts: its own, a chain's, or none."""
    if family.forecast is not None:
        return family.forecast, family.plan or _unplanned, family.components or _one
    if family.moments is None or not hasattr(params, "transition"):
        return None, None, None
    kernel = asked.states_forecast if family.shown else asked.chain_forecast
    if family.shown and getattr(family.init(params), "probs", np.empty(0)).shape != (len(params.transition),):
        told = f"its filter's state keeps no `probs` of its {len(params.transition)} states"
        raise PartError(f"{family.name}: {told}; keep them, or give the family a `forecast`")
    return kernel, partial(asked.chain_plan, family), asked.chain_components


def _unplanned(params: Any, _horizon: int) -> Any:
    return params


def _one(_params: Any, _horizon: int) -> int:
    return 1


def _settled(array: Any) -> Floats:
    own = np.array(array, dtype=np.float64, order="C")
    own.flags.writeable = False
    return own
