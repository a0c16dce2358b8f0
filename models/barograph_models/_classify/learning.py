"""How a classifier learns: on the past alone, judged on blocks that were held out, calibrated there, or refused."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import FitError
from barograph.jit.ordered import mean, total, variance
from barograph.regimes.family import Family
from barograph.regimes.filtering import filter_path
from barograph.regimes.fitted import Fitted, Model
from barograph.regimes.judged import UNJUDGED, Judged
from barograph.regimes.window import Window
from barograph.types import Filter, Floats
from barograph_models._classify import calibration as by
from barograph_models._classify.blocks import Block, blocks
from barograph_models._classify.guards import JUDGED, collapse, judgeable, refuse_few
from barograph_models._classify.labels import UNKNOWN, Labels, known
from barograph_models._fit.counts import soft_transition
from barograph_models._fit.data import emitted, refuse_infinite
from barograph_models._fit.restarts import settled

__all__ = ["Classifier", "Learned", "Task", "classifier", "params_of"]

Mask = NDArray[np.bool_]


class Task(NamedTuple):
    """What a trainer is given.

    `Z` (T, d) are scaled rows, NaN where one is missing; `classes` (T,) int64, -1 where unknown; `learn` (T,) the rows
    whose label may be learned; `stop` (T,) held-out rows that may choose the epoch, or none; `weights` (K,) of the
    classes.
    """

    Z: Floats
    classes: NDArray[np.int64]
    learn: Mask
    stop: Mask
    K: int
    weights: Floats
    seed: int


class Learned(NamedTuple):
    """What a trainer gives: the params after the common ones, and the loss by epoch, (E, 2): trained and held-out."""

    own: tuple[Any, ...]
    curve: Floats


class Classifier(NamedTuple):
    """What a classifier is, apart from its labels: its family, its trainer, and what it is to be learned from.

    ``train(task)`` and ``blank(d, K)``, the params after the common ones of a fit that knows nothing, are functions, or
    partials of functions over what is hashable. `window` rows are looked at at once, 1 of what carries a state on. Of
    `parts` blocks all are judged, and then all rows learned; with `once` the one with most of its rarest class, and
    what was learned without it stays. `instead` ends the message of too few rows.
    ``takes(K, rows, d)`` are about the seconds of a fit.
    """

    name: str
    family: Family
    train: Callable[[Task], Learned]
    blank: Callable[[int, int], tuple[Any, ...]]
    window: int
    least: int
    parts: int = 10
    once: bool = False
    calibrate: str = "temperature"
    weights: str = "none"
    seed: int = 0
    instead: str = ""
    takes: Callable[[int, int, int], float] | None = None
    notes: tuple[str, ...] = ()


class _Past(NamedTuple):
    """The rows of a fit, what they are of, and which of them can be learned."""

    X: Floats
    classes: NDArray[np.int64]
    observed: Mask
    usable: Mask


class _Held(NamedTuple):
    """What was held out: rows (M,), the block of each, raw probabilities (M, K), those with all inputs permuted."""

    rows: NDArray[np.int64]
    block: NDArray[np.int64]
    raw: Floats
    shuffled: Floats


def classifier(what: Classifier, labels: Labels) -> Model:
    """Return the model that learns `labels`."""
    settings = None if labels.settings is None else (*map(settled, what), labels.settings)
    K = len(labels.classes)
    return Model(partial(_fit, what, labels), K, what.name, labels.classes, settings,
                 untrained=partial(_untrained, what, labels.classes),
                 takes=None if what.takes is None else partial(what.takes, K),
                 hindsight=what.family.decode is not None, labelled=partial(known, labels))  # fmt: skip


def params_of(what: Classifier, common: tuple[Any, ...], cal: by.Calibration, own: tuple[Any, ...]) -> Any:
    """Return params: the common ones (without the calibration), the calibration, and a model's own."""
    return what.family.params(*common, *cal, *own)


def _untrained(what: Classifier, names: tuple[str, ...], d: int) -> Fitted:
    K = len(names)
    common = (np.full(K, 1.0 / K), np.full((K, K), 1.0 / K), np.zeros((K, d)), np.ones((K, d)), np.zeros(d), np.ones(d))
    return _fitted(what, names, params_of(what, common, by.none(K), what.blank(d, K)), d, 0)


def _fitted(what: Classifier, names: tuple[str, ...], params: Any, d: int, rows: int, **told: Any) -> Fitted:
    return Fitted(what.family, params, None, rows, None, None, True, what.seed, tuple(f"x{j}" for j in range(d)),
                  labels=names, **told)  # fmt: skip


def _fit(what: Classifier, labels: Labels, window: Window) -> Fitted:
    past, K = _past(what, labels, window), len(labels.classes)
    rare = refuse_few(what.name, past.classes[past.usable], labels.classes, what.least, what.window, what.instead)
    held = blocks(past.classes, past.usable, K, what.parts, labels.purge)
    judged = [(block, _learned(what, past, block, K)) for block in (_best(past, held, K) if what.once else held)]
    seen = _held_out(what, past, judged, K)
    if seen is not None and (why := collapse(seen.raw, seen.shuffled, past.classes[seen.rows], len(judged))):
        raise FitError(f"{what.name}: {why}: it is not used")
    cal = by.none(K) if seen is None else by.calibration(what.calibrate, seen.raw, past.classes[seen.rows])
    block, learned = judged[0] if what.once and judged else (_whole(past), None)
    learned = learned or _learned(what, past, block, K)
    params = params_of(what, _common(past, block, K), cal, learned.own)
    notes = (labels.made, *what.notes, *_words(what, cal, seen), *rare)
    found = None if seen is None else _judged(what, past, seen, window.ts, learned.curve)
    return _fitted(
        what, labels.classes, params, past.X.shape[1], int(np.count_nonzero(past.usable)), notes=notes, judged=found
    )


def _past(what: Classifier, labels: Labels, window: Window) -> _Past:
    X = emitted(window, what.name)
    refuse_infinite(X, what.name)
    observed = np.asarray(np.isfinite(X).all(axis=1))
    classes = known(labels, window)
    # A window is of rows that were taken: it is full at the row that is the n-th of them.
    full = np.cumsum(observed) >= what.window
    return _Past(X, classes, observed, observed & full & (classes != UNKNOWN))


def _best(past: _Past, held: list[Block], K: int) -> list[Block]:
    """Return the block with most classes, and of those the one with most rows of its rarest; of equals the newest."""

    def worth(block: Block) -> tuple[int, int]:
        counts = np.bincount(past.classes[block.held], minlength=K)
        enough = counts[counts >= JUDGED]
        return len(enough), int(enough.min()) if len(enough) else 0

    good = [block for block in held if judgeable(past.classes[block.held], K)]
    return [max(reversed(good), key=worth)] if good else []


def _whole(past: _Past) -> Block:
    return Block(past.usable, np.zeros(len(past.X), dtype=bool))


def _scale(past: _Past, block: Block) -> tuple[Floats, Floats]:
    """Return centre and scale (d,) of the rows that are not held out."""
    rows = past.X[past.observed & ~block.held]
    deviation = np.sqrt(variance(rows))
    # A feature that never moves says nothing, and is divided by nothing.
    flat = deviation <= 1e-13 * np.abs(rows).max(axis=0)
    return np.asarray(mean(rows)), np.where(flat, 1.0, deviation)


def _common(past: _Past, block: Block, K: int) -> tuple[Any, ...]:
    one_hot = np.zeros((len(past.X), K))
    one_hot[past.usable] = np.eye(K)[past.classes[past.usable]]
    own = [past.X[past.usable & (past.classes == k)] for k in range(K)]
    spread = np.array([variance(rows) for rows in own])
    centre, scale = _scale(past, block)
    least = np.finfo(np.float64).tiny
    return (np.asarray(mean(one_hot[past.usable])), _moves(past, K),
            np.array([mean(rows) for rows in own]), np.maximum(spread, least), centre, 1.0 / scale)  # fmt: skip


def _moves(past: _Past, K: int) -> Floats:
    """Return the moves of the classes from bar to bar, (K, K): over rows without one the last that was told goes on."""
    rows = np.flatnonzero(past.usable)
    between = np.arange(rows[0], rows[-1] + 1)
    told = past.classes[rows[np.searchsorted(rows, between, side="right") - 1]]
    return soft_transition(np.eye(K)[told], np.ones(len(between), dtype=bool))


def _learned(what: Classifier, past: _Past, block: Block, K: int) -> Learned:
    centre, scale = _scale(past, block)
    Z = np.where(past.observed[:, None], (past.X - centre) / scale, np.nan)
    weights = _weights(what.weights, past.classes[block.learn], K)
    return what.train(Task(Z, past.classes, block.learn, block.held, K, weights, what.seed))


def _weights(how: str, classes: NDArray[np.int64], K: int) -> Floats:
    """Return the weight of each class: alike, by one over its share, or by the root of that; one on average."""
    if how == "none":
        return np.ones(K)
    counts = np.bincount(classes, minlength=K).astype(np.float64)
    rare = 1.0 / counts if how == "balanced" else 1.0 / np.sqrt(counts)
    return np.asarray(rare * len(classes) / float(total(rare * counts)))


def _held_out(what: Classifier, past: _Past, judged: list[tuple[Block, Learned]], K: int) -> _Held | None:
    """Return what the filter answers in each block that was held out, of the weights that were learned without it."""
    mixed = past.X.copy()
    rows = np.flatnonzero(past.observed)
    mixed[rows] = past.X[np.random.default_rng(what.seed).permutation(rows)]
    parts = []
    for n, (block, learned) in enumerate(judged):
        params = params_of(what, _common(past, block, K), by.none(K), learned.own)
        online = Filter(what.family.init, what.family.step, params, K, what.name)
        raw, shuffled = (filter_path(online, X).probs[block.held] for X in (past.X, mixed))
        parts.append(_Held(np.flatnonzero(block.held), np.full(len(raw), n), raw, shuffled))
    seen = _Held(*(np.concatenate(leaves) for leaves in zip(*parts, strict=True))) if parts else None
    return seen if seen is not None and judgeable(past.classes[seen.rows], K) else None


def _judged(what: Classifier, past: _Past, seen: _Held, ts: NDArray[np.int64], curve: Floats) -> Judged:
    """Return what was held out; each block is calibrated by the others, or one block's halves by each other."""
    classes = past.classes[seen.rows]
    apart = seen.block if seen.block.max() > 0 else np.arange(len(seen.rows)) * 2 // len(seen.rows)
    probs = seen.raw.copy()
    for n in np.unique(apart):
        here = apart == n
        # What holds one class alone would teach to be sure of it.
        if len(np.unique(classes[~here])) < 2:
            continue
        probs[here] = by.calibrated(seen.raw[here], by.calibration(what.calibrate, seen.raw[~here], classes[~here]))
    return Judged(seen.rows, ts[seen.rows], classes, seen.raw, probs, curve)


def _words(what: Classifier, cal: by.Calibration, seen: _Held | None) -> tuple[str, ...]:
    if seen is None:
        return (f"{UNJUDGED}: no part can be held out that has two classes and leaves enough of each to learn",)
    how = {"temperature": f"by a temperature of {float(cal.temperature[0]):.2f}", "isotonic": "class by class"}
    told = "are not calibrated" if what.calibrate == "none" else f"are calibrated {how[what.calibrate]}"
    return (f"probabilities {told}; judged on {len(seen.rows)} rows that were held out",)
