"""`barograph sweep`: a folder with every point, the best run again, the verdict in words, and the registry."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from barograph.trials.registry import Registry
from tests.cli.test_cli import SMALL, barograph, users_folder

SWEEP = """
[sweep]
keys = { "strategy.threshold" = { from = 0.2, to = 0.8, points = 4 }, "execution.fee" = [0.0, 0.001] }
"""


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, object]]:
    folder = users_folder(tmp_path_factory.mktemp("swept"))
    (folder / "barograph.toml").touch()
    (folder / "swept.toml").write_text(SMALL + SWEEP, encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("barograph.trials.registry.in_a_test", lambda: False)
        ran = barograph("sweep", folder / "swept.toml", "--runs", folder / "runs", "--best", "2", "--json")
    assert (ran.returncode, ran.stderr) == (0, "")
    return folder, json.loads(ran.stdout)


def test_every_point_stands_in_the_folder(done: tuple[Path, dict[str, object]]) -> None:
    _, told = done
    out = Path(str(told["folder"]))
    points = pd.read_parquet(out / "points.parquet")
    assert points["strategy.threshold"].tolist() == [0.2, 0.2, 0.4, 0.4, 0.6, 0.6, 0.8, 0.8]
    assert points["failed"].tolist() == [""] * 8
    assert points["sharpe"].notna().all()
    kept = json.loads((out / "sweep.json").read_text(encoding="utf-8"))
    counted = {"points": 8, "seen": 1, "fits": 4, "strategies": 4, "terms": 2, "runs": 8, "columns": 0, "shadows": 0}
    assert kept["counters"] == counted
    page = (out / "report.html").read_text(encoding="utf-8")
    assert kept["verdict"]["words"][:40] in page
    assert "Two keys together" in page


def test_the_best_are_runs_like_any_other(done: tuple[Path, dict[str, object]]) -> None:
    folder, told = done
    best = told["best"]
    assert isinstance(best, list)
    points = pd.read_parquet(Path(str(told["folder"])) / "points.parquet")
    assert [one["point"] for one in best] == points["sharpe"].sort_values(ascending=False, kind="stable").index[
        :2
    ].tolist()
    own = json.loads((folder / "runs" / best[0]["folder"] / "metrics.json").read_text(encoding="utf-8"))
    assert own == best[0]["metrics"]
    wanted = [f"{key}={value}" for key, value in best[0]["keys"].items()]
    alone = barograph("run", folder / "small.toml", "--runs", folder / "other", "--json",
                      *(word for text in wanted for word in ("--set", text)))  # fmt: skip
    assert json.loads(alone.stdout)["metrics"] == own


def test_nothing_is_left_of_the_work(done: tuple[Path, dict[str, object]]) -> None:
    folder, _ = done
    assert not list((folder / "runs").glob(".*"))


def test_trials_are_entered_and_counted(done: tuple[Path, dict[str, object]]) -> None:
    folder, told = done
    rows = Registry(folder / "trials.db").rows()
    assert [(row.kind, row.tried) for row in rows] == [("sweep", 8)]
    verdict = told["verdict"]
    assert isinstance(verdict, dict)
    assert verdict["trials"] == 8


def test_explain_runs_nothing(done: tuple[Path, dict[str, object]]) -> None:
    folder, _ = done
    ran = barograph("sweep", folder / "swept.toml", "--runs", folder / "none", "--explain")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.startswith("8 points\nfeatures and model see the bars once, with 4 fits\n")
    assert not (folder / "none").exists()


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("small.toml",), "has no [sweep]"),
        (("swept.toml", "--set", "sweep.figure=sharp"), "no figure 'sharp'; wanted one of"),
        (("swept.toml", "--set", "sweep.keys={}"), "sweep.keys is {}"),
    ],
)
def test_mistakes_are_one_line(done: tuple[Path, dict[str, object]], words: tuple[str, ...], told: str) -> None:
    folder, _ = done
    ran = barograph("sweep", folder / words[0], *words[1:], "--runs", folder / "bad")
    assert ran.returncode != 0
    assert told in ran.stderr
    assert ran.stderr.count("\n") == 1 or "━" in ran.stderr
