"""The audit: does any answer change when the future does?

The machine is run on the whole history, then again and again with the history cut after a bar, and with every price
after that bar changed. Features, beliefs, fits, decisions, fills, all other events (orders that end, margin, guards,
corporate actions) and equity up to the cut must not differ in one bit. That speaks of what came through the bars. What
came another way is told where it can be seen: tables that parts hold (`holdings`), files (`opened`), what changes when
the files themselves are cut (`source`), a strategy that is worth nothing a bar later (`lags`).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from barograph.audit.holdings import held
from barograph.audit.lags import fresh_assets, lag_curve, sharpe_of, stands_out
from barograph.audit.opened import Opened, watching
from barograph.audit.source import Again
from barograph.audit.vouching import KEPT, Unvouched, files, resting, unvouched
from barograph.data.history import FIELDS, History
from barograph.errors import BarographError
from barograph.execution.events import BAR, BORN, EVENT, EVENTS, EXPIRED, FILLED, PARTIAL
from barograph.jit.kernel import kernel
from barograph.jit.views import frozen
from barograph.loop.columns import tables_of
from barograph.loop.machine import Machine
from barograph.loop.result import Result
from barograph.loop.run import scan
from barograph.loop.session import Session
from barograph.loop.wiring import Wired, believed_about, wire
from barograph.regimes.family import by_belief
from barograph.types import Belief, Filter, Floats

if TYPE_CHECKING:
    from barograph.regimes.fitted import Fitted

__all__ = ["ANSWERS", "Answers", "Audit", "Leak", "answers", "audit", "columns", "decoded", "largest_changes",
           "perturbed"]  # fmt: skip

ANSWERS: Final = ("features", "probabilities", "fits", "choices", "decisions", "fills", "events", "equity")
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


Made = Sequence[tuple[int, tuple[Any, ...]]]
"""What was made at which closes, as numbers."""


class Answers(NamedTuple):
    """What a run answered, without the machine that did: it goes from one process to another."""

    first: int
    features: Floats
    beliefs: Floats
    events: Floats
    table: Floats
    weights: Floats
    fits: Made
    choices: Made


@dataclass(frozen=True)
class Audit:
    """What the audit found; `changes` holds the largest change of each kind of answer, exactly 0 when it is causal.

    `unvouched` is what it could not look into; `again` what became of the rerun on a source that was cut, or None, and
    `rests` what its parts then held otherwise.
    `sharpe` is the strategy's on filtered, Viterbi and smoothed probabilities: the second and third have seen the
    future, and the distance between them and the first is what a study that decodes the whole sample sells itself.
    `lags` is its Sharpe ratio when each decision comes so many bars late. Where that curve `stands_out`, `falls` holds
    the strategy's name, and those of the observed assets that it is worth little without the last bar of.
    """

    cuts: tuple[int, ...]
    changes: dict[str, float]
    leaks: tuple[Leak, ...]
    unvouched: tuple[Unvouched, ...]
    rests: tuple[Unvouched, ...]
    again: Again | None
    fits: int
    switched: int
    unconvincing: int
    sharpe: dict[str, float]
    lags: dict[int, float]
    falls: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing before any cut changed: it speaks of what the cuts could change, and of nothing else."""
        return not self.leaks


def audit(
    machine: Machine,
    history: History,
    cuts: int = 8,
    seed: int = 0,
    progress: Callable[[int, int], None] | None = None,
    opened: Sequence[Opened] = (),
    again: Callable[[int], Again] | None = None,
) -> Audit:
    """Rerun the machine with its history cut, and its future perturbed, at `cuts` random bars and as many fits.

    The cuts at fits, and at choices, matter: a training window that reaches one bar too far shows nowhere else.
    `opened` are the files that were read when the machine was made; `again` runs it in a fresh process whose files end
    at the close of a bar.
    """
    tell = progress or (lambda *_: None)
    whole, told = _looked(machine, history, opened)
    rows = _cuts(whole, cuts, seed)
    leaks = _reruns(whole, rows, seed, tell)
    found, rests = _again(whole, rows, again, leaks)
    curve = lag_curve(whole)
    falls = stands_out(curve, (len(whole.arrays.ts) - 1) / history.periods)
    tell(len(rows) + 1, len(rows) + 1)
    matches = [fit.match for fit in whole.fits if fit.match is not None]
    return Audit(
        cuts=tuple(rows),
        changes=_largest(leaks),
        leaks=tuple(leaks),
        unvouched=tuple(told),
        rests=tuple(one for one in rests if one._replace(why=KEPT) not in told),
        again=found,
        fits=len(whole.fits),
        switched=sum(list(m.permutation) != sorted(m.permutation) for m in matches),
        unconvincing=sum(not m.convincing for m in matches),
        sharpe=_decodings(whole),
        lags=curve,
        falls=(f"strategy {machine.strategy.name}", *fresh_assets(whole)) if falls else (),
    )


def _looked(machine: Machine, history: History, opened: Sequence[Opened]) -> tuple[Result, list[Unvouched]]:
    """Run the machine once, and return what it holds and reads that nobody can vouch for."""
    before = held(machine, len(history.symbols))
    with watching() as during:
        whole = scan(machine, history)
    after = held(machine, len(history.symbols))
    read = files(opened, after, "before the first bar") + files(during, after, "while it ran")
    return whole, unvouched(before, after) + read


def _reruns(whole: Result, rows: Sequence[int], seed: int, tell: Callable[[int, int], None]) -> list[Leak]:
    """Return what changes up to each cut when only the bars after it do."""
    leaks: list[Leak] = []
    for n, cut in enumerate(rows):
        for how, other in _futures(whole.machine, whole.history, cut, seed + n):
            leaks += _leaks(largest_changes(whole, other, cut), cut, whole.history, how)
        tell(n + 1, len(rows) + 1)
    return leaks


def _largest(leaks: Sequence[Leak]) -> dict[str, float]:
    changes = dict.fromkeys(ANSWERS, 0.0)
    for leak in leaks:
        changes[leak.answer] = max(changes.get(leak.answer, 0.0), leak.change)
    return changes


def _leaks(changes: dict[str, float], cut: int, history: History, how: str) -> Iterator[Leak]:
    for answer, change in changes.items():
        if change > 0.0:
            yield Leak(cut, history.when(cut), how, answer, change)


def _again(
    whole: Result, rows: Sequence[int], again: Callable[[int], Again] | None, leaks: list[Leak]
) -> tuple[Again | None, list[Unvouched]]:
    """Rerun at the middle cut on a cut source; add to the leaks, and return what parts hold otherwise then."""
    if again is None:
        return None, []
    cut = rows[len(rows) // 2]
    found = again(cut)
    if found.problem:
        return found, []
    history = whole.history
    pairs = zip(columns(history), found.bars, strict=True)
    bars = max(_change(mine[: cut + 1], theirs) for mine, theirs in pairs)
    moved = {"bars": bars} | largest_changes(whole, found.answers, cut)
    leaks += _leaks(moved, cut, history, "cut at its source")
    mine = held(whole.machine, len(history.symbols), cut + 1)
    return found, resting(mine.objects, found.objects)


def columns(history: History) -> tuple[Floats, ...]:
    """Return the prices and volumes of a history."""
    return tuple(getattr(history, name) for name in FIELDS)


def answers(run: Result) -> Answers:
    """Return what a run answered."""
    fits = tuple((fit.bar, tuple(fit.fitted.params)) for fit in run.fits)
    choices = tuple((one.bar, (one.candidate, one.scores, one.figures)) for one in run.choices)
    of = run.arrays
    return Answers(run.first, of.features, of.beliefs, of.events, of.table, of.weights, fits, choices)


def _cuts(whole: Result, cuts: int, seed: int) -> list[int]:
    rng = np.random.default_rng(seed)
    first, last = whole.first + 1, len(whole.history) - 2
    if last < first:
        raise BarographError(f"the audit needs bars after the first decision; the history has {len(whole.history)}")
    anywhere = rng.integers(first, last + 1, size=cuts).tolist()
    fits, choices = ([one.bar for one in made[1:] if one.bar <= last] for made in (whole.fits, whole.choices))
    chosen = [rng.choice(of, size=min(cuts, len(of)), replace=False).tolist() for of in (fits, choices) if of]
    return sorted({*anywhere, *itertools.chain(*chosen)})


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


def largest_changes(one: Result | Answers, other: Result | Answers, cut: int) -> dict[str, float]:
    """Return the largest change of each kind of answer up to and including bar `cut`; NaN against NaN is no change."""
    one, other = (run if isinstance(run, Answers) else answers(run) for run in (one, other))
    n = cut - one.first + 1
    mine, theirs = _events(one, cut), _events(other, cut)
    return {
        "features": _change(one.features[: cut + 1], other.features[: cut + 1]),
        "probabilities": _change(one.beliefs[:n], other.beliefs[:n]),
        "fits": _made(one.fits, other.fits, cut),
        "choices": _made(one.choices, other.choices, cut),
        **{name: _change(_of(mine, chosen), _of(theirs, chosen)) for name, chosen in KINDS_OF_EVENTS.items()},
        "equity": max(_change(one.table[:n], other.table[:n]), _change(one.weights[:n], other.weights[:n])),
    }


def _events(run: Answers, cut: int) -> Floats:
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


def _made(mine: Made, others: Made, cut: int) -> float:
    """Return the largest change of what was made at closes up to the cut: fits, or choices."""
    theirs = dict(others)
    # What is made at the last bar of a shortened history has nothing left to decide, and is not made.
    pairs = [(own, theirs[bar]) for bar, own in mine if bar <= cut and bar in theirs]
    changes = [
        _change(np.atleast_1d(a), np.atleast_1d(b)) for own, their in pairs for a, b in zip(own, their, strict=True)
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
        whose = believed_about(self.machine, self.history)
        tables = tables_of(self.machine, self.history, self._features)
        alone = [fitted.of_asset(symbol) for symbol in whose] or [fitted]
        scripts = [self._script(one, X, first) for one, X in zip(alone, tables, strict=True)]
        return wire(self.machine, self.history, fitted, scripts)

    def _script(self, fitted: Fitted, X: Floats, first: int) -> Filter:
        if self._decoding == "viterbi":
            labels = fitted.viterbi(X)
            probs = np.eye(fitted.regimes)[labels]
        else:
            probs = fitted.smooth(X).hindsight
        told, online = _Script(first, np.ascontiguousarray(probs)), fitted.filter()
        planned = online.plan and partial(_planned, online.plan, online.params)
        parts = online.components and partial(_planned, online.components, online.params)
        into = online.never_left and partial(_never_left, online.never_left, online.params)
        return Filter(_begin, _play, told, fitted.regimes, self._decoding, online.forecast, planned, parts, into)


def _planned(of: Callable[[Any, int], Any], params: Any, script: Any, horizon: int) -> Any:
    """Ask the model's own parameters, not the script's, unless they were asked for already."""
    return of(params if isinstance(script, _Script) else script, horizon)


def _never_left(of: Callable[[Any, Any], Any], params: Any, _script: Any, regimes: Any) -> Any:
    return of(params, regimes)


def decoded(machine: Machine, history: History, decoding: str, features: Floats) -> Result:
    """Run a machine that learns on Viterbi or smoothed probabilities: a measure of self-deception, not a backtest."""
    return _Hindsight(machine, history, decoding, features).run(stride=len(history))


def _decodings(whole: Result) -> dict[str, float]:
    """Return the Sharpe ratio under each decoding; without a model that learns, or with several, the filtered one."""
    found = {"filtered": sharpe_of(whole)}
    last = whole.fits[-1].fitted.family if whole.fits and whole.machine.choose is None else None
    # A model that forecasts from its filter's state has none in hindsight: a rule that reads forecasts is not run so.
    blind = last is not None and bool(whole.machine.strategy.horizons) and not by_belief(last)
    if last is not None and last.smooth is not None and last.decode is not None and not blind:
        for name in DECODINGS[1:]:
            run = decoded(whole.machine, whole.history, name, whole.arrays.features)
            found[name] = sharpe_of(run)
    return found
