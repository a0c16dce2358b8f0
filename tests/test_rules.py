"""Rules about the text itself: what pure code may import, and that everything a user can name is in the docs."""

from __future__ import annotations

import ast
import inspect
import pkgutil
import tomllib
from pathlib import Path

import pytest
import typer

import barograph_models
import barograph_strategies
from barograph import step
from barograph.cli import app
from barograph.config import Config, Execution, FitPlan, Period

ROOT = Path(__file__).resolve().parent.parent
DOCS = "\n".join(
    path.read_text(encoding="utf-8") for path in [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
)
CONFIGS = sorted((ROOT / "configs").glob("*.toml"))

ALLOWED = {"__future__", "collections", "dataclasses", "enum", "functools", "itertools", "math", "typing"} | {
    "barograph", "barograph_strategies", "numba", "numpy"
}  # fmt: skip
# These read a file or a calendar when they are *built*; their steps are kernels and see only numbers.
BUILDERS = {"fixed_positions": {"pandas", "pathlib"}}


def imported(path: Path) -> set[str]:
    """Name the top-level packages a file imports, anywhere in it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            found.add(str(node.module).partition(".")[0])
    return found


def pure() -> list[Path]:
    engine = Path(inspect.getfile(step)).parent
    names = ["types", "step", "advance", "memory", "combine", "mixture"]
    own = [engine / f"{name}.py" for name in names] + sorted((engine / "features").glob("*.py"))
    return own + sorted(Path(barograph_strategies.__path__[0]).glob("*.py"))


@pytest.mark.parametrize("path", pure(), ids=lambda path: path.stem)
def test_pure_code_imports_no_clock_no_chance_no_system(path: Path) -> None:
    assert imported(path) <= ALLOWED | BUILDERS.get(path.stem, set())


def test_the_import_rule_can_fail(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text("def f():\n    from time import time\n")
    assert not imported(tmp_path / "planted.py") <= ALLOWED


def factories(package: object) -> list[str]:
    return [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")]  # type: ignore[attr-defined]


def commands() -> list[str]:
    group = typer.main.get_command(app)
    found = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found += [f"barograph {name} {sub}" for sub in inner] if inner else [f"barograph {name}"]
    return found


KEYS = [name for model in (Config, Period, FitPlan, Execution) for name in model.model_fields]
NAMES = [*factories(barograph_models), *factories(barograph_strategies), *(path.stem for path in CONFIGS)]


@pytest.mark.parametrize("name", [*commands(), *KEYS, *NAMES, *step.REASONS[1:], *step.FILLS])
def test_everything_a_user_can_name_is_in_the_docs(name: str) -> None:
    assert name in DOCS


def test_the_lock_names_no_host() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    assert lock.count("--hash=sha256:") > 100


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_says_what_it_is(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")
    assert tomllib.loads(path.read_text(encoding="utf-8"))["name"] == path.stem.replace("_", "-")
