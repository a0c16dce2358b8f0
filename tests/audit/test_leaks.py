"""The audit on fifteen planted leaks, and on machines that have none: each leak by its own part, object and line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from barograph.audit.source import Again
from tests.audit.leaks import CLEAN, LEAKS, PARQUET_SOURCE, TABLE, VARIANTS, Leak, line_of, planted
from tests.cli.test_cli import CONFIGS, barograph

PROMISE = "nothing that came through the bars leaked; "


@pytest.mark.parametrize("name", LEAKS)
def test_a_leak_is_told_by_its_part_its_object_and_its_line(tmp_path: Path, name: str) -> None:
    leak = LEAKS[name]
    done = barograph("audit", planted(tmp_path, leak), "--cuts", "2")
    assert done.returncode == (7 if leak.leaks else 0), done.stdout + done.stderr
    wanted = (*leak.named, line_of(leak))
    told = [line for line in done.stdout.splitlines() if all(word in line for word in wanted)]
    assert told, done.stdout
    (verdict,) = [line for line in done.stdout.splitlines() if line.startswith(("NOT CLEAN", PROMISE))]
    assert verdict.startswith("NOT CLEAN" if leak.leaks else PROMISE)
    assert "clean: no answer has seen the future" not in done.stdout


def test_a_source_in_parquet_is_cut_too(tmp_path: Path) -> None:
    done = barograph("audit", planted(tmp_path, PARQUET_SOURCE), "--cuts", "1")
    assert done.returncode == 7, done.stdout + done.stderr
    assert "its files cut: bars.csv, labels.parquet" in done.stdout
    assert f"RESTS ON THE WHOLE SOURCE  {TABLE}: mine.MEAN" in done.stdout


@pytest.mark.parametrize("name", CLEAN)
def test_a_machine_without_a_leak_has_nothing_named(tmp_path: Path, name: str) -> None:
    done = barograph("audit", planted(tmp_path, CLEAN[name]), "--cuts", "2", "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(done.stdout)
    assert found["unvouched"] == found["rests"] == found["leaks"] == found["falls"] == []
    assert found["again"] == {"cut": ["bars.csv"], "problem": None, "whole": []}


@pytest.mark.parametrize("name", VARIANTS)
def test_knowledge_is_told_wherever_it_is_kept(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another hiding place is another line of the table; the rerun in a fresh process is left out for its time."""
    monkeypatch.setattr("barograph.audit.source.again", lambda *_: Again(problem="left out"))
    leak = VARIANTS[name]
    done = barograph("audit", planted(tmp_path, leak), "--cuts", "1")
    assert done.returncode in (0, 7), done.stderr
    wanted = (*leak.named, line_of(leak))
    assert [line for line in done.stdout.splitlines() if all(word in line for word in wanted)], done.stdout


def in_short(config: Path) -> bool:
    """One without a model, one with refits, one with several assets and choices; the others in `make soak`."""
    return config.stem in ("buy_and_hold", "var_target", "choose")


@pytest.mark.parametrize(
    "config",
    [pytest.param(one, marks=() if in_short(one) else pytest.mark.long, id=one.stem) for one in CONFIGS],
)
def test_nothing_is_named_on_a_config_that_ships(config: Path) -> None:
    """Short ones: what a part holds does not hang on how long it runs."""
    words = ["--set", "run.end=2005-12-30", "--cuts", "1", "--json"]
    done = barograph("audit", config, *words)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["unvouched"] == found["rests"] == found["leaks"] == found["falls"] == []
    assert "sp500.csv.gz" in found["again"]["cut"]
    assert found["again"]["problem"] is None
    assert set(found["lags"]) == {"0", "1", "2", "5"}


def test_the_table_holds_the_fifteen() -> None:
    assert len(LEAKS) == 15
    assert isinstance(LEAKS["bfill from the next bar"], Leak)
