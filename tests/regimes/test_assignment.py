"""The assignment against scipy, whose algorithm it is: the same permutation, also where several are as cheap."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment

from barograph.regimes.assignment import assign

FEW = st.integers(0, 2).map(float)
ANY = st.floats(-1e6, 1e6)
SHORT = st.integers(0, 20).map(lambda n: n / 10.0)


def matrices(value: Any) -> Any:
    rows = st.integers(1, 9).flatmap(
        lambda K: st.lists(st.lists(value, min_size=K, max_size=K), min_size=K, max_size=K)
    )
    return rows.map(np.array)


@given(matrices(st.one_of(FEW, ANY, SHORT)) | matrices(FEW) | matrices(SHORT))
def test_the_same_permutation_as_scipy_ties_and_rounding_included(cost: Any) -> None:
    assert assign(cost) == tuple(linear_sum_assignment(cost)[1].tolist())


def test_a_thousand_matrices_of_each_kind_as_scipy() -> None:
    random = np.random.default_rng(3)
    for _ in range(1000):
        K = int(random.integers(1, 9))
        sums = random.random((K, 1)) + random.random((1, K))  # every permutation as cheap, up to rounding
        for cost in (random.random((K, K)), random.integers(0, 3, (K, K)) * 1.0, sums, random.random((K, K)).round(1)):
            assert assign(cost) == tuple(linear_sum_assignment(cost)[1].tolist())


@given(matrices(FEW | SHORT).filter(lambda cost: len(cost) < 6))
def test_no_permutation_is_cheaper(cost: Any) -> None:
    rows = range(len(cost))
    found = sum(cost[i, k] for i, k in zip(rows, assign(cost), strict=True))
    assert found <= min(sum(cost[i, k] for i, k in zip(rows, p, strict=True)) for p in permutations(rows)) + 1e-12


def test_where_all_are_as_cheap_nothing_moves() -> None:
    assert assign(np.zeros((5, 5))) == (0, 1, 2, 3, 4)


@pytest.mark.parametrize("value", [np.nan, -np.inf, np.inf])
def test_what_cannot_be_assigned_is_refused_in_scipys_words(value: float) -> None:
    cost = np.array([[1.0, value], [1.0, value]])
    with pytest.raises(ValueError, match="matrix") as wanted:
        linear_sum_assignment(cost)
    with pytest.raises(ValueError, match="matrix") as found:
        assign(cost)
    assert str(found.value) == str(wanted.value)
