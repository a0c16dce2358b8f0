"""A mixture of hidden Markov models over assets: each asset follows one of several chains, and which is learned."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import FitError
from barograph.jit.ordered import logarithms, product, total
from barograph.regimes.family import Signature
from barograph.regimes.fitted import Family, Fitted, Model
from barograph.regimes.matching import order_by_volatility
from barograph.regimes.window import Window
from barograph.types import Floats
from barograph_models._chain.gaussian import CELLS, GaussianParams, Given, gaussian_params
from barograph_models._chain.inference import any_observed, ascend, viterbi
from barograph_models._chain.starts import start_params
from barograph_models._fit.data import Sample, check_counts, check_positive, emitted, sample
from barograph_models._fit.restarts import CONVERGED, DIED
from barograph_models._fit.settings import checked
from barograph_models._product.grouped import Grouped, climb, medoids, scored
from barograph_models.gaussian_hmm import DIAGONAL

__all__ = ["PANEL_MIXTURE", "MixtureParams", "groups_of", "panel_mixture"]

NAME: Final = "panel_mixture"


class MixtureParams(NamedTuple):
    """G groups of K regimes, N assets of d features, rows in units of their own asset.

    `share` (G,); of each group `start` (G, K), `moves` (G, K, K), `means` and `variances` (G, K, d). Of each asset
    `membership` (N, G), P(group | all of its training rows), `asset_centre` and `asset_unit` (N, d).
    """

    share: Floats
    start: Floats
    moves: Floats
    means: Floats
    variances: Floats
    membership: Floats
    asset_centre: Floats
    asset_unit: Floats


def _of_asset(params: MixtureParams, asset: int) -> tuple[Family, GaussianParams]:
    """Return the chain of an asset's likeliest group, in the asset's own units."""
    g, unit = int(np.argmax(params.membership[asset])), params.asset_unit[asset]
    means = params.means[g] * unit + params.asset_centre[asset]
    return DIAGONAL, gaussian_params(params.start[g], params.moves[g], means, params.variances[g] * unit * unit)


def _signature(params: MixtureParams) -> Signature:
    """Return what the groups' regimes look like on average, by the groups' shares, in units of an asset, (K,)."""
    stay = np.diagonal(params.moves, axis1=1, axis2=2)
    each = (params.means[:, :, 0], 0.5 * logarithms(params.variances[:, :, 0]), stay)
    return Signature(*(np.asarray(product(params.share, np.ascontiguousarray(of))) for of in each))


def _renumber(params: MixtureParams, order: NDArray[np.int64]) -> MixtureParams:
    kept = {name: getattr(params, name)[:, order] for name in ("start", "means", "variances")}
    return params._replace(moves=params.moves[:, order][:, :, order], **kept)


PANEL_MIXTURE = DIAGONAL._replace(
    name=f"{__name__}:PANEL_MIXTURE",
    params=MixtureParams,
    moments=None,
    draw=None,
    smooth=None,
    decode=None,
    signature=_signature,
    renumber=_renumber,
    of_asset=_of_asset,
)


class Plan(NamedTuple):
    """The settings of a fit."""

    groups: int
    states: int
    starts: int
    iterations: int
    tolerance: float
    seed: int
    floor: float


@checked
def panel_mixture(
    groups: int = 2,
    states: int = 2,
    starts: int = 4,
    iterations: int = 500,
    tolerance: float = 1e-7,
    seed: int = 0,
    variance_floor: float = 1e-4,
) -> Model:
    """Mixture of hidden Markov models over assets: each asset is one of `groups` kinds, and which is learned.

    Every group is a chain of `states` regimes with diagonal Gaussian emissions, in units of the asset's own, which are
    learned too: assets of one group have the same stays and the same ratios of volatility, and are as wild as they
    are. An asset's centre is the mean of its rows. EM weighs each asset
    by P(group | its rows); regimes of every group stand from the calmest to the wildest, and groups in the order in
    which their first asset does. It learns from one table an asset, of a machine with ``each=True``;
    ``fitted.of_asset(symbol)`` is the chain of the asset's likeliest group, and `groups_of` tells which that is.

    The first of `starts` begins as Smyth does, with a chain an asset and the medoids of how badly each fits the others;
    the rest begin with chains drawn from assets at random. A cell that is missing is left out of its row, exactly.
    `fit` raises `FitError` naming the asset whose rows are too few, constant or infinite, or when every start fails,
    `ConfigError` for settings that cannot be meant.

    P. Smyth, *Clustering sequences with hidden Markov models*, Advances in Neural Information Processing Systems 9
    (1997).

    >>> from barograph.regimes.window import window
    >>> noise = np.random.default_rng(0).standard_normal((4, 800, 1))
    >>> slow, quick = (np.tile(np.repeat([[1.0], [4.0]], bars, axis=0), (400 // bars, 1)) for bars in (200, 10))
    >>> tables = tuple(rows * how for rows, how in zip(noise, (slow, quick, slow, quick)))
    >>> seen = window(tables[0])._replace(tables=tables, symbols=("A", "B", "C", "D"))
    >>> groups_of(panel_mixture().fit(seen))
    {'A': 0, 'B': 1, 'C': 0, 'D': 1}
    """
    check_counts(NAME, groups=groups, states=states, starts=starts, iterations=iterations)
    check_positive(NAME, tolerance=tolerance, variance_floor=variance_floor)
    plan = Plan(groups, states, starts, iterations, tolerance, seed, variance_floor)
    return Model(partial(_fit, plan), states, NAME, panel=True, partial_rows=True)


def groups_of(fitted: Fitted) -> dict[str, int]:
    """Return each asset's likeliest group, by its symbol or, where it has none, by the number of its table."""
    names = fitted.symbols or tuple(map(str, range(len(fitted.params.membership))))
    return dict(zip(names, np.argmax(fitted.params.membership, axis=1).tolist(), strict=True))


def _fit(plan: Plan, seen: Window) -> Fitted:
    """Fit to the tables of a window, or to its rows as a panel of one."""
    emitted(seen, NAME)
    tables = seen.tables or (seen.rows,)
    named = len(seen.symbols) == len(tables) and seen.tables is not None
    whose = [f"{NAME}: {symbol}" for symbol in seen.symbols] if named else [NAME] * len(tables)
    parts = [sample(X, plan.states, who, partial=True) for X, who in zip(tables, whose, strict=True)]
    found = [_climbed(plan, parts, _begin(plan, parts, index)) for index in range(plan.starts)]
    if _same_kind(plan, seen, parts):
        found.append(_climbed(plan, *_resumed(parts, seen.previous.params)))
    alive = [of for of in found if of.verdict != DIED]
    if not alive:
        told = f"a regime died after {len(found[0].path)} iterations"
        raise FitError(f"{NAME}: every start failed; start 0: {told}; take fewer states or groups, or more data")
    best = max(alive, key=lambda of: float(of.path[-1]))
    return order_by_volatility(_said(plan, best))


def _climbed(plan: Plan, parts: Sequence[Sample], groups: Sequence[GaussianParams]) -> Grouped:
    even = np.full(plan.groups, 1.0 / plan.groups)
    return climb(parts, even, groups, plan.iterations, plan.tolerance, plan.floor)


def _same_kind(plan: Plan, seen: Window, parts: Sequence[Sample]) -> bool:
    """Tell whether a previous fit can be one more start: of as many groups, regimes and features."""
    before = seen.previous
    wanted = (plan.groups, plan.states, parts[0].Z.shape[1])
    return before is not None and before.family is PANEL_MIXTURE and before.params.means.shape == wanted


def _resumed(parts: Sequence[Sample], params: MixtureParams) -> tuple[list[Sample], list[GaussianParams]]:
    """Go on from a previous fit's groups, of as many assets also in its units."""
    parts, each = list(parts), zip(params.start, params.moves, params.means, params.variances, strict=True)
    if len(parts) == len(params.asset_unit):
        moved = zip(parts, params.asset_unit, strict=True)
        parts = [p._replace(Z=np.ascontiguousarray(p.Z * (p.scale / unit)), scale=unit) for p, unit in moved]
    return parts, [gaussian_params(*chain) for chain in each]


def _begin(plan: Plan, parts: Sequence[Sample], index: int) -> list[GaussianParams]:
    """Begin with the chains of medoids (start 0), or of assets drawn; where there are too few, with other seeds."""
    random = np.random.default_rng([plan.seed, index])
    if index:
        drawn = random.permutation(max(len(parts), plan.groups))[: plan.groups] % len(parts)
        return [start_params(plan.states, "diagonal", parts[i], random, index) for i in drawn]
    own = [_alone(plan, part, random) for part in parts]
    rows = np.array([float(part.rows) for part in parts])
    fits = scored(parts, own) / rows[:, None]
    worse = np.diagonal(fits)[:, None] - fits
    chosen = [own[i] for i in medoids(np.maximum(worse + worse.T, 0.0), plan.groups)]
    more = plan.groups - len(chosen)
    return chosen + [start_params(plan.states, "diagonal", parts[0], random, g) for g in range(more)]


def _alone(plan: Plan, part: Sample, random: np.random.Generator) -> GaussianParams:
    """Return the likeliest chain of one asset, from two starts; a start that loses a regime where both do."""
    begun = [start_params(plan.states, "diagonal", part, random, index) for index in range(2)]
    found = [ascend(CELLS, part, params, plan.iterations, plan.tolerance, Given(plan.floor)) for params in begun]
    alive = [of for of in found if of.verdict != DIED]
    params: GaussianParams = max(alive, key=lambda of: float(of.path[-1])).params if alive else begun[0]
    return params


def _said(plan: Plan, found: Grouped) -> Fitted:
    """Say a climb as a fit: regimes by volatility within each group, groups by their first asset."""
    parts, N, d = found.parts, len(found.parts), found.parts[0].Z.shape[1]
    first = np.argsort([*_first(found.membership)], kind="stable")
    groups = [_by_volatility(found.groups[g]) for g in first]
    units = np.stack([part.centre for part in parts]), np.stack([part.scale for part in parts])
    chains = (np.stack([getattr(g, name) for g in groups]) for name in ("start", "transition", "means", "covariances"))
    params = MixtureParams(*(found.share[first], *chains, found.membership[:, first], *units))
    volume = sum(part.log_volume for part in parts)
    likeliest = np.argmax(params.membership, axis=1)
    own = [viterbi(CELLS, groups[g], p.with_nan(), any_observed)[1] for g, p in zip(likeliest, parts, strict=True)]
    labelled = float(total(np.array(own) + logarithms(params.share[likeliest])))
    G, K = plan.groups, plan.states
    return Fitted(
        family=PANEL_MIXTURE,
        params=params,
        log_likelihood=found.path,
        observations=sum(part.rows for part in parts),
        free_parameters=(G - 1) + G * ((K - 1) + K * (K - 1) + 2 * K * d) + 2 * max(N - G, 0) * d,
        completed=labelled - volume,
        converged=found.verdict == CONVERGED,
        seed=plan.seed,
        features=tuple(f"x{j}" for j in range(d)),
        degeneracies=tuple(f"group {g} holds no asset" for g in range(G) if not _holds(params.membership, g)),
    )


def _first(membership: Floats) -> list[int]:
    """Return the first asset of every group; one past the last where it has none."""
    likeliest = np.argmax(membership, axis=1)
    return [
        int(np.argmax(likeliest == g)) if (likeliest == g).any() else len(likeliest) for g in range(membership.shape[1])
    ]


def _holds(membership: Floats, group: int) -> bool:
    return bool((np.argmax(membership, axis=1) == group).any())


def _by_volatility(params: GaussianParams) -> GaussianParams:
    order = np.argsort(params.covariances[:, 0], kind="stable")
    moved = (params.start[order], params.transition[order][:, order], params.means[order], params.covariances[order])
    return gaussian_params(*moved)
