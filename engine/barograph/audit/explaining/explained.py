"""All that is told of one fit: its scores on rows it did not learn from, and what its answers hang on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.audit.explaining.asking import Asker, length_of, stretches
from barograph.audit.explaining.cells import Map, occlusion, saliency
from barograph.audit.explaining.permuting import Worth, permutation
from barograph.errors import PartError
from barograph.regimes.judged import UNJUDGED
from barograph.types import Floats
from barograph.validation.classification import Calibrated, Classified, calibrated, classified, majority

if TYPE_CHECKING:
    from barograph.regimes.fitted import Fitted
    from barograph.regimes.judged import Judged

__all__ = ["STRETCHES", "Asked", "Explained", "Path", "Profile", "Scores", "explain", "scores"]

STRETCHES: Final = 100
"""At so many bars, evenly spread, cells are taken away; more make a map smoother and nothing else."""


class Scores(NamedTuple):
    """How good held-out answers were, as they are used; `always` says the shares; `raw` is before calibration.

    `periods` are the first and the last of their closes.
    """

    answers: Classified
    always: Classified
    raw: Calibrated
    calibrated: Calibrated
    periods: tuple[int, int]


class Profile(NamedTuple):
    """What features are like in each class: `learned` (K, d) as the fit has them, `answered` (K, d) where it said so.

    Both in deviations of a feature from its mean over the rows; None, or NaN, where there are none. `share` (K,) is how
    often each is answered.
    """

    learned: Floats | None
    answered: Floats
    share: Floats


class Path(NamedTuple):
    """What was believed at every row, (T, K), and the closes (T,) in ns UTC, zeros where nobody knows them."""

    ts: NDArray[np.int64]
    probs: Floats


class Asked(NamedTuple):
    """What a fit's answers to rows hang on, asked in `stretches` of `length` rows."""

    length: int
    stretches: int
    occlusion: Map
    saliency: Map
    permutation: list[Worth]
    profile: Profile
    path: Path


class Explained(NamedTuple):
    """One fit explained; what cannot be told is None, and `missing` says why, a line each."""

    fitted: Fitted
    scores: Scores | None
    asked: Asked | None
    missing: tuple[str, ...]


def scores(judged: Judged | None) -> Scores | None:
    """Return how good the answers were on rows that were held out; None where there are none."""
    if judged is None or not len(judged.bars):
        return None
    K = judged.probs.shape[1]
    told = [calibrated(probs, judged.classes) for probs in (judged.raw, judged.probs)]
    spanned = int(judged.ts.min()), int(judged.ts.max())
    return Scores(classified(judged.probs, judged.classes), majority(judged.classes, K), told[0], told[1], spanned)


def explain(
    fitted: Fitted,
    X: Floats | None,
    ts: NDArray[np.int64] | None = None,
    count: int = STRETCHES,
    seed: int = 0,
    tell: Callable[[int, int], None] | None = None,
) -> Explained:
    """Explain a fit by itself and rows of its features `X` (T, d), whose closes `ts` (T,) find its held-out rows again.

    Without rows the scores alone are told. Raises `PartError` for rows of other features and a fit of several assets.

    >>> from barograph_models.gaussian_hmm import gaussian_hmm
    >>> noise = np.random.default_rng(0).standard_normal((600, 2))
    >>> noise[:, 0] *= np.repeat([1.0, 4.0, 1.0], 200)
    >>> found = explain(gaussian_hmm(states=2, starts=2).fit(noise), noise, count=50)
    >>> found.scores, int(found.asked.occlusion.size[:, 0].argmax()), found.missing[0]
    (None, 0, 'no answers to held-out rows are kept with the fit: a model that learns no labels has none')
    """
    found = scores(fitted.judged)
    told = [] if found is not None else ["no answers to held-out rows are kept with the fit: " + _why(fitted)]
    if X is None:
        return Explained(fitted, found, None, (*told, "no rows were given: nothing was asked"))
    if X.ndim != 2 or X.shape[1] != len(fitted.features):
        raise PartError(f"{fitted.name}: rows of shape {X.shape}; wanted columns {', '.join(fitted.features)}")
    length = length_of(fitted)
    closes = np.zeros(len(X), dtype=np.int64) if ts is None else ts
    bars, classes = _known(fitted.judged, ts, len(X))
    if found is not None and classes is None:
        told.append("none of its held-out rows is among the rows given: no cell is named")
    if not len(stretches(X, bars, length)[1]):
        return Explained(
            fitted, found, None, (*told, f"{len(X)} rows were given, none with {length} whole ones behind it")
        )
    return Explained(fitted, found, _asked(fitted, X, closes, (bars, classes), length, count, seed, tell), tuple(told))


def _why(fitted: Fitted) -> str:
    # Names of regimes are no sign of labels: `cusum` and `amortised` have names, and learn none.
    tried = any(note.startswith(UNJUDGED) for note in fitted.notes)
    return "it could not be judged; see its notes" if tried else "a model that learns no labels has none"


def _known(
    judged: Judged | None, ts: NDArray[np.int64] | None, rows: int
) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Return the rows to ask at: those held out, with their classes, where they are among these; else all."""
    if judged is None or not len(judged.bars):
        return np.arange(rows), None
    if rows == 0:
        return np.arange(0), None
    if ts is None:
        there = judged.bars < rows
        return judged.bars[there], judged.classes[there]
    place = np.searchsorted(ts, judged.ts)
    there = ts[np.minimum(place, rows - 1)] == judged.ts
    return (place[there], judged.classes[there]) if there.any() else (np.arange(rows), None)


def _asked(
    fitted: Fitted, X: Floats, ts: NDArray[np.int64], known: tuple[NDArray[np.int64], NDArray[np.int64] | None],
    length: int, count: int, seed: int, tell: Callable[[int, int], None] | None,
) -> Asked:  # fmt: skip
    bars, classes = known
    _, full = stretches(X, bars, length)
    chosen = full[np.unique(np.linspace(0, len(full) - 1, min(count, len(full))).astype(np.int64))]
    rows, _ = stretches(X, chosen, length)
    true = None if classes is None else classes[np.searchsorted(bars, chosen)]
    ask, centre = Asker(fitted, len(rows)), _centre(fitted, X)
    taken = occlusion(ask, rows, centre, true, tell), saliency(ask, rows, centre, true, tell)
    probs = fitted.filter_path(X).probs
    worth = permutation(fitted, X, length, bars, classes, seed)
    return Asked(length, len(rows), *taken, worth, _profile(fitted, X, probs), Path(ts, probs))


def _centre(fitted: Fitted, X: Floats) -> Floats:
    """Return the features' centre in training: the fit's own, where it keeps one, else that of the rows."""
    own: Any = getattr(fitted.params, "centre", None)
    return (
        own
        if isinstance(own, np.ndarray) and own.shape == (X.shape[1],)
        else X[np.isfinite(X).all(axis=1)].mean(axis=0)
    )


def _profile(fitted: Fitted, X: Floats, probs: Floats) -> Profile:
    whole = np.isfinite(X).all(axis=1)
    rows, said = X[whole], np.argmax(probs[whole], axis=1)
    centre, spread = rows.mean(axis=0), rows.std(axis=0)
    spread = np.where(spread > 0.0, spread, 1.0)
    answered = np.full((fitted.regimes, X.shape[1]), np.nan)
    for k in range(fitted.regimes):
        if (said == k).any():
            answered[k] = (rows[said == k].mean(axis=0) - centre) / spread
    moments = fitted.moments()
    learned = None if moments is None or moments.mean.shape != answered.shape else (moments.mean - centre) / spread
    return Profile(learned, answered, np.bincount(said, minlength=fitted.regimes) / max(len(said), 1))
