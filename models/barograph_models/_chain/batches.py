"""Stochastic EM in a chain: pieces of a long history in random order, and statistics that each piece moves a little.

A pass of EM over ten million rows is a thousand passes over ten thousand, and most of them know already what the first
ones said. So the parameters move after every piece: the expected statistics of a row are averaged with those so far, by
steps that fall as n^-0.6, and the likeliest parameters given them are taken. Room is needed for one piece.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from itertools import pairwise
from typing import Final, NamedTuple

import numpy as np

from barograph.jit.arithmetic import exp, log
from barograph.jit.kernel import compiled
from barograph.jit.ordered import total
from barograph.jit.views import by_address, unowned
from barograph.types import Floats
from barograph_models._chain.emission import Emission, make_densities
from barograph_models._chain.gaussian import DIAGONAL, GaussianParams, Given, gaussian_params
from barograph_models._chain.inference import expectation, forward, lent, work
from barograph_models._fit.data import Sample
from barograph_models._fit.restarts import CONVERGED, DIED, Ascent

__all__ = ["pieces", "stochastic", "thinned"]

DECAY: Final = 0.6
"""Steps fall as n to the minus 0.6: fast enough to settle, slow enough to forget where they began."""
STRETCHES: Final = 20
LEAD: Final = 50
"""Rows before a piece, filtered and not counted: by then nobody knows any more where the filter began."""


class Statistics(NamedTuple):
    """Expected statistics of one row: moves (K, K), and of each regime its bars (K,), sums and squares (K, d)."""

    moves: Floats
    bars: Floats
    sums: Floats
    squares: Floats


def pieces(rows: int, batch: int) -> list[slice]:
    """Return slices of about `batch` rows, all of the same length but for one row.

    >>> [(piece.start, piece.stop) for piece in pieces(10, 4)]
    [(0, 5), (5, 10)]
    """
    count = max(1, rows // batch)
    edges = [rows * n // count for n in range(count + 1)]
    return [slice(a, b) for a, b in pairwise(edges)]


def thinned(data: Sample, batch: int) -> Sample:
    """Return two batches of rows in stretches from all over the history, with a missing row between two of them.

    >>> z = np.arange(1000.0)[:, None]
    >>> short = thinned(Sample(z, np.ones(1000, dtype=np.bool_), np.zeros(1), np.ones(1)), 60)
    >>> len(short.Z), short.rows
    (140, 120)
    """
    if len(data.Z) <= 2 * batch:
        return data
    length = max(2 * batch // STRETCHES, 1)
    begins = [(len(data.Z) - length) * n // (STRETCHES - 1) for n in range(STRETCHES)]
    blank = (np.zeros((1, data.Z.shape[1])), np.zeros(1, dtype=np.bool_))
    Z = np.concatenate([part for a in begins for part in (data.Z[a : a + length], blank[0])])
    observed = np.concatenate([part for a in begins for part in (data.observed[a : a + length], blank[1])])
    return data._replace(Z=Z, observed=observed)


def stochastic(data: Sample, params: GaussianParams, batch: int, passes: int, given: Given, seed: int) -> Ascent:
    """Climb from `params` by `passes` over all pieces; the answer is the last pass's mean (Polyak & Juditsky 1992).

    O. Cappé & E. Moulines, *On-line expectation-maximization algorithm for latent data models*, J. R. Stat. Soc. B 71
    (2009), with the pieces of S. Le Corff & G. Fort, *Online expectation maximization based algorithms for inference in
    hidden Markov models*, Electron. J. Stat. 7 (2013).
    """
    own, parts, chance = params, pieces(len(data.Z), batch), np.random.default_rng(seed)
    so_far, n = None, 0
    path: list[float] = []
    for last in range(passes):
        averaged, counted, seen = None, 0, 0.0
        for i in chance.permutation(len(parts)).tolist():
            found, likelihood = _expected(data, own, parts[i])
            if found is None:
                continue
            n += 1
            so_far = found if so_far is None else _blend(so_far, found, exp(-DECAY * log(float(n))))
            if (so_far.bars * len(data.Z)).min() < DIAGONAL.least(own):
                return Ascent(own, np.array([*path, likelihood]), DIED)
            own, counted, seen = _likeliest(so_far, own, given), counted + 1, seen + likelihood
            if last == passes - 1:
                averaged = so_far if averaged is None else _blend(averaged, so_far, 1.0 / counted)
        path.append(seen)
    if averaged is not None:
        own = _likeliest(averaged, own, given)
    whole = _log_likelihood(data, own, parts)
    return Ascent(own, np.array([*path, whole]) - data.log_volume, CONVERGED)


def _blend(one: Statistics, other: Statistics, share: float) -> Statistics:
    return Statistics(*((1.0 - share) * a + share * b for a, b in zip(one, other, strict=True)))


def _likeliest(of: Statistics, own: GaussianParams, given: Given) -> GaussianParams:
    leaving = total(of.moves, axis=1)[:, None]
    transition = np.where(leaving > 0.0, of.moves / np.where(leaving > 0.0, leaving, 1.0), own.transition)
    means = of.sums / of.bars[:, None]
    variances = np.maximum(of.squares / of.bars[:, None] - means * means, given.floor)
    return gaussian_params(own.start, transition, means, variances)


@functools.cache
def _door(emission: Emission) -> Callable[..., float]:
    densities, expect, clear = make_densities(emission), expectation(emission), emission.clear

    def run(X, observed, params, new_sums, counts):  # type: ignore[no-untyped-def]
        X, observed = unowned(X), unowned(observed)
        start, transition = unowned(params.start), unowned(params.transition)
        own, room, sums = by_address(params), lent(new_sums), by_address(counts)
        shift = densities(X, observed, own, room.density)
        found = shift + forward(start, transition, room.density, room.alpha)
        clear(sums)
        expect(X, observed, transition, own, room, sums)
        return found

    return compiled(run)


def _expected(data: Sample, own: GaussianParams, piece: slice) -> tuple[Statistics | None, float]:
    """Return what a row of a piece is expected to say, and the piece's log-likelihood, both from its lead on."""
    first = max(piece.start - LEAD, 0)
    begun = _believed(data, own, slice(first, piece.start))
    Z, observed = data.Z[piece], data.observed[piece]
    rows = int(np.count_nonzero(observed))
    if rows == 0:
        return None, 0.0
    room, sums = work(len(Z), len(own.start)), DIAGONAL.new_sums(own)
    likelihood = float(_door(DIAGONAL)(Z, observed, own._replace(start=begun), room, sums))
    bars, away = room.total, sums.first
    moved = room.moves * own.transition
    # The sums are of deviations from the means that were: brought to deviations from the mean of all rows.
    squares = sums.second + own.means * (2.0 * away + own.means * bars[:, None])
    found = (moved, bars, away + own.means * bars[:, None], squares)
    return Statistics(*(of / rows for of in found)), likelihood


def _believed(data: Sample, own: GaussianParams, lead: slice) -> Floats:
    """Return P(regime) one move after the rows before a piece."""
    if lead.stop == lead.start:
        return own.start
    room, sums = work(lead.stop - lead.start, len(own.start)), DIAGONAL.new_sums(own)
    steady = own.start if lead.start == 0 else np.full_like(own.start, 1.0 / len(own.start))
    _door(DIAGONAL)(data.Z[lead], data.observed[lead], own._replace(start=steady), room, sums)
    now = room.alpha[-1] / float(total(room.alpha[-1]))
    return np.asarray(total(now[:, None] * own.transition))


def _log_likelihood(data: Sample, own: GaussianParams, parts: list[slice]) -> float:
    """Return that of all rows, piece by piece, each begun where the last one ended."""
    found, begun = 0.0, own.start
    for piece in parts:
        room, sums = work(piece.stop - piece.start, len(own.start)), DIAGONAL.new_sums(own)
        part = _door(DIAGONAL)(data.Z[piece], data.observed[piece], own._replace(start=begun), room, sums)
        found += float(part)
        now = room.alpha[-1] / float(total(room.alpha[-1]))
        begun = np.asarray(total(now[:, None] * own.transition))
    return found
