"""The states of a jump model and the price of every move: regimes, or a grid of shares of regimes."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Final, NamedTuple

import numpy as np

from barograph.errors import ConfigError
from barograph.jit.ordered import exponentials, logarithms, total
from barograph.types import Floats

__all__ = ["LARGEST", "States", "check_grid", "continuous", "discrete"]

LARGEST: Final = 1_000
"""The most points of a grid: a step looks at all pairs of them."""


class States(NamedTuple):
    """N states: the `shares` (N, K) of the regimes in each, and the `penalties` (N, N) of a move from row to column."""

    shares: Floats
    penalties: Floats


def discrete(regimes: int, penalty: float) -> States:
    """Return the regimes themselves: a change costs `penalty`, whichever it is.

    >>> discrete(2, 5.0).penalties
    array([[0., 5.],
           [5., 0.]])
    """
    return States(np.eye(regimes), penalty * (1.0 - np.eye(regimes)))


@lru_cache(maxsize=4)
def continuous(regimes: int, penalty: float, parts: int, mode_loss: bool) -> States:
    """Return all shares in whole `parts`, the first regime's largest first; a move costs by its length squared.

    The length is half the sum of absolute differences. With `mode_loss` the price of leaving a state is raised by log
    sum_q exp(-penalty(p, q)), less that of a corner, so that exp(-price) is a transition kernel but for a factor.

    >>> continuous(2, 8.0, 2, False)
    States(shares=array([[1. , 0. ],
           [0.5, 0.5],
           [0. , 1. ]]), penalties=array([[0., 2., 8.],
           [2., 0., 2.],
           [8., 2., 0.]]))
    """
    shares = np.array(_compositions(regimes, parts), dtype=np.float64) / parts
    length = 0.5 * total(np.abs(shares[:, None, :] - shares[None, :, :]), axis=2)
    penalties = penalty * (length * length)
    if mode_loss:
        mode = logarithms(total(exponentials(-penalties), axis=1))
        penalties += (mode - mode[0])[:, None]
    return States(shares, penalties)


def _compositions(regimes: int, parts: int) -> list[tuple[int, ...]]:
    """Return all ways to share `parts` among regimes, in falling order."""
    if regimes == 1:
        return [(parts,)]
    return [(n, *rest) for n in range(parts, -1, -1) for rest in _compositions(regimes - 1, parts - n)]


def check_grid(name: str, regimes: int, grid: float) -> int:
    """Return how many parts of size `grid` make a whole.

    Raises `ConfigError` where they make none, or more than `LARGEST` points.
    """
    parts = round(1.0 / grid) if 0.0 < grid <= 1.0 else 0
    if parts < 1 or abs(parts * grid - 1.0) > 1e-9:
        raise ConfigError(f"{name}: grid = {grid!r}, one over a whole number is wanted, such as 0.05")
    points = math.comb(parts + regimes - 1, regimes - 1)
    if points > LARGEST:
        told = f"grid = {grid:g} with {regimes} states has {points} points, more than {LARGEST}"
        raise ConfigError(f"{name}: {told}; take fewer states or a coarser grid")
    return parts
