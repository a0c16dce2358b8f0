"""What [sweep] says becomes points; what it cannot mean is told with its key."""

from __future__ import annotations

from pathlib import Path

import pytest

from barograph.config.schema import Span, SweepPlan
from barograph.config.varied import Varied, values_of
from barograph.errors import BarographError, ConfigError
from tests.cli.test_cli import SMALL, users_folder


def varied(tmp_path: Path, sweep: str, *overrides: str) -> Varied:
    folder = users_folder(tmp_path)
    (folder / "swept.toml").write_text(f"{SMALL}\n[sweep]\n{sweep}\n", encoding="utf-8")
    return Varied(folder / "swept.toml", overrides)


def test_a_span_is_written_as_people_write_it() -> None:
    plan = SweepPlan(keys={"a.b": Span(first=0.3, last=0.9, points=61)})
    values = [value for (value,) in values_of(plan)]
    assert (len(values), values[0], values[1], values[30], values[-1]) == (61, 0.3, 0.31, 0.6, 0.9)
    whole = SweepPlan(keys={"a.b": Span(first=5, last=20, points=4)})
    assert values_of(whole) == [(5,), (10,), (15,), (20,)]
    assert [type(v) for (v,) in values_of(whole)] == [int] * 4
    logs = SweepPlan(keys={"a.b": Span(first=0.001, last=1.0, points=4, scale="log")})
    assert values_of(logs) == [(0.001,), (0.01,), (0.1,), (1.0,)]


def test_spans_may_fall_and_logs_of_whole_numbers_are_whole() -> None:
    windows = SweepPlan(keys={"a.b": Span(first=5, last=320, points=7, scale="log")})
    assert values_of(windows) == [(5,), (10,), (20,), (40,), (80,), (160,), (320,)]
    falling = {
        "a.x": Span(first=0.9, last=0.1),
        "a.y": Span(first=9, last=1),
        "a.z": Span(first=9, last=1, scale="log"),
    }
    for x, y, z in values_of(SweepPlan(how="random", points=50, keys=falling)):
        assert 0.1 <= x <= 0.9
        assert 1 <= y <= 9
        assert (type(y), type(z)) == (int, int)


def test_draws_are_those_of_the_seed_and_lie_within() -> None:
    keys = {"a.window": Span(first=5, last=50), "a.fee": Span(first=1e-4, last=1e-2, scale="log")}
    plan = SweepPlan(how="random", points=200, seed=3, keys={**keys, "a.kind": ["x", "y"]})
    drawn = values_of(plan)
    assert drawn == values_of(plan) != values_of(plan.model_copy(update={"seed": 4}))
    windows, fees, kinds = zip(*drawn, strict=True)
    assert {type(w) for w in windows} == {int}
    assert (min(windows), max(windows)) == (5, 50)
    assert 1e-4 <= min(fees) < 3e-4
    assert 3e-3 < max(fees) <= 1e-2
    assert set(kinds) == {"x", "y"}


def test_points_share_what_their_values_share(tmp_path: Path) -> None:
    keys = 'keys = { "strategy.threshold" = [0.4, 0.6], "execution.fee" = [0.0, 0.001], "fit.window" = [60, 80] }'
    found = varied(tmp_path, keys)
    points = list(found.points())
    assert len(points) == 8
    assert len({id(point.machine) for point in points}) == 2
    assert len({id(point.strategy) for point in points}) == 2
    assert len({id(point.terms) for point in points}) == 2
    assert len({id(point.history) for point in points}) == 1
    assert found.told(3) == "strategy.threshold=0.4, execution.fee=0.001, fit.window=80"
    config = found.config_at(3)
    assert (config.execution.fee, config.fit and config.fit.window) == (0.001, 80)


def test_values_that_look_alike_are_told_apart(tmp_path: Path) -> None:
    found = varied(tmp_path, 'keys = { "strategy.calm" = [0, [0], [0]], "execution.fixed_fee" = [1, 1.0] }')
    points = list(found.points())
    assert len({id(point.strategy) for point in points}) == 2
    assert len({id(point.terms) for point in points}) == 2
    assert len({point.keys for point in points}) == 4


@pytest.mark.parametrize(
    ("sweep", "told"),
    [
        ('keys = { "strategi.threshold" = [1] }', "'strategi.threshold' is no key of a part of this config; did you"),
        ('keys = { "strategy.threshold" = [] }', "sweep.keys.strategy.threshold is []; wanted at least one value"),
        ('keys = { "strategy.threshold" = { from = 0, to = 1, points = 3, scale = "log" } }', "a log scale wants > 0"),
        ('keys = { "strategy.threshold" = [0.5] }\npoints = 3', "sweep.points is 3, but a grid runs all"),
        ('how = "random"\nkeys = { "strategy.threshold" = [0.5] }', "sweep.points is missing"),
        ('keys = { "strategy.threshold" = { from = 0, to = 1 } }', "has no points; wanted how many"),
        ('keys = { "strategy.threshold" = { from = 0, too = 1 } }', "wanted a list of values, or { from = 0.3"),
        ('keys = { "strategy.threshold" = 0.5 }', "wanted a list of values, or { from = 0.3"),
        ("keys = {}", "sweep.keys is {}"),
        ('how = "all"\nkeys = { "strategy.threshold" = [0.5] }', "sweep.how is 'all'"),
        ('keys = { "name" = ["a"] }', "'name' is no key of a part of this config"),
    ],
)
def test_what_cannot_be_meant_is_told(tmp_path: Path, sweep: str, told: str) -> None:
    with pytest.raises(ConfigError) as error:
        varied(tmp_path, sweep)
    assert told in str(error.value)
    assert "swept.toml" in str(error.value)


@pytest.mark.parametrize(
    ("sweep", "told"),
    [
        ('keys = { "strategy.treshold" = [0.5] }', "unknown key 'strategy.treshold'"),
        ('keys = { "fit.window.x" = [0.5] }', "is inside a value, not a table"),
        ('keys = { "strategy.threshold" = [0.5, "high"] }', "(at strategy.threshold = 'high' of the sweep)"),
        ('keys = { "execution.fee" = [0.0, 5.0] }', "(at execution.fee = 5.0 of the sweep)"),
        ('keys = { "fit.window" = [60, 1] }', "(at fit.window = 1 of the sweep)"),
    ],
)
def test_a_value_that_no_part_takes_is_told_with_its_point(tmp_path: Path, sweep: str, told: str) -> None:
    with pytest.raises(BarographError) as error:
        list(varied(tmp_path, sweep).points())
    assert told in str(error.value)


def test_without_a_sweep_there_is_nothing_to_do(tmp_path: Path) -> None:
    folder = users_folder(tmp_path)
    with pytest.raises(ConfigError, match=r"small.toml: has no \[sweep\]"):
        Varied(folder / "small.toml")
