"""Whole runs of a user's code: each folder has its own modules, and none of them is anybody else's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from barograph.config.build import build, load_history
from barograph.config.load import load as read
from barograph.config.modules import load
from barograph.errors import PRIVATE, as_written
from barograph.regimes.fitted import Fitted
from tests import ROOT
from tests.cli.test_cli import SMALL, barograph, users_folder
from tests.config.test_modules import written
from tests.jit.test_parts import fresh

CONFIG = SMALL.partition("[model]")[0].replace('"small"', '"c"') + '[strategy]\nuse = "mine:rule"\n'
COMPILED = """
import barograph as bg
import helper

@bg.kernel
def rule(state, bars, belief, portfolio, params):
    return state, bg.Target(helper.share(bars.close[0]))
"""
PLAIN = COMPILED.replace("@bg.kernel\n", "")
HELPER = """
import barograph as bg

@bg.kernel
def share(close):
    return SHARE if close > 100.0 else 0.25
"""


def user(folder: Path, share: float, rule: str = COMPILED) -> Path:
    """A folder whose strategy is in `mine.py`, and what tells it from another's in `helper.py`."""
    written(folder, {"mine.py": rule, "helper.py": HELPER.replace("SHARE", str(share)), "c.toml": CONFIG})
    return users_folder(folder) / "c.toml"


def metrics(*configs: Path, **environment: str) -> dict[str, Any]:
    command = "run" if len(configs) == 1 else "compare"
    done = barograph(command, *configs, "--runs", configs[0].parent / "runs", "--json", **environment)
    assert done.returncode == 0, done.stderr
    told: dict[str, Any] = json.loads(done.stdout)["metrics"]
    return told


@pytest.mark.parametrize(
    "rule", [pytest.param(COMPILED, id="compiled"), pytest.param(PLAIN, id="plain", marks=pytest.mark.long)]
)
def test_two_folders_with_modules_of_one_name_run_what_each_runs_alone(tmp_path: Path, rule: str) -> None:
    one, other = user(tmp_path / "a", 0.5, rule), user(tmp_path / "b", 0.9, rule)
    alone = {f"{c.parent.name}/c": metrics(c, NUMBA_DISABLE_JIT="0") for c in (one, other)}
    assert alone["a/c"]["cagr"] != alone["b/c"]["cagr"]
    assert metrics(one, other) == alone
    assert metrics(other, one) == alone


def test_configs_of_one_name_are_all_there_in_table_json_and_report(tmp_path: Path) -> None:
    one, other = user(tmp_path / "a", 0.5), user(tmp_path / "b", 0.9)
    done = barograph("compare", one, other, one, "--runs", tmp_path / "runs")
    assert done.returncode == 0, done.stderr
    assert [line.split("  ")[0] for line in done.stdout.splitlines()[1:4]] == ["a/c", "b/c", "a/c (2)"]
    assert "Of 3 runs" in done.stdout
    page = (tmp_path / "runs" / "compare.html").read_text()
    assert all(f">{name}</a>" in page for name in ("a/c", "b/c", "a/c (2)"))
    assert list(metrics(one, other)) == ["a/c", "b/c"]


def test_an_edited_helper_is_another_result_and_another_code_hash(tmp_path: Path) -> None:
    config = user(tmp_path, 0.5)
    told = []
    for share in (0.5, 0.5, 0.9):
        (tmp_path / "helper.py").write_text(HELPER.replace("SHARE", str(share)))
        found = json.loads(barograph("run", config, "--runs", tmp_path / "runs", "--json").stdout)
        told.append((found["metrics"]["cagr"], json.loads((Path(found["folder"]) / "manifest.json").read_text())))
    (first, was), (again, same), (after, edited) = told
    assert first == again != after
    assert was["code_hash"] == same["code_hash"] != edited["code_hash"]
    assert was["config_hash"] == edited["config_hash"]


SPY = """
import json, os, sys
from numba.core import event
from barograph.cli.app import main
path, told = list(sys.path), []
for words in json.loads(sys.argv[1]):
    sys.argv = ["barograph", *words]
    with event.install_recorder("numba:compile") as recorder:
        try:
            main()
        except SystemExit as stop:
            assert not stop.code, stop.code
    here = [n for n, m in sys.modules.items() if str(getattr(m, "__file__", None)).startswith(os.getcwd())]
    told.append([len(recorder.buffer), sys.path == path, list(sys.modules), here])
with open("told.json", "w") as out:
    json.dump(told, out)
"""


class Spied(NamedTuple):
    """How many kernels a command compiled, whether it left `sys.path` alone, what it imported, and what from here."""

    compiled: int
    kept: bool
    imported: list[str]
    here: list[str]


def spied(folder: Path, *commands: list[str]) -> list[Spied]:
    """Run commands in a folder, all in one new process that looks at itself after each."""
    command = [sys.executable, "-P", "-c", SPY, json.dumps(commands)]
    done = subprocess.run(
        command, cwd=folder, env=os.environ | {"NUMBA_DISABLE_JIT": "0"}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return [Spied(*told) for told in json.loads((folder / "told.json").read_text())]


STORE = ["--store", "sqlite:///p.db"]
COMMANDS = [
    ["data", "check", "bars.csv", "--calendar", "24/7"],
    ["run", "c.toml"],
    ["compare", "c.toml", "c.toml"],
    ["audit", "c.toml", "--cuts", "1"],
    ["paper", "c.toml", "--replay", "2020-06-01", *STORE],
    ["parity", *STORE],
]


def test_no_file_of_the_folder_is_imported_but_what_the_users_own_code_asks_for(tmp_path: Path) -> None:
    """Every module that a command imports has a namesake beside the config and the data; it is not what is imported."""
    clean, hostile = tmp_path / "clean", tmp_path / "hostile"
    user(clean, 0.5)
    tops = {name.partition(".")[0] for name in spied(clean, *COMMANDS)[-1].imported}
    # What ships cannot have a namesake: `barograph.py` is no part of anybody's.
    names = {name for name in tops if name.isidentifier() and not name.startswith("barograph")} - {"__main__"}
    assert {"rich", "pandas", "numba", "plotly", "jinja2", "typing_extensions", "sqlalchemy"} <= names
    written(hostile, {f"{name}.py": f"raise SystemExit('{name}.py was run')\n" for name in (*names, "barograph")})
    user(hostile, 0.5)
    for n, (words, told) in enumerate(zip(COMMANDS, spied(hostile, *COMMANDS), strict=True)):
        assert told.kept, words
        assert sorted(as_written(name) for name in told.here) == (["helper", "mine"] if n else []), words
        assert all(name.startswith(PRIVATE) for name in told.here), words


def test_a_second_process_compiles_nothing_of_a_users(tmp_path: Path) -> None:
    # A number that no other run had: it is not in the cache yet.
    user(tmp_path, fresh() / 4.0)
    assert spied(tmp_path, ["run", "c.toml"])[0].compiled > 0
    assert spied(tmp_path, ["run", "c.toml"])[0].compiled == 0


def test_processes_begun_by_warm_run_no_file_of_the_current_folder(tmp_path: Path) -> None:
    names = ("multiprocessing", "struct", "signal", "pickle", "numpy", "numba", "threading", "barograph")
    written(tmp_path, {f"{name}.py": f"raise SystemExit('{name}.py was run')\n" for name in names})
    code = "from barograph.cli.warm import _compiled as c\nfrom barograph.config.shipped import engine\n"
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"{code}if __name__ == '__main__': print(len(list(c(engine()[:1], [], 1))))"],
        cwd=tmp_path, env=os.environ | {"NUMBA_DISABLE_JIT": "0"}, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "2\n"), done.stderr


def test_a_users_own_model_is_saved_under_the_name_that_its_folder_knows(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    text = guide.partition("```python\n")[2].partition("```")[0]
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        written(folder, {"own.py": text})
    saved = [load("own", folder).fitted for folder in folders]
    assert saved[0].to_bytes() == saved[1].to_bytes()
    assert PRIVATE.encode() not in saved[0].to_bytes()
    for folder, fitted in zip(folders, saved, strict=True):
        again = Fitted.from_bytes(fitted.to_bytes(), "kept", lambda name, at=folder: load(name, at))
        assert again.family is fitted.family


def test_a_users_own_model_is_found_again_by_paper_and_parity(tmp_path: Path) -> None:
    guide = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    text = guide.partition("```python\n")[2].partition("```")[0]
    for folder in (tmp_path / "a", tmp_path / "b"):
        users_folder(written(folder, {"own.py": text}))
        lines = [line for line in SMALL.splitlines() if not line.startswith(("states", "starts"))]
        config = "\n".join(lines).replace("barograph_models.gaussian_hmm:gaussian_hmm", "own:shock")
        (folder / "small.toml").write_text(config)
        store = ("--store", f"sqlite:///{folder}/p.db")
        for _ in range(2):
            done = barograph("paper", folder / "small.toml", "--replay", "2020-05-01", *store)
            assert done.returncode == 0, done.stderr
        assert "no difference" in barograph("parity", *store).stdout


def test_a_config_that_is_read_or_built_again_is_built_of_what_was_edited(tmp_path: Path) -> None:
    path = user(tmp_path, 0.5, PLAIN)

    def share() -> Any:
        return machine.strategy.step.__globals__["helper"].share(101.0)

    config = read(path)
    machine = build(config, tmp_path)
    assert share() == 0.5
    (tmp_path / "helper.py").write_text(HELPER.replace("SHARE", "0.6"))
    assert share() == 0.5
    machine = build(config, tmp_path)
    assert share() == 0.6
    (tmp_path / "helper.py").write_text(HELPER.replace("SHARE", "0.7"))
    load_history(read(path), tmp_path)
    assert load("helper", tmp_path).share(101.0) == 0.7
