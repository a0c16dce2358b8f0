"""How far a mean of dependent numbers may be from the truth, read off its slow waves.

√T times the mean of T numbers has the variance that their slowest waves have. So the numbers are projected on B
cosines, cos(π j (t + ½) / T) for j = 1 … B; the mean of the squares is the variance, and it is known as well as that of
B independent draws is: Student's quantile with B degrees of freedom takes the normal's place (Müller 2004; Lazarus,
Lewis, Stock & Watson 2018, "HAR inference: recommendations for practice", who advise B = 0.4 T^(2/3)).

Two things are ours, both measured (docs/validation.md). Where bars depend over b bars only the first T / 4b waves
count, at least 4: a wave that fits into a regime knows nothing of how regimes follow each other. And a little more is
asked for than `level`, because a sample that shows one regime twice says little of how often it comes: of what is left
out at the level that was asked for, 0.7 may be.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from barograph.types import Floats

__all__ = ["count_waves", "half_width", "student_quantile", "waves"]

_LEFT_OUT: Final = 0.7
_FEWEST: Final = 4


def half_width(influences: Floats, dependence: float, level: float) -> float:
    """Return half the length of the interval of a mean of influences (T,), bars depending over so many bars.

    >>> noise = np.random.default_rng(0).standard_normal(1000)
    >>> round(half_width(noise, dependence=1.0, level=0.95) * 1000**0.5, 2)
    1.88
    """
    count = count_waves(influences.size, dependence)
    heights = waves(influences)[:count]
    variance = float(np.sum(heights * heights)) / count
    return student_quantile(1.0 - _LEFT_OUT * (1.0 - level), count) * math.sqrt(variance / influences.size)


def count_waves(size: int, dependence: float) -> int:
    """Return B: T / 4b, but at least 4, at most 0.4 T^(2/3), and below T.

    >>> count_waves(1000, 1.0), count_waves(1000, 20.0), count_waves(1000, 90.0)
    (39, 12, 4)
    """
    return max(1, min(size - 1, max(_FEWEST, min(int(size / (4.0 * dependence)), int(0.4 * float(size) ** (2 / 3))))))


def waves(values: Floats) -> Floats:
    """Return the orthonormal projections on all cosines, slowest first, (T − 1,); that on the mean is left out.

    >>> waves(np.array([1.0, 0.0, -1.0])).round(6).tolist()
    [1.414214, 0.0]
    """
    size = values.size
    # A cosine transform is the Fourier transform of the numbers and their mirror image, turned by half a bar.
    mirrored = np.fft.rfft(np.concatenate((values, values[::-1])))[1:size]
    turned = np.exp(-0.5j * math.pi * np.arange(1, size) / size)
    found: Floats = np.real(mirrored * turned) / math.sqrt(2.0 * size)
    return found


def student_quantile(level: float, degrees: int) -> float:
    """Return q with P(|t| ≤ q) = level for Student's t with a whole number of degrees of freedom.

    The closed form of P (Abramowitz & Stegun 26.7.3, 26.7.4), halved into: scipy would take longer to import than this.

    >>> round(student_quantile(0.95, 10), 6), round(student_quantile(0.95, 1), 4)
    (2.228139, 12.7062)
    """
    low, high = 0.0, math.pi / 2.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _inside(middle, degrees) < level else (low, middle)
    return math.tan(low) * math.sqrt(degrees)


def _inside(angle: float, degrees: int) -> float:
    """P(|t| ≤ √ν tan θ)."""
    cosine, sine = math.cos(angle), math.sin(angle)
    odd = degrees % 2
    term, total = (cosine, 0.0) if odd else (1.0, 0.0)
    for k in range(1 + odd, degrees, 2):
        total += term
        term *= cosine * cosine * k / (k + 1)
    return 2.0 / math.pi * (angle + sine * total) if odd else sine * total
