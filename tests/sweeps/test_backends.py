"""One switch for who runs a sweep: what is missing is told with its cure, and what is sent away comes back the same."""

from __future__ import annotations

import importlib.util
import pickle
from pathlib import Path

import numpy as np
import pytest

import barograph as bg
from barograph.errors import ConfigError
from barograph.sweeps.backends import search_over
from barograph.sweeps.harvest import Harvest
from barograph.sweeps.outline import Outline, outlined
from barograph.sweeps.plan import Plan
from barograph.testing import some_bars
from barograph_strategies.fixed_weights import fixed_weights
from tests.cli.test_cli import barograph
from tests.sweeps.test_values import varied

KEYS = 'keys = { "strategy.threshold" = [0.4, 0.6], "fit.window" = [60, 80], "execution.fee" = [0.0, 0.001] }'
BARS = some_bars(100)


def make(weight: float) -> bg.Machine:
    return bg.Machine(strategy=fixed_weights([weight], "month"))


def test_a_backend_that_there_is_not_is_told() -> None:
    with pytest.raises(ConfigError, match=r"backend is 'dusk'; wanted one of compiled, vectorbt, dask; did you mean"):
        bg.sweep(make, {"weight": [0.5]}, BARS, backend="dusk")


@pytest.mark.parametrize(("name", "needs"), [("vectorbt", "vectorbt"), ("dask", "distributed"), ("optuna", "optuna")])
def test_an_extra_that_is_missing_is_told_with_its_cure(name: str, needs: str) -> None:
    if importlib.util.find_spec(needs) is not None:
        pytest.skip(f"the extra {name!r} is installed here")
    asked = {"optuna": lambda: search_over({"a.b": [1]}, 0, "tpe")}
    ask = asked.get(name, lambda: bg.sweep(make, {"weight": [0.5]}, BARS, backend=name))
    with pytest.raises(ConfigError, match=rf"needs {needs}, which is not installed; pip install '\.\[{name}\]'"):
        ask()
    if name == "vectorbt":
        with pytest.raises(ConfigError, match="vectorbt is not installed"):
            bg.scan(make(0.5), BARS).to_vectorbt()


def test_the_command_knows_the_switch(tmp_path: Path) -> None:
    folder = varied(tmp_path, KEYS).folder
    ran = barograph("sweep", folder / "swept.toml", "--backend", "dusk", "--runs", tmp_path / "runs")
    assert ran.returncode == 2
    assert "sweep.backend is 'dusk'" in ran.stderr


def test_a_config_travels_as_text_and_data(tmp_path: Path) -> None:
    here = varied(tmp_path, KEYS)
    list(here.points())
    sent = pickle.dumps(here)
    (tmp_path / "bars.csv").unlink()
    there = pickle.loads(sent)
    points = [there.point(number) for number in range(8)]
    assert [point.history.digest() for point in points] == [here.point(n).history.digest() for n in range(8)]
    one, other = Plan(here.points()), Plan(points)
    assert np.array_equal(one.rows, other.rows)
    assert all(np.array_equal(a.B, b.B, equal_nan=True) for a, b in zip(one.seen, other.seen, strict=True))


def test_an_outline_shares_what_a_plan_shares(tmp_path: Path) -> None:
    here = varied(tmp_path, KEYS)
    plan, outline = Plan(here.points()), Outline(here.points())
    assert np.array_equal(plan.rows[:, :2], outline.rows[:, :2])
    assert [plan.groups[g].seen for g in plan.rows[:, 2]] == [outline.groups[g].seen for g in outline.rows[:, 2]]
    assert (len(plan.deciders), len(plan.accounts)) == (len(outline.deciders), len(outline.accounts))
    with pytest.raises(ConfigError, match="2 looks at the bars have not come back"):
        _ = outline.seen
    for number in outline.wants():
        outline.know(number, pickle.loads(pickle.dumps(outlined(plan.seen[number]))))
    assert [len(seen.learned) for seen in outline.seen] == [len(seen.learned) for seen in plan.seen]
    assert [seen.history for seen in outline.seen] == [seen.history for seen in plan.seen]


def test_what_others_bring_home_is_taken_in(tmp_path: Path) -> None:
    part, whole = Harvest(2), Harvest(4, tmp_path)
    part.rows[:], part.sums[:], part.beyond[:] = 1.0, 2.0, 3.0
    part.finish(0, 9, 0)
    part.raised(1, ValueError("no such weight"))
    whole.take(np.array([3, 1]), pickle.loads(pickle.dumps(part)))
    again = Harvest(4, tmp_path)
    assert again.missing.tolist() == [0, 2]
    assert again.ended[3].tolist() == [0, 9]
    assert (again.rows[3] == 1.0).all()
    assert again.failed(1, str) == "ValueError: no such weight"
