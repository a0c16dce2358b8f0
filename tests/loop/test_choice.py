"""Walk-forward choice: it sees nothing later, and what is chosen is what its candidate would be, to the bit."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import barograph as bg
from barograph import features
from barograph.audit.lookahead import audit
from barograph.data.history import History
from barograph.loop.choosing.choice import Shadow, choose, picked
from barograph.loop.fit import falls, next_fall
from barograph.loop.live import Live
from barograph.loop.result import Result
from barograph.loop.run import learn, replay, scan
from barograph.loop.session import Session
from barograph.metrics.measure import measure
from barograph.testing import check_machine, coin, same, some_bars
from barograph_models.gaussian_hmm import gaussian_hmm
from tests.kit.machines import TERMS, explicit, guarded, lean, lean_in_python, learnable, started
from tests.test_parity import made_up, ruin


class Slow(NamedTuple):
    """What is remembered: the bars so far, and a slow mean of what was believed."""

    bars: int
    mean: float


@bg.kernel
def slowly(state, bars, belief, portfolio, params):
    """Follow a slow mean of the belief: what it wants hangs on every bar since its run began."""
    p = belief.probs[0] if belief.probs[0] == belief.probs[0] else 0.5
    mean = (1.0 - params) * state.mean + params * p
    weights = np.empty(bars.close.size)
    for a in range(weights.size):
        weights[a] = (mean if a % 2 == 0 else 0.7 - mean) / weights.size
    return Slow(state.bars + 1, mean), bg.Target(weights)


def slow(speed: float) -> bg.Strategy:
    return bg.strategy(slowly, params=speed, init=lambda _: Slow(0, 0.5))


TRADE = bg.Terms(leverage=1.5, **TERMS)
CHOSEN: dict[str, Any] = {"window": 15, "every": 7}
MODEL = gaussian_hmm(states=2, starts=2, seed=3)
FITS = [bg.Fit(window=40, every=25), bg.Fit(window=55, every=11)]


def _book(kind: str) -> bg.Machine:
    strategy = bg.strategy(guarded) if kind == "protected" else started(explicit)
    return bg.Machine(strategy=strategy, filter=coin(), terms=bg.Terms(resting=40, leverage=1.5, **TERMS))


def _seen(window: int) -> bg.Machine:
    several = [features.total_return(window), features.sma(window=window)]
    return bg.Machine(strategy=slow(0.3), features=several, filter=coin(), terms=TRADE)


def machines() -> dict[str, bg.Machine]:
    """Name machines that choose: strategies, features, filters and models, light and full books."""
    speeds, exposures = [0.05, 0.3, 0.9], [0.5, 2.0, -1.0]
    lagging = {"anchored": True, "figure": "total_return", "penalty": {"turnover": 1e-4}}
    return {
        "strategies": choose(lambda speed: bg.Machine(strategy=slow(speed), filter=coin(), terms=TRADE),
                             {"speed": speeds}, **CHOSEN),
        "python": choose(lambda step, x: bg.Machine(strategy=started(step, x), filter=coin(), terms=TRADE),
                         {"step": [lean, lean_in_python], "x": exposures[:2]}, **CHOSEN, **lagging),
        "features": choose(_seen, {"window": [2, 9]}, **CHOSEN),
        "orders": choose(_book, {"kind": ["protected", "orders"]}, **CHOSEN, figure="mean_return"),
        "learns": choose(lambda fit: bg.Machine(strategy=slow(0.2), model=MODEL, fit=fit, terms=TRADE), {"fit": FITS},
                         **CHOSEN, figure="sortino"),
        "by the week": choose(lambda fit: bg.Machine(strategy=slow(0.4), model=MODEL, fit=fit, start=90, terms=TRADE),
                              {"fit": FITS}, window=8, every="week", figure="total_return"),
    }  # fmt: skip


MACHINES = machines()
SEEDS = {"strategies": 2, "python": 4, "features": 0, "orders": 9}


def history_for(name: str) -> History:
    if name in ("learns", "by the week"):
        return learnable(130, seed=8)
    return some_bars(80, assets=3, seed=SEEDS[name], actions=name != "features")


def switched(run: Result) -> int:
    return sum(choice.changed for choice in run.choices)


@pytest.mark.parametrize("name", MACHINES)
def test_all_loops_agree_and_the_future_changes_nothing(name: str) -> None:
    history, machine = history_for(name), MACHINES[name]
    whole = scan(machine, history)
    assert switched(whole) > 1
    cut = whole.choices[len(whole.choices) // 2].bar
    check_machine(machine, history, (cut, cut + 1))
    assert replay(machine, history).choices == whole.choices


def in_pieces(machine: bg.Machine, history: History, every: int) -> list[Result]:
    """Run a machine so many bars at a time, each from the bytes of the world before."""
    first = scan(machine, history).first
    pieces = [scan(machine, history.head(first + every))]
    for end in range(first + 2 * every, len(history) + every, every):
        world = bg.World.from_bytes(pieces[-1].world.to_bytes(), "a world")
        pieces.append(scan(machine, history.head(min(end, len(history))), world=world))
    return pieces


@pytest.mark.parametrize(("name", "every"), [("strategies", 1), ("orders", 5), ("learns", 6), ("by the week", 9)])
def test_resumed_at_every_so_many_bars_it_goes_on_to_the_same_bits(name: str, every: int) -> None:
    whole, pieces = scan(MACHINES[name], history_for(name)), in_pieces(MACHINES[name], history_for(name), every)
    assert same(whole, pieces)
    told = [choice for piece in pieces for choice in piece.choices]
    assert _bits(told) == _bits(whole.choices)
    fits = [(fit.bar, fit.asked, fit.fitted.digest) for piece in pieces for fit in piece.fits]
    assert fits == [(fit.bar, fit.asked, fit.fitted.digest) for fit in whole.fits]
    assert pieces[-1].world.to_bytes() == whole.world.to_bytes()


SHORT = choose(lambda speed: bg.Machine(strategy=slow(speed), filter=coin(), terms=TRADE), {"speed": [0.05, 0.3, 0.9]},
               window=3, every=2, figure="total_return")  # fmt: skip


@given(history=made_up(), every=st.integers(1, 5))
@settings(max_examples=max(15, settings.default.max_examples // 10))
def test_all_loops_agree_on_any_bars(history: History, every: int) -> None:
    if len(history) < 7:
        return
    ends = [ruin(loop, SHORT, history) for loop in (scan, replay)]
    assert ends[0] == ends[1]
    if not ends[0]:
        whole, pieces = scan(SHORT, history), in_pieces(SHORT, history, every)
        assert same(whole, replay(SHORT, history))
        assert same(whole, pieces)
        assert _bits([choice for piece in pieces for choice in piece.choices]) == _bits(whole.choices)


def _bits(choices: Any) -> list[Any]:
    return [(c.bar, c.candidate, c.changed, np.array([c.scores, c.figures]).tobytes()) for c in choices]


@pytest.mark.parametrize("name", ["strategies", "learns"])
def test_live_is_the_same_bar_for_bar(name: str) -> None:
    history, machine = history_for(name), MACHINES[name]
    whole = scan(machine, history)
    live = Live(machine, history.head(whole.first + 1), whole.first)
    made, rows = [live.choices.pop()], [live.step().equity]
    for t in range(whole.first + 1, len(history)):
        if live.choice_due:
            made.append(live.choose()[0])
        live.append(history.slice(t, t + 1))
        rows.append(live.step().equity)
    assert np.array(rows).tobytes() == whole.arrays.table.tobytes()
    assert _bits(made) == _bits(whole.choices)
    assert live.world().to_bytes() == whole.world.to_bytes()


def _alone(machine: bg.Machine, number: int, history: History) -> Result:
    assert machine.choose is not None
    return scan(machine.choose.candidates[number], history)


def by_hand(machine: bg.Machine, history: History, bar: int) -> list[tuple[float, float]]:
    """Score the candidates at a close from what `scan` leaves of the bars so far, cut to the window."""
    plan = machine.choose
    assert plan is not None
    runs = [_alone(machine, n, history.head(bar + 1)) for n in range(len(plan.candidates))]
    since = max(run.first for run in runs) if plan.anchored else bar - plan.window
    found = []
    for run in runs:
        begins = run.tables["equity"]["ts"].iloc[since - run.first]
        later = {name: table[table["ts"] >= begins] for name, table in run.tables.items() if name != "trades"}
        if since > run.first:
            later["fills"] = later["fills"][later["fills"]["ts"] > begins]
        told = measure(later, history.periods, intervals=False)
        figure = told[plan.figure]
        less = math.fsum(weight * (told[name] or 0.0) for name, weight in plan.penalty.items())
        found.append((math.nan, math.nan) if figure is None else (figure - less, figure))
    return found


def check_by_hand(machine: bg.Machine, history: History) -> None:
    """Every score is what a person computes from runs of the candidates; every choice the highest of them."""
    before = -1
    for choice in scan(machine, history).choices[::2]:
        rows = by_hand(machine, history, choice.bar)
        assert np.array(rows).T.tobytes() == np.array([choice.scores, choice.figures]).tobytes(), choice.bar
        best = max(score for score, _ in rows)
        assert choice.scores[choice.candidate] == best
        before = choice.candidate
    assert before >= 0


@pytest.mark.parametrize("name", ["strategies", "python", "orders", "learns"])
def test_every_score_can_be_computed_by_hand(name: str) -> None:
    check_by_hand(MACHINES[name], history_for(name))


def check_chosen(machine: bg.Machine, history: History) -> None:
    """Between two choices features, beliefs and memory are those of the chosen candidate run alone, to the bit."""
    whole = scan(machine, history)
    ends = [choice.bar + 1 for choice in whole.choices[1:]] + [len(history)]
    for choice, end in zip(whole.choices, ends, strict=True):
        alone, rows = _alone(machine, choice.candidate, history.head(end)), slice(choice.bar + 1, end)
        assert whole.arrays.features[rows].tobytes() == alone.arrays.features[rows].tobytes(), choice
        since = slice(choice.bar + 1 - whole.first, end - whole.first)
        own = slice(choice.bar + 1 - alone.first, end - alone.first)
        assert whole.arrays.beliefs[since].tobytes() == alone.arrays.beliefs[own].tobytes(), choice
        now = scan(machine, history.head(end)).world
        assert now.strategy == alone.world.strategy, choice
        told = [now.features, now.filter], [alone.world.features, alone.world.filter]
        assert repr(told[0]) == repr(told[1]), choice
        assert getattr(now.fitted, "digest", None) == getattr(alone.world.fitted, "digest", None)
    assert (
        whole.arrays.features[: whole.first].tobytes()
        == _alone(machine, whole.choices[0].candidate, history).arrays.features[: whole.first].tobytes()
    )


@pytest.mark.parametrize("name", ["strategies", "features", "learns", "by the week"])
def test_between_choices_it_is_the_chosen_candidate(name: str) -> None:
    check_chosen(MACHINES[name], history_for(name))


@bg.kernel
def scripted(state, bars, belief, portfolio, params):
    return state + 1, bg.Target(params[state])


@bg.kernel
def holding(state, bars, belief, portfolio, params):
    return state, bg.Target(params)


def test_its_account_is_that_of_somebody_who_is_told_what_to_want() -> None:
    """One account through all blocks: the orders of a script of the chosen weights, and its bits."""
    history, weights = some_bars(150, seed=5), [0.0, 0.4, 1.2]
    machine = choose(lambda w: bg.Machine(strategy=bg.strategy(holding, w), terms=TRADE), {"w": weights}, window=20,
                     every=9, figure="total_return")  # fmt: skip
    run = scan(machine, history)
    wanted = np.zeros(len(history))
    for choice in run.choices:
        wanted[choice.bar + 1 :] = weights[choice.candidate]
    plan = bg.strategy(scripted, wanted, lambda _: 0)
    other = scan(bg.Machine(strategy=plan, terms=TRADE, start=run.first), history)
    assert switched(run) > 3
    assert other.arrays.table.tobytes() == run.arrays.table.tobytes()
    assert other.arrays.events.tobytes() == run.arrays.events.tobytes()


def test_equals_keep_the_one_in_use_and_nothing_told_changes_nothing() -> None:
    assert picked([2.0, 2.0, 1.0], 1, 1) == 1
    assert picked([2.0, 2.0, 1.0], 2, 2) == 0
    assert picked([math.nan, math.nan], -1, 0) == 0
    idle = choose(lambda w: bg.Machine(strategy=bg.strategy(holding, 0.0 * w)), {"w": [1.0, 2.0]}, window=20, every=9)
    run = scan(idle, some_bars(90))
    assert {choice.candidate for choice in run.choices} == {0}
    assert all(math.isnan(score) for choice in run.choices for score in choice.scores)


def test_a_candidate_that_is_ruined_is_out_of_the_race_and_nothing_else() -> None:
    history = some_bars(120, seed=9)
    terms = bg.Terms(leverage=400.0, maintenance=0.0)
    machine = choose(lambda w: bg.Machine(strategy=bg.strategy(holding, w), terms=terms), {"w": [-90.0, 0.5, 0.2]},
                     window=30, every=10)  # fmt: skip
    with pytest.raises(bg.StrategyError, match="ruined the account"):
        _alone(machine, 0, history)
    run = scan(machine, history)
    assert math.isnan(run.choices[-1].scores[0])
    assert run.choices[-1].candidate > 0


MISTAKES = [
    (lambda w: bg.Machine(strategy=slow(w), terms=bg.Terms(fee=w)), r"w=0.2 changes terms; all candidates share one"),
    (lambda w: bg.Machine(strategy=slow(w), start=int(10 * w)), "w=0.2 changes start"),
    (lambda w: bg.Machine(strategy=slow(w), filter=coin() if w > 0.15 else None), "w=0.2 has another regimes than w"),
    (lambda w: bg.Machine(strategy=slow(w), filter=coin(), features=[features.sma(3)] * round(10 * w)),
     "w=0.2 has another number of features than w=0.1: 2, wanted 1"),
    (lambda w: bg.Machine(strategy=slow(w) if w < 0.15 else bg.strategy(guarded), filter=coin()),
     "has another kind of book"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "told"), MISTAKES)
def test_candidates_that_cannot_share_an_account_are_refused(make: Any, told: str) -> None:
    with pytest.raises(bg.ConfigError, match=told):
        scan(choose(make, {"w": [0.1, 0.2]}, window=20), some_bars(60))


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"window": 1}, "choose.window is 1; wanted at least 2"),
        ({"every": "quater"}, "choose.every is 'quater'.*did you mean 'quarter'"),
        ({"figure": "sharp"}, "choose.figure: no figure 'sharp'.*'sharpe'"),
        ({"penalty": {"turn": 1.0}}, "choose.penalty: no figure 'turn'"),
        ({"keys": {"w": []}}, "choose: w has no values"),
    ],
)
def test_what_nobody_can_choose_by_is_refused(changed: dict[str, Any], told: str) -> None:
    with pytest.raises(bg.ConfigError, match=told):
        choose(lambda w: bg.Machine(strategy=slow(w)), **{"keys": {"w": [0.1]}, "window": 20, **changed})


def test_too_few_bars_and_too_early_a_start_are_told() -> None:
    def made(start: int | None = None, window: int = 40) -> bg.Machine:
        return choose(lambda w: bg.Machine(strategy=slow(w), filter=coin(), start=start), {"w": [0.1]}, window=window)

    with pytest.raises(bg.ConfigError, match=r"wants 40 returns of every candidate.* has 29 in 30 bars"):
        scan(made(), some_bars(30))
    with pytest.raises(bg.ConfigError, match=r"start is .*, but choose.window = 40 returns are first complete for"):
        scan(made(start=40), some_bars(90))
    assert scan(made(start=41), some_bars(90)).first == scan(made(), some_bars(90)).first == 41


def test_a_world_of_one_that_chooses_is_no_world_of_one_that_does_not() -> None:
    history, machine = history_for("strategies"), MACHINES["strategies"]
    whole = scan(machine, history)
    with pytest.raises(bg.DataError, match="one of them chooses"):
        scan(machine.choose.candidates[0], history, world=whole.world)  # type: ignore[union-attr]
    last = max(choice.candidate for choice in whole.choices)
    fewer = choose(lambda speed: bg.Machine(strategy=slow(speed), filter=coin(), terms=TRADE), {"speed": [0.05]},
                   **CHOSEN)  # fmt: skip
    world = whole.world.__class__(**{**whole.world.__dict__, "in_use": whole.world.in_use._replace(candidate=last)})  # type: ignore[union-attr]
    with pytest.raises(bg.DataError, match=f"uses candidate {last}, this machine has 1"):
        scan(fewer, history, world=world)


def test_one_fit_of_several_models_is_refused() -> None:
    with pytest.raises(bg.ConfigError, match="the machine chooses among several models"):
        learn(MACHINES["learns"], history_for("learns"))


# What is planted must be caught.


def test_a_shadow_that_sees_one_bar_ahead_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    reach, span = Shadow.reach, Shadow.span
    monkeypatch.setattr(
        Shadow, "reach", lambda self, history, until: reach(self, history, min(until + 1, len(history)))
    )
    ahead = lambda self, first, last: span(self, first, min(last + 1, len(self.session.history) - 1))  # noqa: E731
    monkeypatch.setattr(Shadow, "span", ahead)
    history, machine = history_for("strategies"), MACHINES["strategies"]
    with pytest.raises(AssertionError):
        check_by_hand(machine, history)
    found = audit(machine, history, cuts=4)
    assert "choices" in {leak.answer for leak in found.leaks}


def test_a_memory_that_is_one_bar_stale_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    adopt = Session._adopt

    def stale(self: Session, other: Session, bar: int) -> None:
        late = Session(other.machine, other.history.head(bar), None, None)
        late.go(bar, bar)
        adopt(self, other, bar)
        self.memory.write(2, late.memory.read(2))

    monkeypatch.setattr(Session, "_adopt", stale)
    with pytest.raises(AssertionError):
        check_chosen(MACHINES["strategies"], history_for("strategies"))


def test_fits_by_the_schedule_of_the_account_are_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    """They fall due as the shadow's do."""
    adopt = Session._adopt

    def ours(self: Session, other: Session, bar: int) -> None:
        adopt(self, other, bar)
        self.origin = self.start

    monkeypatch.setattr(Session, "_adopt", ours)
    with pytest.raises(AssertionError):
        check_chosen(MACHINES["learns"], history_for("learns"))


def test_a_choice_that_is_clean_is_audited_as_clean() -> None:
    found = audit(MACHINES["learns"], history_for("learns"), cuts=3)
    assert found.clean
    assert set(found.changes.values()) == {0.0}
    assert set(found.sharpe) == {"filtered"}
    assert all(one.why == "" for one in found.unvouched)


@pytest.mark.parametrize("every", [1, 3, 50, "week", "month", "quarter", "year", "never"])
def test_the_next_close_it_falls_on_is_the_first_of_all(every: int | str) -> None:
    ts = some_bars(400, seed=4).ts
    for first, last, start in [(1, 400, 1), (5, 400, 40), (39, 60, 40), (40, 60, 40), (77, 399, 40), (90, 90, 40)]:
        wanted = next((bar for bar in range(first, last) if falls(every, bar, start, ts)), last)
        assert next_fall(every, first, last, start, ts) == wanted, (first, last, start)
