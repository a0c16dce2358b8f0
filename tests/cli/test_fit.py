"""`barograph fit` keeps a model, `barograph.regimes:saved` runs it; mistakes are one line."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import pytest

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
