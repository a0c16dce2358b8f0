"""The README's first screen is run as it stands, and prints what it says."""

from __future__ import annotations

import contextlib
import io
import re
import sys
import tomllib
import types
from pathlib import Path

import pytest

import barograph as bg
from barograph.config.schema import Config
from barograph.testing import check_strategy
from tests import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(\w*)\n(.*?)```", README, flags=re.DOTALL)
PYTHON = [text for kind, text in BLOCKS if kind == "python"]


def execute(text: str) -> tuple[dict[str, object], str]:
    """Run code as a module of its own; return its names and what it printed."""
    module = types.ModuleType("readme")
    sys.modules["readme"] = module
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(text, "README.md", "exec"), module.__dict__)
    return module.__dict__, out.getvalue()


def test_the_first_screen_prints_what_it_says() -> None:
    pytest.importorskip("arch", reason="the sample data are in the package arch")
    shown = next(text for kind, text in BLOCKS if kind == "")
    assert execute(PYTHON[0])[1] == shown


def test_the_first_strategy_is_at_most_thirteen_lines() -> None:
    assert len([line for line in PYTHON[0].splitlines() if line.strip()]) <= 13


def test_the_second_strategy_passes_the_laws() -> None:
    strategy = execute(PYTHON[1])[0]["strategy"]
    assert isinstance(strategy, bg.Strategy)
    check_strategy(strategy)


def test_the_config_is_one() -> None:
    text = next(text for kind, text in BLOCKS if kind == "toml")
    assert Config.model_validate(tomllib.loads(text)).name == "calm-only"


def test_the_documents_it_points_to_are_there() -> None:
    root = ROOT
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert links
    assert all((root / link).is_file() for link in links)


def blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (ROOT / "docs" / page).read_text(encoding="utf-8"), flags=re.DOTALL)


def test_the_tutorial_ends_with_a_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("arch", reason="the sample data are in the package arch")
    monkeypatch.chdir(tmp_path)
    found, _ = execute(blocks("tutorial.md")[0])
    assert (tmp_path / "calm-days.html").stat().st_size > 1e6
    assert len(found["worst"]) == 5  # type: ignore[arg-type]


def test_the_table_of_a_fit_is_what_the_guide_says() -> None:
    text = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
    shown = re.findall(r"```\n(regime|        share.*?)```", text, flags=re.DOTALL)[0]
    assert [line.split() for line in execute(blocks("python.md")[0])[1].splitlines()] == [
        line.split() for line in shown.splitlines()
    ]


def test_what_the_page_on_explaining_claims_holds() -> None:
    execute(blocks("explain.md")[0])
