"""The audit: does any answer change when the future does?

The machine is run on the whole history, then again and again with the history cut after a bar, and with every price
after that bar changed. Features, beliefs, fits, decisions, fills, all other events (orders that end, margin, guards,
corporate actions) and equity up to the cut must not differ in one bit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from barograph.data.history import FIELDS, History
from barograph.errors import BarographError
from barograph.execution.events import BAR, BORN, EVENT, EVENTS, EXPIRED, FILLED, PARTIAL
from barograph.jit.kernel import kernel
from barograph.jit.views import frozen
from barograph.loop.machine import Machine
from barograph.loop.result import Result
from barograph.loop.run import scan
from barograph.loop.session import Session
from barograph.loop.wiring import Wired, wire
from barograph.metrics.formulas import sharpe, simple_returns
from barograph.metrics.steps import steps
from barograph.types import Belief, Filter, Floats

if TYPE_CHECKING:
    from barograph.regimes.fitted import Fitted

__all__ = ["ANSWERS", "Audit", "Leak", "audit", "decoded", "largest_changes", "perturbed"]

ANSWERS: Final = ("features", "probabilities", "fits", "decisions", "fills", "events", "equity")
# Which rows of the log are which kind of answer.
_FILLS: Final = (FILLED, PARTIAL)
KINDS_OF_EVENTS: Final = {
    "decisions": (BORN,),
    "fills": _FILLS,
    "events": tuple(code for code in EVENTS if code not in (BORN, *_FILLS)),
}
DECODINGS: Final = ("filtered", "viterbi", "smoothed")


class Leak(NamedTuple):
    """An answer that knew the future: the cut it was found at, how the future was changed, and by how much it moved."""

    cut: int
    when: str
    how: str
    answer: str
    change: float


@dataclass(frozen=True)
class Audit:
    """What the audit found; `changes` holds the largest change of each kind of answer, exactly 0 when it is causal.

    `sharpe` is the strategy's on filtered, Viterbi and smoothed probabilities: the second and third have seen the
    future, and the distance between them and the first is what a study that decodes the whole sample sells itself.
    """

    cuts: tuple[int, ...]
    changes: dict[str, float]
    leaks: tuple[Leak, ...]
    fits: int
    switched: int
    unconvincing: int
    sharpe: dict[str, float]

    @property
    def clean(self) -> bool:
        """Whether nothing before any cut changed."""
        return not self.leaks


def audit(
    machine: Machine,
    history: History,
    cuts: int = 8,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
) -> Audit:
    """Rerun the machine with its history cut, and its future perturbed, at `cuts` random bars and as many fits.

    The cuts at fits matter: a training window that reaches one bar too far shows nowhere else.
    """
    whole = scan(machine, history)
    rows = _cuts(whole, cuts, seed)
    leaks: list[Leak] = []
    changes = dict.fromkeys(ANSWERS, 0.0)
    for n, cut in enumerate(rows):
        for how, other in _futures(machine, history, cut, seed + n):
            for answer, change in largest_changes(whole, other, cut).items():
                changes[answer] = max(changes[answer], change)
                if change > 0.0:
                    leaks.append(Leak(cut, history.when(cut), how, answer, change))
        if progress is not None:
            progress(n + 1, len(rows))
    matches = [fit.match for fit in whole.fits if fit.match is not None]
    return Audit(
        cuts=tuple(rows),
        changes=changes,
        leaks=tuple(leaks),
        fits=len(whole.fits),
        switched=sum(list(m.permutation) != sorted(m.permutation) for m in matches),
        unconvincing=sum(not m.convincing for m in matches),
        sharpe=_decodings(whole),
    )


def _cuts(whole: Result, cuts: int, seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    first, last = whole.first + 1, len(whole.history) - 2
    if last < first:
        raise BarographError(f"the audit needs bars after the first decision; the history has {len(whole.history)}")
    anywhere = rng.integers(first, last + 1, size=cuts).tolist()
    fits = [fit.bar for fit in whole.fits[1:] if fit.bar <= last]
    chosen = rng.choice(fits, size=min(cuts, len(fits)), replace=False).tolist() if fits else []
    return sorted({*anywhere, *chosen})


def _futures(machine: Machine, history: History, cut: int, seed: int) -> list[tuple[str, Result]]:
    """Return the runs on other futures. A run that fails there, on bars after the cut, is simply cut at the bar."""
    found = [("cut", scan(machine, history.head(cut + 1)))]
    try:
        found.append(("perturbed", scan(machine, perturbed(history, cut, seed))))
    except BarographError:
        # A made-up future may ruin the account or kill a regime; one bar of it is enough to look for a leak.
        found.append(("perturbed", scan(machine, perturbed(history, cut, seed).head(cut + 2))))
    return found


def perturbed(history: History, after: int, seed: int) -> History:
    """Return the same past with another future: every price after row `after` gets random positive noise.

    Bars stay possible (low <= open, close <= high) and missing ones missing; actions stay. What was computed up to
    row `after` must not change: that is the audit.
    """
    rng = np.random.default_rng(seed)
    later = np.arange(len(history))[:, None] > after
    level = np.exp(0.1 * rng.standard_normal(history.close.shape))
    noisy = {n: getattr(history, n) * level * np.exp(0.01 * rng.standard_normal(level.shape)) for n in FIELDS}
    missing = {name: np.isnan(getattr(history, name)) for name in FIELDS}
    prices = np.stack([noisy[name] for name in FIELDS[:4]])
    noisy["high"] = np.where(missing["high"], np.nan, np.fmax.reduce(prices))
    noisy["low"] = np.where(missing["low"], np.nan, np.fmin.reduce(prices))
    return replace(history, **{name: np.where(later, noisy[name], getattr(history, name)) for name in FIELDS})


def largest_changes(one: Result, other: Result, cut: int) -> dict[str, float]:
    """Return the largest change of each kind of answer up to and including bar `cut`; NaN against NaN is no change."""
    n = cut - one.first + 1
    mine, theirs = _events(one, cut), _events(other, cut)
    return {
        "features": _change(one.features[: cut + 1], other.features[: cut + 1]),
        "probabilities": _change(one.beliefs[:n], other.beliefs[:n]),
        "fits": _fits(one, other, cut),
        **{name: _change(_of(mine, chosen), _of(theirs, chosen)) for name, chosen in KINDS_OF_EVENTS.items()},
        "equity": max(_change(one.table[:n], other.table[:n]), _change(one.weights[:n], other.weights[:n])),
    }


def _events(run: Result, cut: int) -> Floats:
    """Return the log up to a bar. An order's life ends between two bars, and is told when the second one comes."""
    log = run.events
    up_to: Floats = log[log[:, BAR] + (log[:, EVENT] == EXPIRED) <= cut]
    return up_to


def _of(log: Floats, chosen: tuple[int, ...]) -> Floats:
    rows: Floats = log[np.isin(log[:, EVENT], chosen)]
    return rows


def _change(one: Floats, other: Floats) -> float:
    if one.shape != other.shape:
        return float("inf")
    same = (one == other) | (np.isnan(one) & np.isnan(other))
    if same.all():
        return 0.0
    gap = np.abs(one[~same] - other[~same])
    return float("inf") if np.isnan(gap).any() else float(gap.max())


def _fits(one: Result, other: Result, cut: int) -> float:
    theirs = {fit.bar: fit for fit in other.fits}
    # A fit made at the last bar of a shortened history has nothing left to decide, and is not made.
    pairs = [(fit, theirs[fit.bar]) for fit in one.fits if fit.bar <= cut and fit.bar in theirs]
    changes = [
        _change(np.atleast_1d(a), np.atleast_1d(b))
        for mine, their in pairs
        for a, b in zip(mine.fitted.params, their.fitted.params, strict=True)
    ]
    return max(changes, default=0.0)


class _Script(NamedTuple):
    """A path of probabilities (T, K) played back from row `first`."""

    first: int
    probs: Any


class _Played(NamedTuple):
    """Which row is next, and the probabilities (K,) that were played last."""

    row: int
    probs: Any


@kernel
def _begin(params: _Script) -> _Played:
    return _Played(params.first, np.zeros(params.probs.shape[1]))


@kernel
def _play(state: _Played, x: Any, params: _Script) -> Any:
    for k in range(state.probs.size):
        state.probs[k] = params.probs[state.row, k]
    return _Played(state.row + 1, state.probs), Belief(frozen(state.probs), 0.0)


class _Hindsight(Session):
    """A session whose beliefs are those of somebody who has seen all bars. Only the audit may hold one."""

    def __init__(self, machine: Machine, history: History, decoding: str, features: Floats) -> None:
        self._decoding, self._features = decoding, features
        super().__init__(machine, history, None, None)

    def _wire(self, fitted: Fitted | None, first: int) -> Wired:
        if fitted is None:
            return super()._wire(fitted, first)
        if self._decoding == "viterbi":
            labels = fitted.viterbi(self._features)
            probs = np.eye(fitted.regimes)[labels]
        else:
            probs = fitted.smooth(self._features).hindsight
        told, online = _Script(first, np.ascontiguousarray(probs)), fitted.filter()
        planned = online.plan and partial(_planned, online.plan, online.params)
        parts = online.components and partial(_planned, online.components, online.params)
        script = Filter(_begin, _play, told, fitted.regimes, self._decoding, online.forecast, planned, parts)
        return wire(self.machine, self.history, fitted, script)


def _planned(of: Callable[[Any, int], Any], params: Any, _script: Any, horizon: int) -> Any:
    """Ask the model's own parameters, not the script's."""
    return of(params, horizon)


def decoded(machine: Machine, history: History, decoding: str, features: Floats) -> Result:
    """Run a machine that learns on Viterbi or smoothed probabilities: a measure of self-deception, not a backtest."""
    return _Hindsight(machine, history, decoding, features).run(stride=len(history))


def _decodings(whole: Result) -> dict[str, float]:
    """Return the Sharpe ratio under each decoding; a machine that fits no model has only the filtered one."""
    found = {"filtered": _sharpe(whole)}
    last = whole.fits[-1].fitted.family if whole.fits else None
    if last is not None and last.smooth is not None and last.decode is not None:
        for name in DECODINGS[1:]:
            run = decoded(whole.machine, whole.history, name, whole.features)
            found[name] = _sharpe(run)
    return found


def _sharpe(run: Result) -> float:
    taken = steps(run.ts, run.history.periods, run.history.by_day)
    return sharpe(simple_returns(run.equity[taken.rows]), taken.periods)
