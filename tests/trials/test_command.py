"""`barograph trials` as its users meet it: a table, JSON, and one line when they made a mistake."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import numpy as np
import pytest

from barograph.epoch import DAY
from barograph.trials.nouns import Study, Trial
from barograph.trials.registry import NAME, Registry
from tests.cli.test_cli import barograph

STUDY = Study("run", "calm", "1a2b", ("SPY",), first=1 * DAY, last=100 * DAY, digest="3c4d")
SUMS = np.ones((5, 128, 3))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Three runs of one asset, a sweep of five, and a run of another."""
    (tmp_path / "barograph.toml").touch()
    registry = Registry(tmp_path / NAME)
    for name, value in (("calm", 0.4), ("wild", 1.25), ("blank", float("nan"))):
        registry.append(Trial(STUDY._replace(name=name), value, SUMS[0]))
    values = [float("nan"), 0.9, 0.1, 0.3, 0.2]
    later = STUDY._replace(kind="sweep", name="grid", first=90 * DAY, last=200 * DAY)
    registry.append_many(later, [f"x={k}" for k in range(5)], SUMS, values)
    registry.append(Trial(STUDY._replace(symbols=("TLT",), first=300 * DAY, last=400 * DAY), 0.0, SUMS[0]))
    return tmp_path


def test_the_table_tells_counts_the_best_and_windows(project: Path) -> None:
    done = barograph("trials", project)
    assert done.returncode == 0, done.stderr
    told = [line.split() for line in done.stdout.splitlines()]
    assert told[1] == ["SPY", "4", "8", "8", "sharpe", "1.250", "wild", "1970-01-01", "..", "1970-07-19"]
    assert told[2] == ["TLT", "1", "1", "1", "sharpe", "0.000", "calm", "1970-10-27", "..", "1971-02-04"]
    assert str(project / NAME) in done.stdout


def test_json_tells_the_same_and_every_row(project: Path) -> None:
    Registry(project / NAME).note(2, "luck")
    told = json.loads(barograph("trials", project / NAME, "--list", "--json").stdout)
    assert [(one["tried"], one["overlapping"]) for one in told["symbols"]] == [(8, 8), (1, 1)]
    assert [row["notes"] for row in told["rows"]] == [[], ["luck"], [], [], []]
    assert told["bytes"] == (project / NAME).stat().st_size
    later = json.loads(barograph("trials", project, "--json", "--since", "2999-01-01").stdout)
    assert [(one["tried"], one["overlapping"]) for one in later["symbols"]] == [(8, 0), (1, 0)]


def test_the_rows_and_their_notes_are_listed(project: Path) -> None:
    done = barograph("trials", project, "--note", "2", "luck, I think")
    assert (done.returncode, done.stdout.split()) == (0, ["row", "6"])
    lines = barograph("trials", project, "--list").stdout.splitlines()
    assert lines[1].endswith("1970-01-01 .. 1970-04-10  N 1  sharpe 1.250  wild")
    assert lines[2].strip() == "luck, I think"
    assert "N 5" in lines[4]
    assert "note on row 2: luck, I think" in barograph("trials", project, "--row", "6").stdout


def test_the_trials_of_a_row_come_best_first(project: Path) -> None:
    told = json.loads(barograph("trials", project, "--row", "4", "--json").stdout)
    assert [one["name"] for one in told["trials"]] == ["x=1", "x=3", "x=4", "x=2", "x=0"]
    assert told["trials"][4]["value"] is None
    assert barograph("trials", project, "--row", "4").stdout.splitlines()[1].split() == ["0.900", "x=1"]


def test_verify_ends_with_nine_where_something_was_changed(project: Path) -> None:
    done = barograph("trials", project, "--verify")
    assert (done.returncode, done.stdout.split()[:4]) == (0, ["rows", "5", "tried", "9"])
    connection = sqlite3.connect(project / NAME)
    connection.executescript("drop trigger no_update; update trials set tried = 1 where sequence = 4")
    connection.close()
    done = barograph("trials", project, "--verify")
    assert (done.returncode, "row 4: it was changed after it was entered" in done.stdout) == (9, True)
    assert json.loads(barograph("trials", project, "--verify", "--json").stdout)["rows"] == 3


def test_prune_tells_what_went_and_leaves_the_counts(project: Path) -> None:
    before = json.loads(barograph("trials", project, "--json").stdout)["symbols"]
    done = json.loads(barograph("trials", project, "--prune", "2999-01-01", "--json").stdout)
    assert (done["gone"], done["kept"]) == (8, 1)
    assert json.loads(barograph("trials", project, "--json").stdout)["symbols"] == before
    assert barograph("trials", project, "--verify").returncode == 0


def test_a_config_leads_to_its_file(project: Path) -> None:
    text = 'name = "a"\n[data]\nuse = "a:b"\n[strategy]\nuse = "a:b"\n'
    (project / "plain.toml").write_text(text)
    (project / "named.toml").write_text(f'{text}[registry]\nstore = "mine.db"\n')
    (project / "none.toml").write_text(f"{text}[registry]\nstore = false\n")
    assert barograph("trials", project / "plain.toml").returncode == 0
    done = barograph("trials", project / "named.toml")
    assert (done.returncode, f"{project / 'mine.db'}: there is no registry" in done.stderr) == (9, True)
    done = barograph("trials", project / "none.toml")
    assert (done.returncode, "registry.store is false" in done.stderr) == (2, True)


MISTAKES = {
    "no such row": (["--row", "9"], 2, "there is no row 9"),
    "no such row to note": (["--note", "9", "what"], 2, "there is no row 9"),
    "no date": (["--prune", "soon"], 2, "'soon' is no date; wanted one like 2026-01-31"),
    "two wishes": (["--verify", "--row", "1"], 2, "--row and --verify: wanted one of them"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(project: Path, mistake: str) -> None:
    words, code, told = MISTAKES[mistake]
    done = barograph("trials", project, *words)
    assert (done.returncode, told in done.stderr, done.stderr.count("\n")) == (code, True, 1)
