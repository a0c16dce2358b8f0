"""Gaussian emissions, diagonal or full: log densities, sufficient statistics, and the step that uses them up.

A full covariance is carried by its whitening matrix, the inverse of its lower Cholesky factor, so that a density
costs d(d+1)/2 multiplications and no solve; a diagonal one by inverse deviations, so that it costs d. Of a diagonal one
a cell that is missing is a term that is left out: `CELLS` is `DIAGONAL` for such rows, and of whole ones has its bits.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import FitError
from barograph.jit.arithmetic import log
from barograph.jit.kernel import compiled, kernel
from barograph.jit.ordered import product
from barograph.jit.views import unowned
from barograph.regimes.fitted import Moments
from barograph.types import Floats
from barograph_models._chain.chance import generator
from barograph_models._chain.drawing import noise, path
from barograph_models._chain.emission import Emission
from barograph_models._fit.data import Sample

__all__ = ["CELLS", "DIAGONAL", "EMISSIONS", "FULL", "TIED", "WHITEN", "GaussianParams", "Given",
           "covariances", "draw", "drawn_in", "free_parameters", "gaussian_params", "in_units",
           "invert_diagonal", "kind", "moments", "standardised"]  # fmt: skip

LOG_TWO_PI = log(2.0 * math.pi)
FEWEST_CELLS = 2.0
SWEEPS = 30  # Jacobi converges quadratically: six to ten sweeps reach the last bit at any size seen


class GaussianParams(NamedTuple):
    """K regimes of d features: where the chain starts and moves, and each regime's Gaussian.

    `start` (K,), `transition` (K, K), `means` (K, d). Diagonal: `covariances` and `whitening` are (K, d), variances and
    inverse deviations. Full: both are (K, d, d), and whitening is the inverse lower Cholesky factor. `peak` (K,) is the
    log density at the mean.
    """

    start: Floats
    transition: Floats
    means: Floats
    covariances: Floats
    whitening: Floats
    peak: Floats


class Sums(NamedTuple):
    """Weighted sums of the deviations from the *current* means (K, d), and of their products, as covariances are."""

    first: Floats
    second: Floats


class CellSums(NamedTuple):
    """The same of the cells that are there, and their weights (K, d)."""

    first: Floats
    second: Floats
    weight: Floats


@kernel
def _clear(sums: Any) -> None:
    first, second = sums.first, sums.second
    first[:] = 0.0
    second[:] = 0.0


@kernel
def _diagonal_log_density(x: Any, k: Any, own: Any) -> Any:
    means, whitening = own.means, own.whitening
    total = 0.0
    for j in range(means.shape[1]):
        z = (x[j] - means[k, j]) * whitening[k, j]
        total += z * z
    return own.peak[k] - 0.5 * total


@kernel
def _diagonal_gather(x: Any, weight: Any, k: Any, own: Any, sums: Any) -> None:
    means, first, second = own.means, sums.first, sums.second
    for j in range(means.shape[1]):
        away = x[j] - means[k, j]
        first[k, j] += weight * away
        second[k, j] += weight * away * away


@kernel
def _diagonal_update(total: Any, sums: Any, own: Any, given: Any) -> None:
    first, second = sums.first, sums.second
    for k in range(total.size):
        for j in range(own.means.shape[1]):
            _settle(k, j, total[k], first[k, j], second[k, j], own, given)
        invert_diagonal(k, own.covariances, own.whitening, own.peak)


@kernel
def _settle(k: Any, j: Any, weight: Any, first: Any, second: Any, own: Any, given: Any) -> None:
    """Set a cell's mean, then its variance around it; a penalty draws the mean towards 0, that of all rows.

    The soft threshold of W. Pan & X. Shen, *Penalized model-based clustering*, J. Mach. Learn. Res. 8 (2007).
    """
    means, covariances = own.means, own.covariances
    shift = first / weight
    if given.lasso > 0.0 or given.ridge > 0.0:
        precision = weight / covariances[k, j]
        pull = precision * (means[k, j] + shift)
        least = max(abs(pull) - given.lasso, 0.0) / (precision + given.ridge)
        moved = (least if pull > 0.0 else -least) - means[k, j]
        means[k, j] += moved
        covariances[k, j] = max(second / weight - moved * (2.0 * shift - moved), given.floor)
    else:
        means[k, j] += shift
        covariances[k, j] = max(second / weight - shift * shift, given.floor)


@kernel
def _penalty(own: Any, given: Any) -> Any:
    """Return what the means' distance from that of all rows costs, in units of log-likelihood."""
    means = own.means
    found = 0.0
    for k in range(means.shape[0]):
        for j in range(means.shape[1]):
            found += given.lasso * abs(means[k, j]) + 0.5 * given.ridge * means[k, j] * means[k, j]
    return found


@kernel
def _cells_log_density(x: Any, k: Any, own: Any) -> Any:
    """Return the log density of the cells that are there: the marginal of independent features."""
    means, whitening = own.means, own.whitening
    total, volume, gone = 0.0, 0.0, 0
    for j in range(means.shape[1]):
        if math.isfinite(x[j]):
            z = (x[j] - means[k, j]) * whitening[k, j]
            total += z * z
        else:
            gone += 1
            volume += 0.5 * LOG_TWO_PI - log(whitening[k, j])
    peak = own.peak[k] if gone == 0 else own.peak[k] + volume
    return peak - 0.5 * total


@kernel
def _clear_cells(sums: Any) -> None:
    first, second, weight = sums.first, sums.second, sums.weight
    first[:] = 0.0
    second[:] = 0.0
    weight[:] = 0.0


@kernel
def _gather_cells(x: Any, weight: Any, k: Any, own: Any, sums: Any) -> None:
    means, first, second, whole = own.means, sums.first, sums.second, sums.weight
    for j in range(means.shape[1]):
        if math.isfinite(x[j]):
            away = x[j] - means[k, j]
            first[k, j] += weight * away
            second[k, j] += weight * away * away
            whole[k, j] += weight


@kernel
def _update_cells(total: Any, sums: Any, own: Any, given: Any) -> None:
    first, second, whole = sums.first, sums.second, sums.weight
    for k in range(total.size):
        for j in range(own.means.shape[1]):
            # A regime that saw less than two cells of a feature keeps what it had: they have no variance.
            if whole[k, j] >= FEWEST_CELLS:
                _settle(k, j, whole[k, j], first[k, j], second[k, j], own, given)
        invert_diagonal(k, own.covariances, own.whitening, own.peak)


@kernel
def invert_diagonal(k: Any, covariances: Any, whitening: Any, peak: Any) -> None:
    peak[k] = -0.5 * LOG_TWO_PI * covariances.shape[1]
    for j in range(covariances.shape[1]):
        deviation = math.sqrt(covariances[k, j])
        whitening[k, j] = 1.0 / deviation
        peak[k] -= log(deviation)


@kernel
def _full_log_density(x: Any, k: Any, own: Any) -> Any:
    means, whitening = own.means, own.whitening
    total = 0.0
    for i in range(means.shape[1]):
        z = 0.0
        for j in range(i + 1):
            z += whitening[k, i, j] * (x[j] - means[k, j])
        total += z * z
    return own.peak[k] - 0.5 * total


@kernel
def _full_gather(x: Any, weight: Any, k: Any, own: Any, sums: Any) -> None:
    means, first, second = own.means, sums.first, sums.second
    for i in range(means.shape[1]):
        away = weight * (x[i] - means[k, i])
        first[k, i] += away
        for j in range(i + 1):
            second[k, i, j] += away * (x[j] - means[k, j])


@kernel
def _full_update(total: Any, sums: Any, own: Any, given: Any) -> None:
    for k in range(total.size):
        _full_settle(k, total[k], sums, own)
        _full_derive(k, own, given.floor)


@kernel
def _full_settle(k: Any, weight: Any, sums: Any, own: Any) -> None:
    first, second, means, covariances = sums.first, sums.second, own.means, own.covariances
    d = means.shape[1]
    for i in range(d):
        for j in range(i + 1):
            shift = (first[k, i] / weight) * (first[k, j] / weight)
            covariances[k, i, j] = second[k, i, j] / weight - shift
            covariances[k, j, i] = covariances[k, i, j]
    for i in range(d):
        means[k, i] += first[k, i] / weight


@kernel
def _full_derive(k: Any, own: Any, floor: Any) -> None:
    covariances, whitening = own.covariances, own.whitening
    # The whitening is about to be overwritten anyway, so it serves as room for the trial factor.
    if not _cholesky(k, covariances, whitening, floor):
        _clip(k, covariances, floor)
    _full_invert(k, covariances, whitening, own.peak)


@kernel
def _tied_update(total: Any, sums: Any, own: Any, given: Any) -> None:
    """Give all regimes one covariance: the mean of what would be theirs, by their weights."""
    covariances = own.covariances
    K, d = own.means.shape
    whole = 0.0
    for k in range(K):
        _full_settle(k, total[k], sums, own)
        whole += total[k]
    for i in range(d):
        for j in range(d):
            pooled = 0.0
            for k in range(K):
                pooled += total[k] / whole * covariances[k, i, j]
            for k in range(K):
                covariances[k, i, j] = pooled
    for k in range(K):
        _full_derive(k, own, given.floor)


@kernel
def _cholesky(k: Any, covariances: Any, lower: Any, less: Any) -> Any:
    """Factor covariance k less a multiple of the identity into lower[k]; tell whether it is positive definite."""
    for i in range(covariances.shape[1]):
        for j in range(i + 1):
            total = covariances[k, i, j]
            if i == j:
                total -= less
            for m in range(j):
                total -= lower[k, i, m] * lower[k, j, m]
            if i > j:
                lower[k, i, j] = total / lower[k, j, j]
            elif total > 0.0:
                lower[k, i, i] = math.sqrt(total)
            else:
                return False
    return True


@kernel
def _full_invert(k: Any, covariances: Any, whitening: Any, peak: Any) -> None:
    d = covariances.shape[1]
    _cholesky(k, covariances, whitening, 0.0)
    peak[k] = -0.5 * LOG_TWO_PI * d
    # The factor is inverted where it stands, row by row: row i needs the rows above, already inverted.
    for i in range(d):
        pivot = whitening[k, i, i]
        peak[k] -= log(pivot)
        for j in range(i):
            total = 0.0
            for m in range(j, i):
                total += whitening[k, i, m] * whitening[k, m, j]
            # Entries left of j are inverted already and no longer needed for columns to the right.
            whitening[k, i, j] = -total / pivot
        whitening[k, i, i] = 1.0 / pivot
        for j in range(i + 1, d):
            whitening[k, i, j] = 0.0


@kernel
def _clip(k: Any, covariances: Any, floor: Any) -> None:
    """Raise the eigenvalues below the floor to it: the likeliest covariance among those no smaller than the floor."""
    d = covariances.shape[1]
    matrix = np.empty((d, d))
    vectors = np.zeros((d, d))
    for i in range(d):
        vectors[i, i] = 1.0
        for j in range(d):
            matrix[i, j] = covariances[k, i, j]
    _diagonalise(matrix, vectors)
    for i in range(d):
        for j in range(i + 1):
            total = 0.0
            for m in range(d):
                # A hair above the floor, so that rounding cannot push a pivot below zero.
                total += vectors[i, m] * vectors[j, m] * max(matrix[m, m], floor * (1.0 + 1e-9))
            covariances[k, i, j] = total
            covariances[k, j, i] = total


@kernel
def _diagonalise(matrix: Any, vectors: Any) -> None:
    """Cyclic Jacobi rotations (Golub & Van Loan, *Matrix Computations*, 4th ed., section 8.5)."""
    d = matrix.shape[0]
    for _ in range(SWEEPS):
        turned = False
        for p in range(d - 1):
            for q in range(p + 1, d):
                if abs(matrix[p, q]) > 1e-17 * math.sqrt(abs(matrix[p, p] * matrix[q, q])):
                    _rotate(matrix, vectors, p, q)
                    turned = True
        if not turned:
            break


@kernel
def _rotate(matrix: Any, vectors: Any, p: Any, q: Any) -> None:
    ratio = (matrix[q, q] - matrix[p, p]) / (2.0 * matrix[p, q])
    tangent = 1.0 / (abs(ratio) + math.sqrt(1.0 + ratio * ratio))
    if ratio < 0.0:
        tangent = -tangent
    cosine = 1.0 / math.sqrt(1.0 + tangent * tangent)
    sine = tangent * cosine
    for i in range(matrix.shape[0]):
        a, b = matrix[i, p], matrix[i, q]
        matrix[i, p], matrix[i, q] = cosine * a - sine * b, sine * a + cosine * b
        a, b = vectors[i, p], vectors[i, q]
        vectors[i, p], vectors[i, q] = cosine * a - sine * b, sine * a + cosine * b
    for i in range(matrix.shape[0]):
        a, b = matrix[p, i], matrix[q, i]
        matrix[p, i], matrix[q, i] = cosine * a - sine * b, sine * a + cosine * b
    matrix[p, q], matrix[q, p] = 0.0, 0.0


def _new_sums(params: Any) -> Sums:
    return Sums(np.empty_like(params.means), np.empty_like(params.covariances))


def _new_cell_sums(params: Any) -> CellSums:
    return CellSums(*_new_sums(params), np.empty_like(params.means))


def _least(params: Any) -> float:
    """d+1 observations: fewer leave a full covariance singular."""
    return float(params.means.shape[1] + 1)


class Given(NamedTuple):
    """What a fit is told: the least variance or eigenvalue, and the penalties of the means, in standardised units."""

    floor: float
    lasso: float = 0.0
    ridge: float = 0.0


DIAGONAL = Emission(_diagonal_log_density, _clear, _diagonal_gather, _diagonal_update, _new_sums, _least, _penalty)
CELLS = Emission(_cells_log_density, _clear_cells, _gather_cells, _update_cells, _new_cell_sums, _least, _penalty)
FULL = Emission(_full_log_density, _clear, _full_gather, _full_update, _new_sums, _least)
TIED = FULL._replace(update=_tied_update)
EMISSIONS = {"diagonal": DIAGONAL, "full": FULL, "tied": TIED}


def _inverter(invert: Callable[..., Any]) -> Callable[..., None]:
    def whiten(covariances, whitening, peak):  # type: ignore[no-untyped-def]
        covariances, whitening, peak = unowned(covariances), unowned(whitening), unowned(peak)
        for k in range(peak.size):
            invert(k, covariances, whitening, peak)

    return compiled(whiten)


WHITEN = {"diagonal": _inverter(invert_diagonal), "full": _inverter(_full_invert)}


def gaussian_params(start: Any, transition: Any, means: Any, covariances: Any) -> GaussianParams:
    """Make params from what a person would write; `covariances` (K, d) are variances, (K, d, d) matrices.

    Raises `FitError` naming a regime whose covariance is not positive definite.

    >>> two = gaussian_params([0.5, 0.5], [[0.9, 0.1], [0.1, 0.9]], [[0.0], [0.0]], [[1.0], [4.0]])
    >>> two.whitening.ravel()
    array([1. , 0.5])
    """
    arrays = [np.array(a, dtype=np.float64, order="C") for a in (start, transition, means, covariances)]
    for k, covariance in enumerate(arrays[3]):
        if not _positive(k, arrays[3]):
            least = covariance.min() if covariance.ndim == 1 else _least_eigenvalue(covariance)
            raise FitError(f"regime {k}: its covariance is not positive definite (least eigenvalue {least:.3g})")
    derived = (np.zeros_like(arrays[3]), np.empty(len(arrays[0])))
    params = GaussianParams(arrays[0], arrays[1], arrays[2], arrays[3], *derived)
    WHITEN[kind(params)](params.covariances, params.whitening, params.peak)
    return params


def _positive(k: int, covariances: Floats) -> bool:
    """Tell whether a covariance is positive definite: whether it has a Cholesky factor."""
    if covariances.ndim == 2:
        return bool(covariances[k].min() > 0.0)
    return bool(_cholesky(k, covariances, np.empty_like(covariances), 0.0))


def _least_eigenvalue(covariance: Floats) -> float:
    matrix = covariance.copy()
    _diagonalise(matrix, np.eye(len(matrix)))
    return float(np.diagonal(matrix).min())


def kind(params: GaussianParams) -> str:
    """Tell which of `EMISSIONS` the parameters are of."""
    return "diagonal" if params.covariances.ndim == 2 else "full"


def free_parameters(params: GaussianParams, tied: bool = False) -> int:
    """Count what the K Gaussians may choose: their means, variances and covariances."""
    K, d = params.means.shape
    return int(K * d + (1 if tied else K) * (d if params.covariances.ndim == 2 else d * (d + 1) // 2))


def in_units(data: Sample, params: GaussianParams) -> GaussianParams:
    """Bring params of standardised data to the data's own units."""
    return _rescaled(params, data.scale, params.means * data.scale + data.centre)


def standardised(data: Sample, params: GaussianParams) -> GaussianParams:
    """Bring params in the data's own units to standardised data."""
    return _rescaled(params, 1.0 / data.scale, (params.means - data.centre) / data.scale)


def _rescaled(params: GaussianParams, scale: Floats, means: Floats) -> GaussianParams:
    square = scale * scale if params.covariances.ndim == 2 else np.outer(scale, scale)
    return gaussian_params(params.start, params.transition, means, params.covariances * square)


def moments(params: GaussianParams) -> Moments:
    """Return means and variances of every feature, (K, d)."""
    if params.covariances.ndim == 2:
        return Moments(params.means, params.covariances)
    return Moments(params.means, np.diagonal(params.covariances, axis1=1, axis2=2).copy())


def covariances(params: GaussianParams) -> Floats:
    """Return one bar's covariances in every regime, (K, d, d), of full ones."""
    return params.covariances


def draw(params: GaussianParams, bars: int, seed: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return rows (bars, d) and the states (bars,) that they were drawn in."""
    chance = generator(seed)
    states = path(params.start, params.transition, bars, chance)
    return drawn_in(params, states, chance), states


def drawn_in(params: GaussianParams, states: NDArray[np.int64], chance: NDArray[np.int64]) -> Floats:
    """Return rows (bars, d) drawn in given states (bars,)."""
    away = noise(len(states), params.means.shape[1], chance)
    if params.covariances.ndim == 2:
        return np.asarray(params.means[states] + away * np.sqrt(params.covariances[states]))
    root, rows = np.zeros_like(params.covariances), params.means[states]
    for k in range(len(root)):
        _cholesky(k, params.covariances, root, 0.0)
        rows[states == k] += product(away[states == k], root[k].T)
    return np.asarray(rows)
