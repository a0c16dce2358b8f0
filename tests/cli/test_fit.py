"""`barograph fit` keeps a model, `barograph.regimes:saved` runs it; mistakes are one line."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from barograph.cli.console import print_json
from barograph.regimes.fitted import Fitted
from tests.cli.test_cli import SMALL, barograph, users_folder

SAVED = 'use = "barograph.regimes:saved"\nfile = "model.npz"\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return users_folder(tmp_path)


def scoring() -> str:
    head, _, rest = SMALL.partition("[model]")
    return f"{head}[model]\n{SAVED}[run]\nstart = 100\n[strategy]{rest.partition('[strategy]')[2]}"


def test_a_model_is_kept_and_runs_without_learning(folder: Path) -> None:
    kept = folder / "model.npz"
    done = barograph("fit", folder / "small.toml", "-o", kept)
    assert (done.returncode, done.stderr) == (0, "")
    assert "gaussian_hmm with 2 regimes, on 60 rows up to" in done.stdout
    told = json.loads(barograph("fit", folder / "small.toml", "--output", kept, "--json").stdout)
    assert told["digest"] == Fitted.load(kept).digest
    (folder / "scoring.toml").write_text(scoring(), encoding="utf-8")
    done = barograph("run", folder / "scoring.toml", "--runs", folder / "runs", "--json")
    assert done.returncode == 0, done.stderr
    manifest = json.loads((Path(json.loads(done.stdout)["folder"]) / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["model"] == told["digest"]
    before = manifest["code_hash"]
    # Another model in the same file is another code.
    barograph("fit", folder / "small.toml", "-o", kept, "--set", "fit.window=50")
    done = barograph("run", folder / "scoring.toml", "--runs", folder / "runs", "--json")
    manifest = json.loads((Path(json.loads(done.stdout)["folder"]) / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["code_hash"] != before


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("small.toml", "-o", "nowhere/model.npz"), "there is no folder"),
        (("small.toml", "-o", "model.npz", "--set", "fit.window=5000"), "wants 5000 bars"),
    ],
)
def test_a_mistake_is_one_line(
    folder: Path, words: tuple[str, ...], wanted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder)
    done = barograph("fit", *words)
    assert done.returncode != 0
    assert wanted in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (folder / "model.npz").exists()


def test_a_file_of_the_format_before_says_how_to_make_it_anew(folder: Path) -> None:
    kept = folder / "model.npz"
    barograph("fit", folder / "small.toml", "-o", kept)
    with zipfile.ZipFile(kept) as file:
        members = {name: file.read(name) for name in file.namelist()}
    header = json.loads(members["header.json"]) | {"version": 1}
    members["header.json"] = json.dumps(header).encode()
    with zipfile.ZipFile(kept, "w") as file:
        for name, body in members.items():
            file.writestr(name, body)
    (folder / "scoring.toml").write_text(scoring(), encoding="utf-8")
    done = barograph("run", folder / "scoring.toml", "--runs", folder / "runs")
    assert done.returncode != 0
    assert "format version 1, this barograph reads 2; make it anew with `barograph fit CONFIG -o FILE`" in done.stderr


@pytest.fixture
def long(folder: Path) -> Path:
    """A folder with bars enough to count regimes by: calm and wild ones by turns."""
    random = np.random.default_rng(5)
    close = 100.0 * np.exp(np.cumsum(random.standard_normal(320) * np.tile(np.repeat([0.004, 0.02], 20), 8)))
    days = pd.date_range("2020-01-01", periods=320)
    frame = pd.DataFrame({"date": days, "open": close, "high": close * 1.01, "low": close * 0.99, "close": close})
    frame.to_csv(folder / "bars.csv", index=False)
    return folder


def test_how_many_regimes_is_a_table_the_baselines_and_a_reason(long: Path) -> None:
    words = ("states", long / "small.toml", "--most", "2", "--set", "fit.window=300")
    done = barograph(*words)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.split()[:4] == ["states", "nats", "a", "row"]
    told = json.loads(barograph(*words, "--json").stdout)
    assert [row["states"] for row in told["table"]] == [1, 2]
    assert set(told["baselines"]) == {"one t", "GARCH-t"}
    assert told["states"] == 2
    assert told["reason"] in done.stdout
    assert "GARCH-t" in done.stdout
    assert "BIC prefers two Gaussian regimes" in done.stdout


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--set", "fit.window=60"), "60 rows, 4 blocks of at least 20 want 160"),
        (("--set", "fit.window=5000"), "wants 5000 bars"),
        (("--set", 'model.use="barograph_models.bocpd:bocpd"'), "takes no such argument"),
    ],
)
def test_what_cannot_be_counted_is_one_line(folder: Path, words: tuple[str, ...], wanted: str) -> None:
    done = barograph("states", folder / "small.toml", *words)
    assert done.returncode != 0
    assert wanted in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_number_that_a_model_cannot_have_is_told_in_the_table(long: Path) -> None:
    model = "barograph_models.gaussian_hsmm:gaussian_hsmm"
    words = ("--most", "2", "--set", "fit.window=300", "--set", f'model.use="{model}"', "--set", "model.longest=30")
    told = json.loads(barograph("states", long / "small.toml", *words, "--json").stdout)
    assert "at least 2 of both are wanted" in told["table"][0]["failed"]
    assert told["states"] == 2


def test_what_is_no_number_is_null_in_json(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"rows": [{"score": float("nan"), "stays": np.array([2.0, np.inf]).tolist(), "count": np.int64(3)}]})

    def refuse(word: str) -> None:
        raise AssertionError(word)

    told = json.loads(capsys.readouterr().out, parse_constant=refuse)
    assert told["rows"] == [{"score": None, "stays": [2.0, None], "count": 3}]
