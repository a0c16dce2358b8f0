"""A fitted model: its numbers, what they say, its online filter, and the file it is kept in.

Every model fits to the same `Fitted`. What differs between models stands in one `Family`, a tuple of functions in
the model's own file; the family's import path is written into the saved file, so that loading needs no registry.

A params tuple keeps one rule: the first axis of every array counts regimes, `transition` counts them twice, and an
array named in `Family.shared` (a scaler, say) does not count them at all. Everything generic rests on it.
"""

from __future__ import annotations

import importlib
import io
import json
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from barograph.errors import FitError, PartError, as_written
from barograph.jit.arithmetic import ARITHMETIC, log
from barograph.jit.ordered import logarithms, mean, product, total
from barograph.regimes.filtering import filter_path
from barograph.regimes.mixture import horizon_mixture
from barograph.types import Filter, Filtered, Floats, Predicted, Smoothed

__all__ = ["Family", "Fitted", "Model", "Modules", "Moments", "table"]

FORMAT: Final = "barograph.fitted"
VERSION: Final = 1
# What the header holds beside the arrays.
_HELD: Final = ("observations", "free_parameters", "completed", "converged", "seed", "features", "dropped")

Modules = Callable[[str], Any]
"""What finds a module by the name that a saved fit holds."""


class Moments(NamedTuple):
    """What one bar's features look like in each regime, in the data's own units: both of shape (K, d)."""

    mean: Floats
    variance: Floats


class Family(NamedTuple):
    """What a kind of model can do; one module-level constant of this type is all a model adds to its `fit`.

    `name` is the constant's own import path, "package.module:CONSTANT". `params` is the NamedTuple class of its
    parameters, which holds a `transition` (K, K). `init` and `step` are the online filter. ``moments(params)`` gives
    `Moments`; ``smooth(params, X)`` gives (T, K) given all rows; ``decode(params, X)`` gives (T,) int64 labels.
    ``renumber(params, order)`` gives params whose regime i was regime ``order[i]``; without it, the rule above does.
    """

    name: str
    params: Callable[..., Any]
    init: Callable[..., Any]
    step: Callable[..., Any]
    moments: Callable[[Any], Moments]
    smooth: Callable[[Any, Floats], Floats]
    decode: Callable[[Any, Floats], NDArray[np.int64]]
    shared: tuple[str, ...] = ()
    renumber: Callable[[Any, NDArray[np.int64]], Any] | None = None


class Model(NamedTuple):
    """What a model factory returns: ``fit(X, previous) -> Fitted``, the number of regimes, and a name for people.

    `X` has shape (T, d), oldest row first, NaN where missing; `previous` is the last fit, or None.
    """

    fit: Callable[[Floats, Fitted | None], Fitted]
    regimes: int
    name: str


@dataclass(frozen=True, eq=False)
class Fitted:
    """A model's parameters and how they were reached; immutable, regimes ordered from calm to wild at the first fit.

    `log_likelihood` (iterations,) is the path of the kept start, in the data's own units; `completed` is the
    log-likelihood of the data together with their most likely labels; `dropped` says, one line each, which starts
    failed and why; `arithmetic` numbers the elementary functions it was fitted with.
    Feature 0 is the return: volatility, prediction and ordering speak of it.

    >>> from barograph_models.gaussian_hmm import gaussian_hmm
    >>> noise = np.random.default_rng(0).standard_normal(600)
    >>> returns = noise * np.repeat([1.0, 4.0, 1.0], 200)
    >>> fitted = gaussian_hmm(states=2, starts=2).fit(returns[:, None], None)
    >>> np.sqrt(fitted.moments().variance[:, 0]).round()
    array([1., 4.])
    >>> fitted.viterbi(returns[:, None])[[100, 300, 500]]
    array([0, 1, 0])
    """

    family: Family
    params: Any
    log_likelihood: Floats
    observations: int
    free_parameters: int
    completed: float
    converged: bool
    seed: int
    features: tuple[str, ...]
    dropped: tuple[str, ...] = ()
    arithmetic: int = ARITHMETIC

    def __post_init__(self) -> None:
        lent = self.family.params(*(_settled(a) for a in self.params))
        object.__setattr__(self, "params", lent)
        object.__setattr__(self, "log_likelihood", _settled(self.log_likelihood))
        object.__setattr__(self, "features", tuple(self.features))

    @property
    def name(self) -> str:
        """The model's name for people: the last part of its module."""
        return self.family.name.partition(":")[0].rpartition(".")[2]

    @property
    def regimes(self) -> int:
        """K, the number of regimes."""
        return len(self.transition)

    @property
    def transition(self) -> Floats:
        """P(next regime | this one), shape (K, K), rows from."""
        return cast(Floats, self.params.transition)

    @property
    def aic(self) -> float:
        """Akaike's criterion, ``2p - 2 log L``: lower is better."""
        return 2.0 * self.free_parameters - 2.0 * float(self.log_likelihood[-1])

    @property
    def bic(self) -> float:
        """Schwarz's criterion, ``p log n - 2 log L``: lower is better."""
        return self._penalty() - 2.0 * float(self.log_likelihood[-1])

    @property
    def icl(self) -> float:
        """The integrated completed likelihood, ``p log n - 2 log L(data, best labels)`` (Biernacki et al., 2000).

        Like `bic`, but it also charges for regimes that the data cannot tell apart: lower is better.
        """
        return self._penalty() - 2.0 * self.completed

    def _penalty(self) -> float:
        return self.free_parameters * log(self.observations)

    def filter(self) -> Filter:
        """Return the online filter; a refit of the same model changes its numbers, never their types or shapes."""
        params = self.family.params(*(a.copy() for a in self.params))
        return Filter(self.family.init, self.family.step, params, self.regimes, self.name)

    def filter_path(self, X: Floats) -> Filtered:
        """Run the online filter over `X` (T, d), from its start: the very kernel that live trading calls.

        Raises `PartError` when `X` has not d columns.
        """
        return filter_path(self.filter(), self._rows(X))

    def smooth(self, X: Floats) -> Smoothed:
        """Return P(regime | all rows of `X`), (T, K): hindsight, for plots, refused by every strategy."""
        return Smoothed(self.family.smooth(self.filter().params, self._rows(X)))

    def viterbi(self, X: Floats) -> NDArray[np.int64]:
        """Return the most likely regimes given all rows of `X`, (T,) int64: hindsight, for plots and studies."""
        return self.family.decode(self.filter().params, self._rows(X))

    def _rows(self, X: Floats) -> Floats:
        X = table(X)
        if X.shape[1] != len(self.features):
            raise PartError(
                f"{self.name}: X has {X.shape[1]} columns, the model was fitted on {len(self.features)}: "
                f"{', '.join(self.features)}"
            )
        return X

    def predict(self, probs: Floats, horizon: int = 1) -> Predicted:
        """Return the regime probabilities `horizon` bars after a filtered `probs` (K,), and the return's mixture.

        The mixture is of feature 0 summed over the bars t+1..t+horizon, exact (`mixture.horizon_mixture`).
        Raises `PartError` when `probs` is not one filtered belief, or the horizon is not a whole number of bars.
        """
        probs = self._belief(probs)
        weights, mean, variance = self.horizon_mixture(horizon)
        ahead = probs
        for _ in range(horizon):
            ahead = product(ahead, self.transition)
        return Predicted(ahead, horizon, product(probs, weights), mean, variance)

    def _belief(self, probs: Floats) -> Floats:
        if isinstance(probs, Smoothed):
            raise PartError("predict: smoothed probabilities have seen the future; give filtered ones")
        vector = np.asarray(probs, dtype=np.float64) if not isinstance(probs, tuple) else np.empty(0)
        if vector.shape != (self.regimes,) or not abs(total(vector) - 1.0) < 1e-6:
            raise PartError(f"predict: probs must be {self.regimes} probabilities that sum to one, found {probs!r}")
        return vector

    def horizon_mixture(self, horizon: int) -> tuple[Floats, Floats, Floats]:
        """Return weights (K, M), mean (M,) and variance (M,) of feature 0 summed over the next `horizon` bars."""
        moments = self.moments()
        return horizon_mixture(self.transition, moments.mean[:, 0], moments.variance[:, 0], horizon)

    def moments(self) -> Moments:
        """Return one bar's mean and variance of every feature in every regime, (K, d), in the data's units."""
        return self.family.moments(self.params)

    def signature(self) -> tuple[Floats, Floats, Floats]:
        """Return what regimes are recognised by: mean, log volatility and persistence of feature 0, each (K,)."""
        moments = self.moments()
        return moments.mean[:, 0], 0.5 * logarithms(moments.variance[:, 0]), np.diag(self.transition).copy()

    def stationary(self) -> Floats:
        """Return the share of time spent in each regime in the long run, (K,)."""
        # The mean of all starts after 2**60 steps of a chain that stays half of the time: it has no cycles, and each
        # squaring doubles the steps. Rows are brought to one again, or rounding would double with them.
        ahead = 0.5 * (self.transition + np.eye(self.regimes))
        for _ in range(60):
            ahead = product(ahead, ahead)
            ahead = ahead / total(ahead, axis=1)[:, None]
        share = mean(ahead)
        return np.asarray(share / total(share))

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
        if self.family.renumber is not None:
            return replace(self, params=self.family.renumber(self.params, order))
        fields = zip(self.params._fields, self.params, strict=True)
        return replace(self, params=self.family.params(*(self._renumbered(n, a, order) for n, a in fields)))

    def _renumbered(self, name: str, array: Floats, order: NDArray[np.int64]) -> Floats:
        if name in self.family.shared:
            return array
        return array[order][:, order] if name == "transition" else array[order]

    def summary(self) -> dict[str, Any]:
        """Return the fit in readable terms, ready for JSON: one bar's numbers, not annualised; None means endless."""
        moments, stay = self.moments(), np.diag(self.transition)
        return {
            "model": self.name,
            "regimes": self.regimes,
            "features": list(self.features),
            "observations": self.observations,
            "means": moments.mean.tolist(),
            "volatilities": np.sqrt(moments.variance).tolist(),
            "transition": self.transition.tolist(),
            "stationary": self.stationary().tolist(),
            "expected_stays": [1.0 / (1.0 - p) if p < 1.0 else None for p in stay.tolist()],
            "log_likelihood": float(self.log_likelihood[-1]),
            "free_parameters": self.free_parameters,
            "aic": self.aic,
            "bic": self.bic,
            "icl": self.icl,
            "converged": self.converged,
            "iterations": len(self.log_likelihood),
            "seed": self.seed,
            "dropped_starts": list(self.dropped),
            "arithmetic": self.arithmetic,
        }

    def save(self, path: str | Path) -> None:
        """Write the fit to one file, whole or not at all: a zip of a JSON header and plain arrays, no pickle.

        The same fit gives the same bytes, and `load` gives back the same bits.
        """
        path = Path(path)
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_bytes(self.to_bytes())
        fresh.replace(path)

    def to_bytes(self) -> bytes:
        """Return what `save` writes."""
        whole = io.BytesIO()
        with zipfile.ZipFile(whole, "w") as file:
            _put(file, "header.json", json.dumps(self._header(), indent=1).encode())
            for name, array in self._arrays().items():
                buffer = io.BytesIO()
                np.lib.format.write_array(buffer, array, allow_pickle=False)
                _put(file, f"{name}.npy", buffer.getvalue())
        return whole.getvalue()

    def _arrays(self) -> dict[str, Floats]:
        fields = zip(self.params._fields, self.params, strict=True)
        return {"log_likelihood": self.log_likelihood} | {f"params.{n}": a for n, a in fields}

    def _header(self) -> dict[str, Any]:
        held = {name: getattr(self, name) for name in _HELD}
        made = {"format": FORMAT, "version": VERSION, "arithmetic": self.arithmetic}
        return {**made, "family": as_written(self.family.name), "fields": self.params._fields} | held

    @classmethod
    def load(cls, path: str | Path, modules: Modules | None = None) -> Fitted:
        """Read what `save` wrote.

        `modules` finds the model's own module by its name, where that is no installed one (`barograph.config.modules`).
        Raises `FitError`, in one line, for a file that is missing, damaged, of another version, or of a model that
        cannot be imported.
        """
        try:
            return cls.from_bytes(Path(path).read_bytes(), path, modules)
        except OSError as error:
            raise FitError(f"{path}: cannot be read: {error.strerror or error}") from error

    @classmethod
    def from_bytes(cls, data: bytes, path: str | Path, modules: Modules | None = None) -> Fitted:
        """Read what `to_bytes` gave; `path` is named in errors, `modules` as in `load`."""
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as file:
                header = json.loads(file.read("header.json"))
                _check_header(path, header)
                names = ["log_likelihood", *(f"params.{n}" for n in header["fields"])]
                path_of_fit, *arrays = (_get(file, f"{n}.npy") for n in names)
        except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
            raise FitError(f"{path}: not a whole fitted model ({error}); fit and save it again") from error
        family = _family(path, header["family"], header["fields"], modules or _imported)
        return cls(
            family=family,
            params=family.params(*arrays),
            log_likelihood=path_of_fit,
            observations=header["observations"],
            free_parameters=header["free_parameters"],
            completed=header["completed"],
            converged=header["converged"],
            seed=header["seed"],
            features=tuple(header["features"]),
            dropped=tuple(header["dropped"]),
            # Fits that do not say so were made by the processor's own library.
            arithmetic=header.get("arithmetic", 1),
        )


def table(X: Any) -> Floats:
    """Return features as a C-contiguous float64 table (T, d); a vector is one feature.

    Raises `PartError` for anything else.

    >>> table([0.01, -0.02]).shape
    (2, 1)
    """
    array = np.ascontiguousarray(X, dtype=np.float64)
    if not array.flags.writeable:
        # To the compiler a read-only array is another type: every entry would be compiled a second time.
        array = array.copy()
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2:
        raise PartError(f"features must be a table (T, d), found an array of shape {array.shape}")
    return array


def _settled(array: Any) -> Floats:
    own = np.array(array, dtype=np.float64, order="C")
    own.flags.writeable = False
    return own


def _put(file: zipfile.ZipFile, name: str, body: bytes) -> None:
    # A fixed date: otherwise the same fit saved twice would differ.
    file.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), body)


def _get(file: zipfile.ZipFile, name: str) -> Floats:
    array = np.lib.format.read_array(io.BytesIO(file.read(name)), allow_pickle=False)
    if array.dtype != np.float64:
        raise ValueError(f"{name} holds {array.dtype}, not float64")
    return cast(Floats, array)


def _check_header(path: str | Path, header: Any) -> None:
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise FitError(f"{path}: not a fitted model (its header does not say {FORMAT!r})")
    found = header.get("version")
    if found != VERSION:
        raise FitError(f"{path}: format version {found}, this barograph reads {VERSION}; fit and save it again")
    missing = [name for name in ("family", "fields", *_HELD) if name not in header]
    if missing:
        raise FitError(f"{path}: its header lacks {', '.join(missing)}; fit and save it again")


def _family(path: str | Path, name: str, fields: list[str], modules: Modules) -> Family:
    module, _, constant = name.partition(":")
    try:
        family = getattr(modules(module), constant)
    except (ImportError, AttributeError, ValueError) as error:
        told = f"its model {name!r} cannot be imported ({as_written(str(error))})"
        raise FitError(f"{path}: {told}; install the package it is in") from error
    if not isinstance(family, Family) or list(getattr(family.params, "_fields", ())) != fields:
        raise FitError(f"{path}: {name!r} is not the model this file was saved from; fit and save it again")
    return family


def _imported(name: str) -> Any:
    """Import a module; one that no path leads to may be loaded already, from the folder of a config."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        loaded = [module for known, module in sys.modules.items() if as_written(known) == name]
        if len(loaded) != 1:
            raise
        return loaded[0]
