"""`barograph explain`: of a run, of a saved fit, of several; nothing is trained, and mistakes are one line."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from barograph.cli.shared import varied
from barograph.errors import ConfigError
from barograph.regimes.fitted import Fitted
from barograph.report import Run, read_run
from barograph.report.explaining.kept import fits_kept
from barograph.report.explaining.variants import variants
from tests.cli.test_cli import SMALL, barograph, users_folder

CLASSIFIER = """
name = "labelled"
[data]
use = "barograph_adapters.files:csv"
path = "more.csv"
calendar = "24/7"
[model]
use = "barograph_models.logistic:logistic"
window = 5
[model.labels]
use = "barograph_models.labels:label_file"
path = "labels.csv"
known_after = 0
[fit]
window = 400
every = 250
[strategy]
use = "barograph_strategies.regime_filter:regime_filter"
"""


def _bars(folder: Path, T: int = 700) -> None:
    """Bars whose class is whether the return of three days ago was a fall."""
    moves = np.random.default_rng(2).standard_normal(T) * 0.01
    close = 100.0 * np.exp(np.cumsum(moves))
    frame = pd.DataFrame({"date": pd.date_range("2020-01-01", periods=T), "open": close, "high": close * 1.01})
    frame.assign(low=close * 0.99, close=close, volume=1000.0).to_csv(folder / "more.csv", index=False)
    fell = np.where(np.roll(moves, 3) < 0.0, "wild", "calm")
    labels = pd.DataFrame({"Date": frame["date"], "regime": fell})
    labels.iloc[4:].to_csv(folder / "labels.csv", index=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two runs, a chain's and a classifier's."""
    made = users_folder(tmp_path_factory.mktemp("explain"))
    _bars(made)
    (made / "labelled.toml").write_text(CLASSIFIER, encoding="utf-8")
    for config in ("small", "labelled"):
        done = barograph("run", made / f"{config}.toml", "--runs", made / "runs", "--json")
        assert done.returncode == 0, done.stderr
    return made


def _run(folder: Path, name: str) -> Path:
    return next((folder / "runs").glob(f"*-{name}-*"))


def _explained(folder: Path, *words: str | Path) -> dict[str, Any]:
    done = barograph("explain", *words, "--runs", folder / "runs", "--json")
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_a_run_keeps_its_fits_and_what_they_saw(folder: Path) -> None:
    run = _run(folder, "labelled")
    files = sorted((run / "fits").iterdir())
    assert [file.name for file in files] == ["0000.npz", "0001.npz"]
    fits = [Fitted.load(file) for file in files]
    entries = json.loads((run / "fits.json").read_text(encoding="utf-8"))
    for fitted, entry in zip(fits, entries, strict=True):
        assert fitted.summary() == entry["summary"]
        assert fitted.judged is not None
        assert entry["judged"]["rows"] == len(fitted.judged.bars)
    seen, beliefs = pd.read_parquet(run / "features.parquet"), pd.read_parquet(run / "beliefs.parquet")
    assert list(seen.columns) == ["ts", *fits[0].features]
    # The last fit, asked over what it saw, believes what the run believed.
    path = fits[1].filter_path(seen.drop(columns="ts").to_numpy()).probs
    late = beliefs["ts"].to_numpy()[-40:]
    rows = np.searchsorted(seen["ts"].to_numpy(), late)
    assert path[rows].tobytes() == np.ascontiguousarray(beliefs[["p_0", "p_1"]].to_numpy()[-40:]).tobytes()


def test_a_planted_cause_is_named_from_a_run_alone(folder: Path) -> None:
    for name in ("more.csv", "labels.csv"):
        assert (folder / name).is_file()
    told = _explained(folder, "labelled")
    (one,) = told["models"]
    assert one["classes"] == ["calm", "wild"]
    assert one["asked"]["occlusion"]["named"][0] == one["asked"]["saliency"]["named"][0]
    assert one["asked"]["occlusion"]["named"][0] == {"feature": "log_return", "lag": 3}
    assert one["scores"]["balanced_accuracy"] > 0.8 > one["scores"]["majority"]["balanced_accuracy"] == 0.5
    assert set(one["scores"]) >= {"precision", "recall", "f1", "macro_f1", "brier", "confusion", "reliability_before"}
    assert [fit["number"] for fit in one["fits"]] == [0, 1]
    assert any("audited" in note or "elsewhere" in note for note in one["notes"])
    written = json.loads(Path(told["json"]).read_text(encoding="utf-8"))
    assert written["models"] == told["models"]
    assert Path(told["report"]).parent == _run(folder, "labelled")


def test_every_figure_of_the_page_has_a_place_and_it_needs_nothing_else(folder: Path) -> None:
    page = Path(_explained(folder, "labelled")["report"]).read_text(encoding="utf-8")
    found = re.search(r'<script type="application/json" id="page-data">(.*?)</script>', page, re.DOTALL)
    assert found
    figures = json.loads(found.group(1))["figures"]
    wanted = {"confusion", "reliability", "occlusion", "saliency", "permutation", "profile", "path"}
    assert set(figures) == {f"{name}_0" for name in wanted}
    assert all(page.count(f'id="{name}"') == 1 for name in figures)
    scripts = sorted(re.findall(r"<script>.*?</script>", page, re.DOTALL), key=len)
    assert not re.search(r"https?:|//cdn|<img|src=", page.replace(scripts[-1], ""))


def test_the_report_of_a_classifiers_run_says_how_honest_it_is(folder: Path) -> None:
    page = (_run(folder, "labelled") / "report.html").read_text(encoding="utf-8")
    for said in ("The classifier, on rows it did not learn from", "Expected calibration error", "one seed, 0"):
        assert said in page, said
    assert page.count('id="reliability"') == 1
    other = (_run(folder, "small") / "report.html").read_text(encoding="utf-8")
    assert "The classifier, on rows" not in other


def test_a_model_without_labels_is_told_as_far_as_it_can_be(folder: Path) -> None:
    (one,) = _explained(folder, "small")["models"]
    assert one["scores"] is None
    assert one["asked"]["occlusion"]["worth"] is None
    assert len(one["asked"]["occlusion"]["size"][0]) == one["asked"]["length"] == 30
    assert "a model that learns no labels has none" in one["missing"][0]


def test_runs_are_compared_and_a_fit_of_one_is_asked_alone(folder: Path, tmp_path: Path) -> None:
    told = _explained(folder, "labelled", "small", "-o", tmp_path, "--stretches", "50")
    assert [one["name"] for one in told["models"]] == ["labelled", "small"]
    page = (tmp_path / "explain.html").read_text(encoding="utf-8")
    assert "Side by side" in page
    assert page.count('id="occlusion_0"') == page.count('id="occlusion_1"') == 1
    first = _explained(folder, "labelled", "--fit", "0", "-o", tmp_path)["models"][0]
    alone = _explained(folder, _run(folder, "labelled") / "fits" / "0000.npz", "-o", tmp_path)["models"][0]
    assert first == alone


def test_a_saved_fit_is_asked_on_the_bars_of_a_config(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "model.npz"
    assert barograph("fit", folder / "labelled.toml", "-o", kept).returncode == 0
    (bare,) = _explained(folder, kept, "-o", tmp_path)["models"]
    assert bare["asked"] is None
    assert bare["scores"]["rows"] > 100
    assert "no rows were given" in bare["missing"][0]
    (one,) = _explained(folder, kept, "--data", folder / "labelled.toml", "-o", tmp_path)["models"]
    assert one["asked"]["occlusion"]["named"][0] == {"feature": "log_return", "lag": 3}
    assert one["scores"] == bare["scores"]


def test_people_are_told_in_a_few_lines(folder: Path) -> None:
    done = barograph("explain", "labelled", "--runs", folder / "runs")
    assert "labelled: logistic, 2 classes" in done.stdout
    assert "Occlusion: Named, in a frame: log_return 3 bars ago" in done.stdout
    assert done.stdout.rstrip().endswith("explain.html")


PANEL = """
name = "both"
[data]
use = "barograph_adapters.files:joined"
[[data.parts]]
use = "barograph_adapters.files:csv"
path = "bars.csv"
symbol = "A"
calendar = "24/7"
[[data.parts]]
use = "barograph_adapters.files:csv"
path = "other.csv"
symbol = "B"
calendar = "24/7"
[[features]]
use = "barograph.features:log_return"
[[features]]
use = "barograph.features:rolling_volatility"
window = 5
[model]
use = "barograph_models.student_panel:student_panel"
each = true
states = 2
[fit]
window = 60
every = 60
[strategy]
use = "barograph_strategies.regime_filter:regime_filter"
"""


def test_a_run_with_a_belief_an_asset_is_explained_by_its_own_config_as_by_what_it_keeps(tmp_path: Path) -> None:
    made = users_folder(tmp_path)
    bars = pd.read_csv(made / "bars.csv")
    bars.assign(close=bars["open"] * 0.998).to_csv(made / "other.csv", index=False)
    (made / "both.toml").write_text(PANEL, encoding="utf-8")
    done = barograph("run", made / "both.toml", "--runs", made / "runs", "--json")
    assert done.returncode == 0, done.stderr
    kept = _explained(made, "both", "--stretches", "10")["models"]
    asked = _explained(made, "both", "--stretches", "10", "--data", made / "both.toml")["models"]
    assert asked[0]["asked"]["occlusion"] == kept[0]["asked"]["occlusion"]
    other = PANEL.replace("log_return", "rsi", 1).replace('rsi"', 'rsi"\nwindow = 5', 1)
    (made / "other.toml").write_text(other, encoding="utf-8")
    done = barograph("explain", "both", "--data", made / "other.toml", "--runs", made / "runs")
    assert "was fitted on log_return, rolling_volatility(5), the rows are of A: rsi(5), A: rolling" in done.stderr, (
        done.stderr
    )


def _cut(file: Path, size: int) -> None:
    file.write_bytes(file.read_bytes()[:size])


def _fits_to_file(run: Path) -> None:
    shutil.rmtree(run / "fits")
    (run / "fits").write_text("", encoding="utf-8")


DAMAGE: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no fits.json": (lambda run: (run / "fits.json").unlink(), "fits.json: absent"),
    "no JSON": (lambda run: _cut(run / "fits.json", 40), "fits.json: cannot be read as JSON"),
    "no list": (lambda run: (run / "fits.json").write_text("{}"), "fits.json: is no list of fits"),
    "odd entry": (lambda run: (run / "fits.json").write_text("[{}, 3]"), "fits.json: is no list of fits"),
    "one told": (lambda run: (run / "fits.json").write_text("[]"), "fits.json: tells of 0 fits, and"),
    "no manifest": (lambda run: (run / "manifest.json").unlink(), "neither a run folder nor a saved fit"),
    "empty manifest": (lambda run: _cut(run / "manifest.json", 0), "manifest.json: cannot be read as JSON"),
    "empty fit": (lambda run: _cut(run / "fits" / "0001.npz", 0), "0001.npz: not a whole fitted model"),
    "half a fit": (lambda run: _cut(run / "fits" / "0001.npz", 1000), "0001.npz: not a whole fitted model"),
    "fits a file": (_fits_to_file, "holds no fits to explain"),
    "features": (lambda run: _cut(run / "features.parquet", 300), "features.parquet: cannot be read as a table"),
    "no times": (
        lambda run: pd.DataFrame({"log_return": [1.0]}).to_parquet(run / "features.parquet"),
        "features.parquet: cannot be read as a table of features ('ts')",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_run_folder_is_one_line(what: str, folder: Path, tmp_path: Path) -> None:
    damage, wanted = DAMAGE[what]
    run = tmp_path / "run"
    shutil.copytree(_run(folder, "labelled"), run)
    damage(run)
    done = barograph("explain", run, "--runs", tmp_path / "none", "--stretches", "2")
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    assert wanted in done.stderr.strip().splitlines()[-1], done.stderr


def test_a_folder_of_runs_that_holds_a_damaged_one_is_one_line(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(_run(folder, "labelled"), tmp_path / "runs" / "one")
    _cut(tmp_path / "runs" / "one" / "manifest.json", 30)
    done = barograph("explain", "labelled", "--runs", tmp_path / "runs")
    assert "one: its manifest.json, metrics.json or config.toml is damaged" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_beside_the_fits_is_none(folder: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shutil.copytree(_run(folder, "labelled"), run)
    shutil.copy(run / "fits" / "0000.npz", run / "fits" / "0 of mine.npz")
    assert sorted(fits_kept(run)) == [0, 1]


def test_mistakes_are_one_line(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = SMALL.partition("[model]")[0].replace("small", "plain")
    plain += '[strategy]\nuse = "barograph_strategies.buy_and_hold:buy_and_hold"\n'
    (folder / "plain.toml").write_text(plain, encoding="utf-8")
    assert barograph("run", folder / "plain.toml", "--runs", folder / "runs").returncode == 0
    (tmp_path / "odd.npz").write_bytes(b"no zip")
    other = SMALL.replace("[model]", '[[features]]\nuse = "barograph.features:rsi"\nwindow = 14\n[model]')
    (folder / "other.toml").write_text(other, encoding="utf-8")
    fit = _run(folder, "labelled") / "fits" / "0000.npz"
    monkeypatch.chdir(tmp_path)
    mistakes: list[tuple[tuple[str | Path, ...], str]] = [
        (("labeled",), "did you mean 'labelled'?"),
        (("plain",), "holds no fits to explain: its machine has no model"),
        ((tmp_path / "odd.npz",), "not a whole fitted model"),
        ((tmp_path,), "neither a run folder nor a saved fit"),
        ((fit, "--data", folder / "other.toml"), "was fitted on log_return, the rows are of rsi"),
        ((fit, "--fit", "0"), "is one fit, and --fit 0 picks one of a run"),
        (("labelled", "--fit", "7"), "keeps no fit of that number, it has 2 of 0..1"),
        (("labelled", "-o", "nowhere"), "there is no such folder; make it first"),
        (("labelled", "--data", "nowhere.toml"), "nowhere.toml"),
    ]
    for words, wanted in mistakes:
        done = barograph("explain", *words, "--runs", folder / "runs")
        assert done.returncode != 0, words
        assert wanted in done.stderr, (words, done.stderr)
        # A bar of progress may have been drawn before.
        told = [line for line in done.stderr.splitlines() if line.startswith("barograph: ")]
        assert told == done.stderr.strip().splitlines()[-1:], done.stderr


def test_variants_are_judged_by_what_is_right_and_by_what_is_earned(folder: Path, tmp_path: Path) -> None:
    done = barograph("compare", folder / "labelled.toml", "--set", "model.seed=0", "--vary",
                     "model.weights=none,balanced", "--runs", tmp_path, "--json")  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    names = ["labelled model.weights=none", "labelled model.weights=balanced"]
    assert list(told["metrics"]) == names
    assert [(one["name"], one["seeds"]) for one in told["variants"]] == [(name, "one seed") for name in names]
    plain, balanced = (one["figures"] for one in told["variants"])
    assert plain["sharpe"]["mean"] == told["metrics"][names[0]]["sharpe"]
    assert plain["brier"] != balanced["brier"]
    assert "Right, and worth it?" in (tmp_path / "compare.html").read_text(encoding="utf-8")

    runs = [read_run(tmp_path / name) for name in told["folders"]]
    _, one = variants([*runs, _seeded(runs[1], 1, 0.3)], [f"{name}, model.seed={n}" for n, name in enumerate("abb")])
    assert (one["name"], one["seeds"], one["runs"]) == ("b", "two seeds, too few", 2)
    sharpe = balanced["sharpe"]["mean"]
    assert one["figures"]["sharpe"] == pytest.approx({"mean": sharpe + 0.15, "min": sharpe, "max": sharpe + 0.3})


def _seeded(run: Run, seed: int, more: float) -> Run:
    """Return the run as another seed would have left it, its Sharpe ratio that much higher."""
    fits = [fit | {"summary": fit["summary"] | {"seed": seed}} for fit in run.fits]
    metrics = run.metrics | {"sharpe": (run.metrics["sharpe"] or 0.0) + more}
    return replace(run, config=run.config.replace("seed = 0", f"seed = {seed}"), fits=fits, metrics=metrics)


def test_a_key_is_varied_once() -> None:
    with pytest.raises(ConfigError, match=r"--vary model\.seed is there 2 times: give its values once, with commas"):
        varied(["model.seed=0,1", "model.states=2,3", "model.seed=2,3"])
    with pytest.raises(ConfigError, match="each another"):
        varied(["model.seed=1,1"])


def test_what_is_no_list_of_values_is_one_line(folder: Path) -> None:
    done = barograph("compare", folder / "labelled.toml", "--vary", "model.weights=none")
    assert done.returncode == 2
    assert done.stderr.strip() == (
        "barograph: --vary model.weights=none: wanted KEY=VALUE,VALUE, two or more and each another, as in "
        "--vary model.weights=none,balanced"
    )
