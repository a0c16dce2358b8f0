"""How many regimes: what models of one to several foresaw of rows that they had not learned from.

The criteria that count parameters (BIC, ICL) are shown and not asked. They compare densities on the rows that were
learned from, and a second Gaussian regime is a fine description of one heavy tail: of returns drawn independently from
a Student-t with five degrees of freedom, in which there is no regime at all, BIC prefers two Gaussian ones on every
path. What such a regime does not do is to foresee.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.errors import FitError, PartError
from barograph.jit.ordered import mean, variance
from barograph.regimes.fitted import Fitted, Model
from barograph.regimes.window import Window, window
from barograph.types import Floats

__all__ = ["Choice", "Counted", "choose_states", "cut"]

FIRST: Final = 0.5
"""The share of the rows that no block scores: the first fit has them."""
FEWEST: Final = 20
"""Rows a block; fewer tell nothing."""


class Counted(NamedTuple):
    """One number of states: its mean log score a row on the blocks, its gain on the chosen one, and that gain's error.

    `bic` and `icl` are of a fit to all rows, and None where the model has none; `failed` says why there is no score, or
    no fit to all rows.
    """

    states: int
    score: float
    gain: float
    error: float
    bic: float | None
    icl: float | None
    failed: str = ""


class Choice(NamedTuple):
    """What was chosen and why, in one sentence; all that was compared; and the fit to all rows."""

    states: int
    reason: str
    table: tuple[Counted, ...]
    fitted: Fitted

    def frame(self) -> Any:
        """Return the table as a DataFrame, a row a number of states."""
        import pandas as pd

        return pd.DataFrame(self.table).set_index("states")


def choose_states(
    make: Callable[[int], Model],
    data: Any,
    most: int = 5,
    blocks: int = 4,
    purge: int = 5,
    margin: float = 1.5,
    moves: bool = True,
    criteria: bool = True,
) -> Choice:
    """Choose the number of states, of 1 to `most`, by the log score of rows that came after what was learned from.

    The second half of the rows is cut into `blocks`; ``make(states)`` is fitted to the rows before each, less the last
    `purge` of them, and its online filter scores the block, row by row before it sees it. Chosen is the least number
    that the best one does not beat by more than `margin` standard errors of the mean difference. Rows without a return
    are not scored. That of one state is the
    baseline without regimes; `barograph.regimes.answers.garch.garch_score` is another one.

    With `moves`, a fit of a model that knows them (`Model.beside`) is tried again from that of one state fewer with a
    regime split, and from that of one more with two merged, and the better is kept: N. Ueda, R. Nakano, Z. Ghahramani &
    G. Hinton, *SMEM algorithm for mixture models*, Neural Computation 12 (2000). Without `criteria` only what is chosen
    is fitted to all rows, and the table has no BIC and ICL.

    `data` is what the model can be fitted to. Raises `FitError` when there are too few rows, or nothing can be fitted.

    >>> from barograph_models.student_hmm import student_hmm
    >>> noise = np.random.default_rng(0).standard_normal(1000)
    >>> choose_states(student_hmm, noise, most=3).states
    1
    >>> choice = choose_states(student_hmm, noise * np.tile(np.repeat([1.0, 4.0], 50), 10), most=3)
    >>> choice.reason.partition(", and")[0]
    '2 states: better than 1 by 0.205 nats a row (8.9 standard errors)'
    """
    told = _checked(window(data), most, margin)
    edges = cut("choose_states", len(told.rows), blocks, purge)
    on_all, found = _Fits(make, told, most, moves), _foreseen(make, told, most, moves, edges, purge)
    scores, failed = [one[0] for one in found], [one[1] for one in found]
    chosen = _least(scores, margin)
    while len(scores[chosen]) and isinstance(on_all.best(chosen + 1), str):
        # What cannot be fitted to all rows is no answer, whatever it foresaw.
        scores[chosen], failed[chosen] = np.empty(0), str(on_all.best(chosen + 1))
        chosen = _least(scores, margin)
    if not len(scores[chosen]):
        raise FitError(f"choose_states: no number of states could be fitted and scored; with 1: {failed[0]}")
    fits = [on_all.best(k + 1) if k == chosen or (criteria and len(scores[k])) else failed[k] for k in range(most)]
    fitted = fits[chosen]
    assert not isinstance(fitted, str)
    table = tuple(_counted(k, scores, chosen, fits[k], failed[k], criteria) for k in range(most))
    return Choice(chosen + 1, _reason(table, scores, chosen), table, fitted)


class _Fits:
    """Fits of one to `most` states to one window, each made once it is asked for; a text says why there is none."""

    def __init__(self, make: Callable[[int], Model], told: Window, most: int, moves: bool) -> None:
        self.told, self.most = told, most
        self.make, self.moves = make, moves
        self.made: dict[int, Fitted | str] = {}

    def best(self, states: int) -> Fitted | str:
        """Return what is likeliest of that with two regimes of one more merged, and what `_grown` is."""
        found = self._grown(states)
        if isinstance(found, str) or states in (1, self.most) or not self._moves(states):
            return found
        return self._beside(states, found, self._grown(states + 1))

    def _grown(self, states: int) -> Fitted | str:
        """Return what is likeliest of the model's own starts and that with one regime of one fewer split."""
        if states not in self.made:
            found = _tried(lambda: self.make(states).fit(self.told))
            if states > 1 and not isinstance(found, str) and self._moves(states):
                found = self._beside(states, found, self._grown(states - 1))
            self.made[states] = found
        return self.made[states]

    def _moves(self, states: int) -> bool:
        """Tell whether neighbours are asked: no fit is made for a model that learns nothing from them."""
        return self.moves and self.make(states).moved is not None

    def _beside(self, states: int, found: Fitted, other: Fitted | str) -> Fitted:
        moved = found if isinstance(other, str) else _tried(lambda: self.make(states).beside(self.told, found, other))
        return found if isinstance(moved, str) else moved


def _tried(fit: Callable[[], Fitted]) -> Fitted | str:
    try:
        return fit()
    except FitError as error:
        return str(error)


def _checked(told: Window, most: Any, margin: float) -> Window:
    _check_whole("choose_states", most=(most, 1))
    if not 0.0 <= margin < math.inf:
        raise PartError(f"choose_states: margin = {margin!r}, a number of at least 0 is wanted")
    if told.tables:
        raise PartError("choose_states: a panel of assets; wanted one table of rows")
    return told


def _check_whole(name: str, **told: tuple[Any, int]) -> None:
    for key, (value, least) in told.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise PartError(f"{name}: {key} = {value!r}, a whole number of at least {least} is wanted")


def cut(name: str, rows: int, blocks: int, purge: int) -> list[int]:
    """Return the edges of the blocks; `name` is who asks, in errors."""
    _check_whole(name, blocks=(blocks, 1), purge=(purge, 0))
    first = int(rows * FIRST)
    if rows - first < blocks * FEWEST:
        wanted = math.ceil(blocks * FEWEST / (1.0 - FIRST))
        raise FitError(f"{name}: {rows} rows, {blocks} blocks of at least {FEWEST} want {wanted}")
    if purge >= first:
        raise PartError(f"{name}: purge = {purge}, and {first} rows come before the first block; wanted fewer")
    return [first + (rows - first) * n // blocks for n in range(blocks + 1)]


def _foreseen(
    make: Callable[[int], Model], told: Window, most: int, moves: bool, edges: list[int], purge: int
) -> list[tuple[Floats, str]]:
    """Return every number's log score of every row from the first edge on, or why there is none."""
    pieces: list[list[Floats]] = [[] for _ in range(most)]
    failed = [""] * most
    for begin, end in pairwise(edges):
        past = told._replace(rows=told.rows[: begin - purge], ts=told.ts[: begin - purge], previous=None, state=None)
        fits = _Fits(make, past, most, moves)
        for k in range(most):
            fitted = failed[k] or fits.best(k + 1)
            if isinstance(fitted, str):
                failed[k] = fitted
            else:
                pieces[k].append(fitted.filter_path(told.rows[:end]).logpdf[begin:])
    there = np.isfinite(told.rows[edges[0] :, 0])
    return [_whole(found, why, there) for found, why in zip(pieces, failed, strict=True)]


def _whole(found: list[Floats], why: str, there: Any) -> tuple[Floats, str]:
    if why:
        return np.empty(0), why
    scores = np.concatenate(found)[there]
    return (scores, "") if np.isfinite(scores).all() else (np.empty(0), "it has no density, or one that is 0")


def _difference(one: Floats, other: Floats) -> tuple[float, float]:
    """Return the mean of the differences and its standard error."""
    apart = one - other
    return float(mean(apart)), math.sqrt(float(variance(apart)) / max(len(apart) - 1, 1))


def _least(scores: list[Floats], margin: float) -> int:
    """Return the first that the best one does not beat."""
    there = [k for k, found in enumerate(scores) if len(found)]
    best = max(there, key=lambda k: float(mean(scores[k])), default=0)
    for k in there:
        gain, error = _difference(scores[best], scores[k])
        if gain <= margin * error:
            return k
    return best


def _counted(k: int, scores: list[Floats], chosen: int, fitted: Fitted | str, failed: str, criteria: bool) -> Counted:
    if not len(scores[k]):
        return Counted(k + 1, math.nan, math.nan, math.nan, None, None, failed)
    gain, error = _difference(scores[k], scores[chosen])
    told = (None, None) if isinstance(fitted, str) or not criteria else (fitted.bic, fitted.icl)
    why = fitted if isinstance(fitted, str) and criteria else ""
    return Counted(k + 1, float(mean(scores[k])), gain, error, *told, why)


def _reason(table: tuple[Counted, ...], scores: list[Floats], chosen: int) -> str:
    """Say why: by how much it beats the best of fewer, and by how little the best of more beats it."""
    told = f"{chosen + 1} state{'s' if chosen else ''}: "
    fewer = max((k for k in range(chosen) if len(scores[k])), key=lambda k: table[k].score, default=None)
    more = max((k for k in range(chosen + 1, len(table)) if len(scores[k])), key=lambda k: table[k].score, default=None)
    said = [] if fewer is None else [f"better than {fewer + 1} by {_by(scores[chosen], scores[fewer])}"]
    if more is None:
        said.append("more were not tried" if chosen + 1 == len(table) else "more could not be fitted and scored")
    elif table[more].gain > 0.0:
        said.append(f"{more + 1} are better by {_by(scores[more], scores[chosen])} alone")
    else:
        said.append("no more are better")
    return told + ", and ".join(said)


def _by(one: Floats, other: Floats) -> str:
    gain, error = _difference(one, other)
    return f"{gain:.3f} nats a row ({gain / error if error > 0.0 else math.inf:.1f} standard errors)"
