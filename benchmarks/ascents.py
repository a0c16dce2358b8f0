"""One iteration of EM or variational Bayes beside every library that has one: same rows, same start, one process.

CPU time, of all threads that a library starts; one iteration is the difference of a long and a short run, so that
nobody pays for a set-up or for compiling. All count in doubles but pomegranate, whose rows are single. A library that
would take minutes at a size is not run there: its limit stands in `PEERS`. Of variational ascents there is hmmlearn's
alone, and it begins every fit by k-means, which drowns what an iteration takes.
"""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from barograph_models._chain.gaussian import GaussianParams
from barograph_models._student import ascent
from barograph_models._student.data import cells
from barograph_models._student.priors import FIRMNESS, habits, market
from barograph_models._student.starts import dispersion_start, expected_moves
from benchmarks import Row, Table, bars
from benchmarks.em import ours, theirs, world

SIZES = (
    *((states, d, rows) for rows in (5_000, 50_000) for d in (1, 5) for states in (2, 3, 4)),
    (2, 1, 1_000_000),
    (4, 5, 1_000_000),
)
SHORT, REPEATS = 2, 5
ENOUGH = 0.1  # seconds that the difference of the runs should take, if it needs no more than MOST iterations
MOST = 100

Run = Callable[[int], Any]


class Case(NamedTuple):
    """Rows (T, d), and the parameters that every EM begins at."""

    X: Any
    start: GaussianParams


def _gaussian(case: Case) -> Run:
    run = ours(case.X, case.start)
    # The last of ours only scores.
    return lambda n: run(n + 1)


def _student(how: int, case: Case) -> Run:
    states, d = case.start.means.shape
    data = cells(case.X, states, "benchmark")
    prior = market(habits("benchmark", states, None, None, FIRMNESS, 20.0, 6.0, 0.8), d)
    if how == ascent.EM:
        none = np.zeros_like(prior.means)
        prior = prior._replace(moves=np.zeros((states, states)), bars=none, shape=none - 1.5, rate=none)
        prior = prior._replace(dof_precision=np.zeros(states))
    gamma = dispersion_start(data.Z, data.ends, states, 0)
    fixed = (data.Z, data.ends.astype(np.int64), prior, gamma, expected_moves(gamma, data.ends), np.full(states, 6.0))
    return lambda n: ascent.climb(how, ascent.SHARED, *fixed, n + 1, -np.inf, 1e-6)


def _hmmlearn(case: Case) -> Run:
    return theirs(case.X, case.start, "diagonal")


def _statsmodels(case: Case) -> Run:
    from statsmodels.tsa.regime_switching.markov_regression import MarkovRegression

    if case.X.shape[1] > 1:
        raise ValueError("one feature")
    model = MarkovRegression(case.X[:, 0], k_regimes=len(case.start.start), switching_variance=True)
    begun = model.start_params
    return lambda n: model._fit_em(begun, maxiter=n, tolerance=-np.inf, return_params=True)


def _dynamax(case: Case) -> Run:
    import jax
    from dynamax.hidden_markov_model import DiagonalGaussianHMM

    jax.config.update("jax_enable_x64", True)
    states, d = case.start.means.shape
    model, rows, s = DiagonalGaussianHMM(states, d), jax.numpy.asarray(case.X), case.start
    given = {"initial_probs": s.start, "transition_matrix": s.transition, "emission_means": s.means}
    begun, properties = model.initialize(jax.random.PRNGKey(0), emission_scale_diags=np.sqrt(s.covariances), **given)

    @jax.jit
    def iterate(params: Any, state: Any) -> Any:
        expected, _ = model.e_step(params, rows)
        batch = jax.tree_util.tree_map(lambda leaf: leaf[None], expected)
        return model.m_step(params, properties, batch, state)

    def run(n: int) -> Any:
        params, state = begun, model.initialize_m_step_state(begun, properties)
        for _ in range(n):
            params, state = iterate(params, state)
        return jax.block_until_ready(params)

    return run


def _pomegranate(case: Case) -> Run:
    import torch
    from pomegranate.distributions import Normal
    from pomegranate.hmm import DenseHMM

    single = partial(np.asarray, dtype=np.float32)
    rows = torch.from_numpy(single(case.X)[None].copy())

    def run(n: int) -> Any:
        parts = [
            Normal(single(m), single(v), covariance_type="diag")
            for m, v in zip(case.start.means, case.start.covariances, strict=True)
        ]
        chain = {"edges": single(case.start.transition), "starts": single(case.start.start)}
        return DenseHMM(parts, **chain, max_iter=n, tol=1e-30).fit(rows)

    return run


OURS: dict[str, tuple[Callable[[Case], Run], tuple[str, ...]]] = {
    "EM, Gaussian": (_gaussian, ("hmmlearn", "statsmodels", "dynamax", "pomegranate")),
    "EM, Student-t": (partial(_student, ascent.EM), ()),
    "VB, Student-t": (partial(_student, ascent.VB), ()),
}
PEERS: dict[str, tuple[Callable[[Case], Run], int]] = {
    "hmmlearn": (_hmmlearn, 1_000_000),
    "statsmodels": (_statsmodels, 50_000),
    "dynamax": (_dynamax, 1_000_000),
    "pomegranate": (_pomegranate, 5_000),
}


def measure(size: float = 1.0) -> Table:
    """Milliseconds of CPU an iteration, and in how many times that a library does the same."""
    sizes = SIZES if size >= 0.1 else SIZES[:1]
    rows = [row for states, d, T in sizes for row in _rows(states, d, bars(T, size, least=300))]
    return Table("One iteration of an ascent, diagonal covariances: CPU time, beside what others take", rows)


def _rows(states: int, d: int, T: int) -> list[Row]:
    case = Case(*world(states, d, T, "diagonal"))
    rows = []
    for name, (ready, peers) in OURS.items():
        mine = cpu(ready(case))
        beside = "; ".join(_beside(peer, case, mine) for peer in peers)
        rows.append(Row(f"{name}, K = {states}, d = {d}, T = {T:,}", 1e3 * mine, "ms", "", beside))
    return rows


def _beside(name: str, case: Case, mine: float) -> str:
    ready, most = PEERS[name]
    if len(case.X) > most:
        return f"{name}: not run beyond {most:,} rows"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return f"{name} {cpu(ready(case)) / mine:.3g}x"
    except ImportError:
        return f"{name}: not installed"
    except ValueError as error:
        return f"{name}: {error}"


def cpu(run: Run) -> float:
    """Return the CPU seconds of one iteration."""
    run(SHORT)
    once = max(_seconds(run, SHORT) / SHORT, 1e-6)
    more = min(MOST, max(2, int(ENOUGH / once)))
    short, long = (min(_seconds(run, n) for _ in range(REPEATS)) for n in (SHORT, SHORT + more))
    return (long - short) / more


def _seconds(run: Run, iterations: int) -> float:
    began = time.process_time()
    run(iterations)
    return time.process_time() - began
