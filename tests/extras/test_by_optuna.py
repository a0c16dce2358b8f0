"""`how = "optuna"`: for one seed the same points, whoever was killed in between; all of them count."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from barograph.config.schema import Span
from barograph.config.varied import Varied
from barograph.errors import ConfigError
from barograph.sweeps import run as running
from barograph.sweeps.backends import BATCH, search_over
from barograph.trials.registry import Registry
from tests.cli.test_cli import SMALL, barograph, users_folder
from tests.extras import wants

wants("optuna", "optuna")

SWEEP = """
[sweep]
how = "optuna"
points = 40
seed = 7
keys = { "strategy.threshold" = { from = 0.05, to = 0.95 }, "strategy.dwell" = { from = 1, to = 9 }, \
"execution.fee" = [0.0005, 0.001], "fit.window" = [60, 80] }
"""


def folder_with(tmp_path: Path, sweep: str = SWEEP) -> Path:
    folder = users_folder(tmp_path)
    (folder / "barograph.toml").touch()
    (folder / "swept.toml").write_text(SMALL + sweep, encoding="utf-8")
    return folder


def swept(folder: Path, *more: str) -> tuple[dict[str, Any], bytes]:
    ran = barograph("sweep", folder / "swept.toml", "--runs", folder / "runs", "--best", "1", "--json", *more)
    assert (ran.returncode, ran.stderr) == (0, "")
    told = json.loads(ran.stdout)
    return told, (Path(told["folder"]) / "points.parquet").read_bytes()


def test_it_finds_what_is_best_of_a_hill() -> None:
    """Thirty points of a search come nearer to the top than thirty draws do, on the mean of five seeds."""

    def farthest(sampler: str, seed: int) -> float:
        search = search_over({"a.x": Span(first=0.0, last=1.0), "a.y": Span(first=-5.0, last=5.0)}, seed, sampler)
        found: list[float] = []
        for _ in range(5):
            points = search.ask(12)
            found += [-((x - 0.7) ** 2) - (y / 5.0 - 0.2) ** 2 for x, y in points]
            search.tell(found[-12:])
        return max(found)

    tpe, draws = (np.mean([farthest(name, seed) for seed in range(5)]) for name in ("tpe", "random"))
    assert tpe > draws


@pytest.mark.parametrize("sampler", ["tpe", "random", "qmc"])
def test_values_lie_within_and_are_of_their_kind(sampler: str) -> None:
    keys = {"a.p": Span(first=0.9, last=0.1), "a.n": Span(first=2, last=64, scale="log"), "a.of": [[1], {"use": "x"}]}
    asked = []
    for _ in range(2):
        search = search_over(keys, 3, sampler)
        asked.append(search.ask(8))
        search.tell([None] * 4 + [0.1, 0.2, 0.3, 0.4])
        asked[-1] += search.ask(8)
    assert asked[0] == asked[1]
    for p, n, of in asked[0]:
        assert 0.1 <= p <= 0.9
        assert (type(n), 2 <= n <= 64) == (int, True)
        assert of in ([1], {"use": "x"})


@pytest.mark.usefixtures("outside_of_tests")
def test_a_search_is_a_sweep_and_every_point_counts(tmp_path: Path) -> None:
    folder = folder_with(tmp_path)
    told, table = swept(folder)
    assert told["counters"]["points"] == told["counters"]["runs"] == told["verdict"]["trials"] == 40
    # Two windows are looked at, whatever batch asked for them.
    assert told["counters"]["seen"] == 2
    assert sum(row.tried for row in Registry(folder / "trials.db").rows()) == 40
    points = pd.read_parquet(Path(told["folder"]) / "points.parquet")
    assert points["strategy.dwell"].dtype == np.int64
    assert told["best"][0]["point"] == int(points["sharpe"].idxmax())
    assert swept(folder)[1] == table
    assert swept(folder, "--set", "sweep.seed=8")[1] != table


def test_a_search_that_was_killed_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = folder_with(tmp_path)
    _, whole = swept(folder)
    one, ran = running._run_point, []

    class Killed(BaseException):
        pass

    def counted(plan: Any, lanes: Any, markets: Any, number: int, *more: Any) -> None:
        if len(ran) == BATCH + 5:
            ran.append(-1)
            raise Killed
        ran.append(number)
        one(plan, lanes, markets, number, *more)

    monkeypatch.setattr(running, "_run_point", counted)
    with pytest.raises(Killed):
        barograph("sweep", folder / "swept.toml", "--runs", folder / "runs", "--best", "1", "--json", "--threads", "1")
    told, table = swept(folder)
    assert told["counters"]["runs"] == 40 - BATCH - 5
    assert sorted(n for n in ran if n >= 0) == list(range(40))
    assert table == whole


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("--set", "sweep.sampler=gp"), "sweep.sampler is 'gp'"),
        (("--explain",), "a search asks for its points as it goes"),
        (("--set", "sweep.figure=sharp"), "no figure 'sharp'"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, words: tuple[str, ...], told: str) -> None:
    ran = barograph("sweep", folder_with(tmp_path) / "swept.toml", *words, "--runs", tmp_path / "bad")
    assert ran.returncode == 2
    assert told in ran.stderr


def test_points_must_be_told(tmp_path: Path) -> None:
    folder = folder_with(tmp_path, '\n[sweep]\nhow = "optuna"\nkeys = { "strategy.dwell" = [1, 2] }\n')
    with pytest.raises(ConfigError, match=r"sweep.points is missing; wanted how many points to search for"):
        Varied(folder / "swept.toml")
