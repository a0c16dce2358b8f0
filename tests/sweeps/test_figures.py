"""The figures of a sweep add as numpy adds, and find the quantile that numpy finds."""

from __future__ import annotations

import math

import numpy as np
import pytest

from barograph.sweeps.figures import select, total

RNG = np.random.default_rng(4)


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 127, 128, 129, 255, 256, 257, 1000, 4097, 100_003])
def test_sums_are_numpys_to_the_last_bit(count: int) -> None:
    values = RNG.standard_normal(count) * 10.0 ** RNG.integers(-8, 8, count)
    assert total(values, count) == float(np.sum(values))
    assert total.py_func(values[:5000], min(count, 5000)) == float(np.sum(values[:5000]))


def test_a_plain_loop_would_be_seen() -> None:
    values = RNG.standard_normal(5000)
    assert math.fsum(values) != pytest.approx(0.0, abs=1e-9)
    plain = 0.0
    for value in values.tolist():
        plain += value
    assert plain != float(np.sum(values))


@pytest.mark.parametrize("count", [1, 2, 3, 50, 1001])
def test_the_rank_is_partitions(count: int) -> None:
    values = np.round(RNG.standard_normal(count), 1)
    for rank in {1, max(1, count // 20), (count + 1) // 2, count}:
        assert select.py_func(values.copy(), count, rank) == np.partition(values, rank - 1)[rank - 1]
