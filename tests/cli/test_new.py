"""A project to begin with, a list of what there is, what a name means, and answers for programs."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from barograph.cli import app
from barograph.cli.browser import BROWSERS, pictures
from barograph.cli.named import named
from barograph.cli.run import print_figures
from barograph.config.build import load_history
from barograph.config.load import load
from barograph.errors import ConfigError
from barograph.report import write_report
from tests.cli.test_cli import barograph
from tests.fakes.runs import fake_run
from tests.kit.file_grids import Grid
from tests.kit.file_mutations import differences
from tests.kit.file_shapes import SHAPES as GRIDS

BARS = "\n".join(["date,open,high,low,close,volume", *(
    f"{2000 + n // 336}-{n // 28 % 12 + 1:02}-{n % 28 + 1:02},{c},{c},{c},{c},1000"
    for n in range(330) for c in [100 + n % 7 + (n // 90 % 2) * (n % 3)]
)])  # fmt: skip


def test_a_new_project_runs_and_keeps_the_laws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own.csv").write_text(BARS)
    done = barograph("new", "first-try", "--data", "own.csv", "--test")
    assert done.returncode == 0, done.stderr
    names = {"first-try.toml", "first_try_strategy.py", "test_first_try_strategy.py"}
    assert {path.name for path in (tmp_path / "first-try").iterdir()} == names
    quick = ("data.calendar=24/7", "fit.window=150", "model.starts=1")
    ran = barograph("run", "first-try/first-try.toml", "--json", *(word for key in quick for word in ("--set", key)))
    assert ran.returncode == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert told["version"] == 1
    assert "buy and hold" in told["verdict"] or "No order" in told["verdict"]
    compile((tmp_path / "first-try" / "test_first_try_strategy.py").read_text(), "test", "exec")


@pytest.mark.parametrize(("words", "said"), [
    (("new", "First"), "wanted small letters"), (("new", "here"), "is there already"),
    (("new", "x", "--data", "no.csv"), "there is no such file"),
])  # fmt: skip
def test_what_cannot_begin_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    done = barograph(*words)
    assert (done.returncode, said in done.stderr) == (2, True), done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["here"]


BEGUN = [one for one in GRIDS if "columns" not in one.words]


@pytest.mark.parametrize("one", BEGUN, ids=lambda one: one.name)
def test_a_file_of_a_known_shape_is_a_project_at_the_second_try_at_latest(
    one: Grid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the first as it is; else what stands there with a # is said, or the exchange, which no file names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / one.file).write_bytes(one.content)
    done = CliRunner().invoke(app, ["new", "mine", "--data", one.file], catch_exceptions=False)
    config = tmp_path / "mine" / "mine.toml"
    marked = [line for line in config.read_text().splitlines() if line.startswith("# ") and " = " in line]
    assert ("take the # away" in done.stdout) == bool(marked)
    assert all(line in done.stdout for line in marked)
    said = [
        line for line in marked for key, value in one.words.items() if f"# {key} = {value!r}" in line.replace('"', "'")
    ]
    assert len(said) == min(len(marked), 1)
    for line in said:
        config.write_text(config.read_text().replace(line, line.removeprefix("# ")))
    calendar = [f"data.calendar={one.words['calendar']}"] if "calendar" in one.words else []
    assert differences(load_history(load(config, calendar), config.parent, raw=True), one.truth) == ""


def test_what_no_look_understands_begins_no_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.csv").write_text("Date,Mood\n2024-07-01,good\n2024-07-02,bad\n")
    done = barograph("new", "mine", "--data", "notes.csv")
    assert done.returncode == 2
    assert done.stderr.startswith("barograph: --data notes.csv: notes.csv: no column for close")
    assert barograph("new", "mine", "--data", ".").stderr == "barograph: --data .: is a folder; wanted a file\n"
    assert not (tmp_path / "mine").exists()


def project(tmp_path: Path) -> Path:
    """Three runs of two names, the newest of the first name with another value."""
    runs = tmp_path / "runs"
    for stamp, name, calm in (("20240101", "a", 1.0), ("20240102", "b", 1.0), ("20240103", "a", 1.5)):
        folder = fake_run(runs / f"{stamp}T000000Z-{name}-12345678", bars=300)
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps(manifest | {"name": name}))
        (folder / "config.toml").write_text(f'name = "{name}"\n[strategy]\nuse = "x:y"\ncalm = {calm}\n')
    return runs


def test_the_list_tells_runs_by_name_and_what_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "no run and no deployment" in barograph("list").stdout
    project(tmp_path)
    told = json.loads(barograph("list", "--json").stdout)
    rows = [(one["name"], one["changed"]) for one in told["runs"]]
    assert rows == [("a", ["strategy.calm=1.5"]), ("b", []), ("a", [])]
    assert told["deployments"] == []
    assert not (tmp_path / "paper.db").exists()
    shown = barograph("list").stdout.splitlines()
    assert len(shown) == 4
    assert "strategy.calm=1.5" in shown[1]


def test_a_name_is_a_path_else_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs = project(tmp_path)
    newest = next(runs.glob("20240103*"))
    assert named("a", runs, None) == newest
    assert named("20240101", runs, None) == next(runs.glob("20240101*"))
    assert named(str(newest), runs, None) == newest
    with pytest.raises(ConfigError, match=r"wanted a path that is there, else a deployment, else a run's name.*'b'"):
        named("bb", runs, None)
    (tmp_path / "a").mkdir()
    with pytest.raises(ConfigError, match="no run; it goes before the run runs"):
        named("a", Path("runs"), None)
    done = barograph("report", "b")
    assert done.stdout.strip().endswith("-b-12345678/report.html"), done.stderr


@pytest.mark.parametrize(("words", "kind", "code"), [
    (("run", "nowhere.toml", "--json"), "ConfigError", 2), (("run", "--nonsense", "--json"), "UsageError", 2)
])  # fmt: skip
def test_a_program_is_told_its_mistakes_as_json(words: tuple[str, ...], kind: str, code: int) -> None:
    done = barograph(*words)
    told = json.loads(done.stdout)
    error = told["error"]
    assert (told["version"], error["kind"], error["exit_code"], done.returncode) == (1, kind, code, code)
    assert words[1] in told["error"]["message"]


def test_figures_are_whole_on_a_narrow_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    cells = ["6.9 %", "10.9 %", "0.67 [0.23, 1.11]", "-18.3 %", "10.5", "76.2 %", "10.4", "0.7 %"]
    for width in (140, 80, 40):
        print_figures("", {"a-rather-long-name": cells}, width)
        shown = capsys.readouterr().out
        assert all(cell in shown for cell in cells)
        assert max(map(len, shown.splitlines())) <= width


def test_pictures_want_a_browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = write_report(fake_run(tmp_path / "run", bars=60, states=1))
    monkeypatch.setattr("barograph.cli.browser.shutil.which", lambda _name: None)
    with pytest.raises(ConfigError, match="found no browser"):
        pictures(page, tmp_path / "png")


@pytest.mark.skipif(not any(map(shutil.which, BROWSERS)), reason="no browser is installed")
def test_every_figure_becomes_a_picture(tmp_path: Path) -> None:
    page = write_report(fake_run(tmp_path / "run", bars=30, states=1))
    text = page.read_text(encoding="utf-8")
    begin = text.index('id="page-data">') + len('id="page-data">')
    sent = json.loads(text[begin : text.index("</script>", begin)])
    sent["figures"] = {"equity": sent["figures"]["equity"]}
    page.write_text(text[:begin] + json.dumps(sent) + text[text.index("</script>", begin) :], encoding="utf-8")
    (found,) = pictures(page, tmp_path / "png")
    assert found.name == "equity.png"
    assert found.read_bytes().startswith(b"\x89PNG")
    assert found.stat().st_size > 5000
