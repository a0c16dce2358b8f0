"""The slow waves against scipy's transform and Student's t, and what they are for: means of dependent numbers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import fft, stats

from barograph.metrics.slow_waves import count_waves, half_width, student_quantile, waves
from tests.campaigns.calibration import autoregression


@pytest.mark.parametrize("size", [2, 3, 100, 101])
def test_waves_are_the_cosine_transform(size: int) -> None:
    values = np.random.default_rng(0).standard_normal(size) + 5
    assert waves(values) == pytest.approx(fft.dct(values, norm="ortho")[1:], abs=1e-12)


@pytest.mark.parametrize("degrees", [1, 2, 3, 4, 5, 12, 73, 861])
@pytest.mark.parametrize("level", [0.5, 0.95, 0.965, 0.999])
def test_the_quantile_is_student_s(degrees: int, level: float) -> None:
    assert student_quantile(level, degrees) == pytest.approx(stats.t.ppf((1 + level) / 2, degrees), rel=1e-10)


def test_the_number_of_waves() -> None:
    assert [count_waves(size, 1.0) for size in (2, 4, 250, 2500)] == [1, 3, 15, 73]
    assert [count_waves(2500, length) for length in (10.0, 60.0, 150.0, 1e9)] == [62, 10, 4, 4]


def test_by_hand() -> None:
    """Four numbers, three waves: Student's quantile at 96.5 % with 3 degrees, times the root of the mean square / T."""
    values = np.array([1.0, 2.0, 4.0, 3.0])
    heights = fft.dct(values, norm="ortho")[1:]
    wanted = stats.t.ppf(0.9825, 3) * np.sqrt(np.mean(heights**2) / 4)
    assert half_width(values, 1.0, 0.95) == pytest.approx(wanted, rel=1e-9)
    # All waves together are the spread about the mean (Parseval).
    assert np.sum(heights**2) == pytest.approx(np.sum((values - 2.5) ** 2))


def test_memory_widens_by_what_it_adds() -> None:
    """An AR(.6) mean varies (1 + .6) / (1 - .6) = 4 times as much as an independent one of the same variance."""
    noise = np.random.default_rng(0).standard_normal((200, 2000))
    widths = [[half_width(row, 1.0, 0.95) for row in rows] for rows in (noise, autoregression(0.6, noise))]
    assert np.mean(widths[1]) / np.mean(widths[0]) == pytest.approx(2.0, rel=0.05)


def test_what_never_moves_has_no_width() -> None:
    assert half_width(np.full(100, 0.3), 1.0, 0.95) == pytest.approx(0.0, abs=1e-12)
