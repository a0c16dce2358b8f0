"""What is known of regimes before rows are seen: the market's habits, nothing, or what the last fit knew.

The market's numbers are medians over four blocks (2,000 days) of each of 21 daily US series, 1990-2022: the S&P 500 and
20 of its stocks, each block fitted by plain EM with shared degrees of freedom (`python -m benchmarks prior` makes them
anew). Volatilities are scales of the return's t over the block's robust deviation, so they carry no market's level.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from barograph.errors import ConfigError
from barograph.jit.arithmetic import exp, log
from barograph.types import Floats
from barograph_models._student.known import Known

__all__ = ["DESCENT", "DOF_SPREAD", "FIRMNESS", "STAYS", "USUAL_DOF", "VOLATILITIES", "Habits", "flattened", "habits",
           "market", "nothing"]  # fmt: skip

STAYS: Final = {2: (142.3, 74.3), 3: (75.3, 50.0, 33.7)}  # bars, from calm to wild
VOLATILITIES: Final = {2: (0.754, 1.469), 3: (0.677, 1.212, 2.516)}  # scales over the window's robust deviation
DESCENT: Final = 0.81  # of the moves out of a regime between two others, how many lead to the calmer one
FIRMNESS: Final = 10.0  # as wide as the calm regime's volatilities lie over the blocks
USUAL_DOF: Final = 5.65
DOF_SPREAD: Final = 0.8  # of the logarithm: twice that of the blocks, so that a market without tails is not denied
FAR: Final = 0.05  # pseudo-moves to a regime that is no neighbour


class Habits(NamedTuple):
    """The market prior in a person's terms: `stays` and `volatilities` (K,), and how firmly all of it is believed."""

    stays: tuple[float, ...]
    volatilities: tuple[float, ...]
    firmness: float
    mean_bars: float
    usual_dof: float
    dof_spread: float


def habits(
    name: str,
    states: int,
    stays: Sequence[float] | None,
    volatilities: Sequence[float] | None,
    firmness: float,
    mean_bars: float,
    usual_dof: float,
    dof_spread: float,
) -> Habits:
    """Return the habits of a market with this many regimes; what is not given was learned, or follows from it.

    For more than three regimes nothing was learned: stays are interpolated between calm and wild, geometrically, and
    volatilities begin at the calmest of three and take the ratio of two from each regime to the next.

    >>> habits("", 4, None, None, 20.0, 20.0, 8.0, 1.0).stays
    (142.3, 114.59, 92.27, 74.3)
    """
    given = {"stays": stays, "volatilities": volatilities}
    for key, values in given.items():
        if values is not None and (len(values) != states or not all(0.0 < v < np.inf for v in values)):
            raise ConfigError(f"{name}: {key} = {values!r}, one number above 0 for each of {states} states is wanted")
    if stays is not None and min(stays) <= 1.0:
        raise ConfigError(f"{name}: stays = {stays!r}, in bars: more than one each is wanted")
    own_stays = _stays(states) if stays is None else tuple(float(v) for v in stays)
    own_volatilities = _volatilities(states) if volatilities is None else tuple(float(v) for v in volatilities)
    return Habits(own_stays, own_volatilities, firmness, mean_bars, usual_dof, dof_spread)


def _stays(states: int) -> tuple[float, ...]:
    calm, wild = STAYS[2]
    if states in STAYS:
        return STAYS[states]
    share = log(wild / calm) / max(states - 1, 1)
    return tuple(round(calm * exp(share * k), 2) for k in range(states))


def _volatilities(states: int) -> tuple[float, ...]:
    if states == 1:
        return (1.0,)
    if states in VOLATILITIES:
        return VOLATILITIES[states]
    calm, wild = VOLATILITIES[2]
    share = log(wild / calm)
    return tuple(round(VOLATILITIES[3][0] * exp(share * k), 3) for k in range(states))


def market(own: Habits, d: int) -> Known:
    """Return the market prior in robust units: feature 0 is the return, the others may be anything of deviation one."""
    K = len(own.stays)
    shape, means = np.ones((K, d)), np.zeros((K, d))
    bars, rate = np.ones((K, d)), np.ones((K, d))
    square = np.array(own.volatilities) * np.array(own.volatilities)
    shape[:, 0], rate[:, 0], bars[:, 0] = own.firmness, own.firmness * square, own.mean_bars
    dof = np.full(K, log(own.usual_dof)), np.full(K, 1.0 / (own.dof_spread * own.dof_spread))
    return Known(np.full(K, 1.0 / K), moves(own.stays), means, bars, shape, rate, *dof)


def moves(stays: Sequence[float]) -> Floats:
    """Return the Dirichlet rows, (K, K): one pseudo-move out of each regime, to its neighbours, after its stay.

    >>> moves((101.0, 51.0))
    array([[100.,   1.],
           [  1.,  50.]])
    """
    K = len(stays)
    rows = np.full((K, K), FAR)
    for k in range(K):
        below, above = k > 0, k + 1 < K
        if below:
            rows[k, k - 1] = DESCENT if above else 1.0
        if above:
            rows[k, k + 1] = 1.0 - DESCENT if below else 1.0
        rows[k, k] = stays[k] - 1.0
    return rows


def nothing(states: int, d: int, usual_dof: float) -> Known:
    """Return the prior under which the likeliest parameters are those of plain EM."""
    none = np.zeros((states, d))
    dof = np.full(states, log(usual_dof)), np.zeros(states)
    start, rows = np.full(states, 1.0 / states), np.zeros((states, states))
    return Known(start, rows, none, none, none - 1.5, none, *dof)


def flattened(last: Known, fresh: Known, keep: float) -> Known:
    """Return last^keep * fresh^(1 - keep), the geometric mean of two densities: it is of their form, brought to one.

    So the market's word never fades, and what was learned n bars ago counts keep^(refits since).
    """
    rest = 1.0 - keep
    bars = keep * last.bars + rest * fresh.bars
    means = (keep * last.bars * last.means + rest * fresh.bars * fresh.means) / bars
    second = keep * (last.rate + 0.5 * last.bars * last.means * last.means)
    second = second + rest * (fresh.rate + 0.5 * fresh.bars * fresh.means * fresh.means)
    firm = keep * last.dof_precision + rest * fresh.dof_precision
    return Known(
        start=last.start,
        moves=keep * last.moves + rest * fresh.moves,
        means=means,
        bars=bars,
        shape=keep * last.shape + rest * fresh.shape,
        rate=second - 0.5 * bars * means * means,
        log_dof=(keep * last.dof_precision * last.log_dof + rest * fresh.dof_precision * fresh.log_dof) / firm,
        dof_precision=firm,
    )
