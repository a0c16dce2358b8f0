"""Rules about the text itself: what pure code may import, and that everything a user can name is in the docs."""

from __future__ import annotations

import ast
import contextlib
import graphlib
import importlib
import io
import pkgutil
import re
import shlex
import sys
import tomllib
import types
from pathlib import Path

import pytest
import typer

import barograph
import barograph_adapters
import barograph_models
import barograph_strategies
from barograph import orders
from barograph.cli.app import app
from barograph.config.paper import KINDS, SEVERITIES, AlertPlan, PaperPlan, Recipient, WatchPlan
from barograph.config.schema import (
    ChoosePlan,
    Config,
    Execution,
    FitPlan,
    GuardPlan,
    Period,
    RegistryPlan,
    SweepPlan,
)
from barograph.errors import FeedError, ShortageError, StoreError
from barograph.execution import events, guards, options
from barograph.paper.parity import CAUSES
from barograph.paper.projection import TABLES
from barograph.paper.store import COMMANDS
from tests import ROOT

DOCS = "\n".join(
    path.read_text(encoding="utf-8") for path in [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md"]
)
CONFIGS = sorted((ROOT / "configs").glob("*.toml"))

ALLOWED = {"__future__", "collections", "dataclasses", "enum", "fractions", "functools", "itertools", "math"} | {
    "typing", "barograph", "barograph_strategies", "numba", "numpy"
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


ENGINE = Path(barograph.__path__[0])
# What a fill is decided by: no clock, no files, no chance. The terms are words that become numbers before the run.
BROKER = [path.stem for path in sorted((ENGINE / "execution").glob("*.py")) if path.stem not in ("__init__", "terms")]
PURE = ["types", "orders", "jit/memory", "jit/periods", "regimes/mixture", "regimes/filtering", "loop/advance"]


def pure() -> list[Path]:
    own = [ENGINE / "execution" / f"{name}.py" for name in BROKER] + [ENGINE / f"{name}.py" for name in PURE]
    own += sorted((ENGINE / "features").glob("*.py"))
    return own + sorted(Path(barograph_strategies.__path__[0]).glob("*.py"))


@pytest.mark.parametrize("path", pure(), ids=lambda path: path.stem)
def test_pure_code_imports_no_clock_no_chance_no_system(path: Path) -> None:
    assert imported(path) <= ALLOWED | BUILDERS.get(path.stem, set())


def test_the_import_rule_can_fail(tmp_path: Path) -> None:
    (tmp_path / "planted.py").write_text("def f():\n    from time import time\n")
    assert not imported(tmp_path / "planted.py") <= ALLOWED


def factories(package: object) -> list[str]:
    """Name what has a factory of its own name: `labels` is an argument of classifiers."""
    found = [m.name for m in pkgutil.iter_modules(package.__path__) if not m.name.startswith("_")]  # type: ignore[attr-defined]
    return [name for name in found if hasattr(importlib.import_module(f"{package.__name__}.{name}"), name)]  # type: ignore[attr-defined]


def commands() -> list[str]:
    group = typer.main.get_command(app)
    found = []
    for name, command in group.commands.items():  # type: ignore[attr-defined]
        inner = getattr(command, "commands", None)
        found += [f"barograph {name} {sub}" for sub in inner] if inner else [f"barograph {name}"]
    return found


MODELS = (Config, Period, ChoosePlan, FitPlan, Execution, GuardPlan, SweepPlan, PaperPlan, WatchPlan, AlertPlan,
          Recipient, RegistryPlan)  # fmt: skip
KEYS = [name for model in MODELS for name in model.model_fields]
WORDS = [
    *options.FILLS,
    *options.PATHS,
    *orders.KINDS.values(),
    *orders.LIVES.values(),
    *events.ROLES.values(),
    *events.EVENTS.values(),
    *guards.GUARDS,
    *list(options.MODES.values())[1:],
    *options.ACCOUNTS,
    *orders.__all__,
]
SAID = [*KINDS, *SEVERITIES, *CAUSES, *COMMANDS, *TABLES]
NAMES = [*factories(barograph_models), *factories(barograph_strategies), *(path.stem for path in CONFIGS)]


@pytest.mark.parametrize("name", [*commands(), *KEYS, *NAMES, *SAID])
def test_everything_a_user_can_name_is_in_the_docs(name: str) -> None:
    assert name in DOCS


def words_of(command: str) -> list[str]:
    """Name a command's own options; --help is everywhere."""
    group = typer.main.get_command(app)
    for word in command.split()[1:]:
        group = group.commands[word]  # type: ignore[attr-defined]
    found = [word for option in group.params for word in option.opts if word.startswith("--")]
    return [word for word in found if word != "--help"]


@pytest.mark.parametrize("option", sorted({word for command in commands() for word in words_of(command)}))
def test_every_option_is_in_the_docs(option: str) -> None:
    assert re.search(rf"{option}\b", DOCS), option


PAGES = [*sorted((ROOT / "docs").glob("*.md")), *(ROOT / f"{n}.md" for n in ("README", "CONTRIBUTING", "CHANGELOG"))]


def anchors(path: Path) -> set[str]:
    """Return what can be linked to in a page."""
    heads = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_every_link_leads_somewhere(path: Path) -> None:
    for link in re.findall(r"\]\(([^)]+)\)", path.read_text(encoding="utf-8")):
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        assert target.is_file(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("path", [*PAGES, *CONFIGS], ids=lambda path: path.name)
def test_the_text_knows_no_machine(path: Path) -> None:
    """A path from the root of somebody's disk, or a host, is true in one place only."""
    text = path.read_text(encoding="utf-8")
    assert not re.search(r"(?<![\w.<])/(home|root|tmp|work|usr|opt|Users)\b|\bhttps?://", text)


@pytest.mark.parametrize("name", BROKER)
def test_the_layout_shows_what_decides_a_fill(name: str) -> None:
    assert re.search(rf"^\|.*\b{name}\b", (ROOT / "docs" / "design.md").read_text(encoding="utf-8"), re.M)


def test_every_key_is_in_the_table_of_the_configs_with_its_default() -> None:
    table = (ROOT / "docs" / "configs.md").read_text(encoding="utf-8")
    for name, field in Execution.model_fields.items():
        row = re.search(rf"^\|[^|]*\| `{name}` \|.*\| (.*) \|$", table, re.M)
        assert row, name
        told = row[1].strip("`").replace(",", "")
        if isinstance(field.default, float | int):
            assert float(told) == field.default, name
        elif isinstance(field.default, str):
            assert told == field.default, name


CONTRACT = (ROOT / "docs" / "execution.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", WORDS)
def test_every_word_of_the_contract_is_explained_in_it(name: str) -> None:
    """As a word of its own, set as code or as a call: "stop" is not explained by "stop_limit"."""
    assert re.search(rf"[`\"\s|]{name}[`\"(,:\s]", CONTRACT), name


@pytest.mark.parametrize("reason", events.REASONS.values())
def test_every_reason_is_explained_in_the_contract(reason: str) -> None:
    assert re.search(rf"[|,] {re.escape(reason)}( \||,)", CONTRACT), reason


@pytest.mark.parametrize("key", [*Execution.model_fields, "guards"])
def test_every_term_is_explained_in_the_contract(key: str) -> None:
    assert re.search(rf"\b{key}\b", CONTRACT), key


@pytest.mark.parametrize("clause", range(8))
def test_the_clauses_are_numbered(clause: int) -> None:
    assert f"\n**{clause}. " in CONTRACT


def test_the_example_of_the_contract_prints_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    # Compiling a whole machine takes half a minute; the bits are the same in plain Python.
    monkeypatch.setattr("numba.core.config.DISABLE_JIT", 1)
    (_, code), (_, shown) = re.findall(r"```(\w*)\n(.*?)```", CONTRACT, re.S)[:2]
    module = types.ModuleType("contract")
    monkeypatch.setitem(sys.modules, "contract", module)
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        exec(compile(code, "execution.md", "exec"), module.__dict__)
    assert out.getvalue() == shown


@pytest.mark.parametrize("name", ["barograph.service", "Containerfile", "crontab"])
def test_the_server_files_run_commands_that_exist(name: str) -> None:
    """A command line in a unit, a container or a crontab names the command and the options there are."""
    text = (ROOT / "docs" / "server" / name).read_text(encoding="utf-8").replace('", "', " ")
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    called = [line.partition("barograph paper ")[2] for line in lines if "barograph paper " in line]
    assert called
    for line in called:
        config, *options = line.strip('"]').split()
        assert config.endswith(".toml")
        assert set(options) <= set(words_of("barograph paper"))


LINES = re.findall(r"^(?:    |\$ |> )(barograph .*)$|`(barograph [^`]+)`", DOCS, re.M)


def misspelt(line: str) -> list[str]:
    """Return what a command line of the docs names that there is not: a command, or one of its options."""
    words = shlex.split(line, comments=True)
    group: object = typer.main.get_command(app)
    while len(words) > 1 and hasattr(group, "commands"):
        words.pop(0)
        if words[0].startswith("-"):
            break
        if words[0] not in group.commands:
            return words[:1]
        group = group.commands[words[0]]
    known = {word for option in group.params for word in option.opts} | {"--help"}  # type: ignore[attr-defined]
    return [word for word in words if word.startswith("-") and word.partition("=")[0] not in known]


def test_every_command_line_of_the_docs_names_commands_and_options_that_exist() -> None:
    lines = [one or other for one, other in LINES]
    assert len(lines) > 80
    assert {line: found for line in lines if (found := misspelt(line))} == {}
    wrong = {
        "barograph rum c.toml": ["rum"],
        "barograph data see F": ["see"],
        "barograph run c.toml --bound": ["--bound"],
    }
    assert {line: misspelt(line) for line in wrong} == wrong


def test_what_the_server_files_let_be_written_holds_the_compiled_code() -> None:
    """Without it every start compiles anew: the users of unit and container can write to one folder alone."""
    files = {
        "barograph.service": (r"^ReadWritePaths=(.*)$", r"^Environment=BAROGRAPH_CACHE=(.*)$"),
        "Containerfile": (r"install -d -o barograph (\S+)$", r"^ENV BAROGRAPH_CACHE=(.*)$"),
    }
    for name, patterns in files.items():
        text = (ROOT / "docs" / "server" / name).read_text(encoding="utf-8")
        (writable,), (cache,) = (re.findall(pattern, text, re.M) for pattern in patterns)
        assert Path(writable) in Path(cache).parents


def test_the_unit_starts_again_where_that_can_help() -> None:
    """Every code that the guides know, but for those of what nobody mends by starting again."""
    unit = (ROOT / "docs" / "server" / "barograph.service").read_text(encoding="utf-8")
    prevented = set(map(int, re.findall(r"^RestartPreventExitStatus=(.*)$", unit, re.M)[0].split()))
    known = {int(code) for code in re.findall(r"^\| (\d+) \| ", DOCS, re.M)}
    assert prevented <= known
    passing = {error.exit_code for error in (StoreError(""), ShortageError(""), FeedError(""))}
    assert not prevented & passing


def test_the_lock_names_no_host() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    assert "://" not in lock
    assert lock.count("--hash=sha256:") > 100


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_a_config_says_what_it_is(path: Path) -> None:
    assert path.read_text(encoding="utf-8").startswith("# ")
    assert tomllib.loads(path.read_text(encoding="utf-8"))["name"] == path.stem.replace("_", "-")


BY_NAME = re.compile(r"""pip install[^\n&|]*?[\s"'`]barograph(?=[\["'\s`=<>~!;,)]|$)""", re.M)
WRITTEN = {".py", ".md", ".toml", ".sh", ".txt", ".service", ".lock", ".yml", ""}


def texts() -> dict[str, str]:
    """Map the path of every file that somebody here wrote to its text; environments and build folders are not."""
    found = {}
    for top in sorted(ROOT.iterdir()):
        if top.name in ("build", "dist") or top.name.startswith(".") or top.name.endswith(".egg-info"):
            continue
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.suffix in WRITTEN and path.is_file():
                found[path.relative_to(ROOT).as_posix()] = path.read_text(encoding="utf-8", errors="ignore")
    return found


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        ("pip install 'barograph[live]'", True),
        ("python -m pip install barograph bt", True),
        ("pip install barograph==0.1.0", True),
        ("pip install bt; pip install barograph; ls", True),
        ("pip install 'barograph>=0.1'", True),
        ("pip install barograph~=0.1", True),
        ("pip install '.[live]'", False),
        ("pip install barograph-0.1.0-py3-none-any.whl", False),
    ],
)
def test_the_rule_about_the_name_can_fail(line: str, wrong: bool) -> None:
    assert bool(BY_NAME.search(line)) is wrong


def test_nobody_is_told_to_install_a_name_that_nobody_owns() -> None:
    """Whoever takes the name on the public index would own every reader's server."""
    own = Path(__file__).relative_to(ROOT).as_posix()
    told = {path: BY_NAME.findall(text) for path, text in texts().items() if path != own}
    assert {"README.md", "docs/server/Containerfile", "docs/server/barograph.service"} <= set(told)
    assert not {path: lines for path, lines in told.items() if lines}


IMPORTS = sorted(
    set(re.findall(r"^\s*(from barograph[\w.]* import (?:\([^)]*\)|[\w, ]+)|import barograph[\w.]*)", DOCS, re.M))
)


@pytest.mark.parametrize("line", IMPORTS)
def test_every_import_of_the_docs_works(line: str) -> None:
    exec(line, {})


def test_the_docs_import_something() -> None:
    assert len(IMPORTS) > 10


GUIDE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(r"^\| (.*\?) \| `(.*)` \| `(.*)` \|$", GUIDE, re.M)


PACKAGES = {
    "engine": barograph,
    "models": barograph_models,
    "strategies": barograph_strategies,
    "adapters": barograph_adapters,
}


def installed(path: str) -> Path:
    """Find a file of the source where it is installed: the wheel is tested without the source beside it."""
    top, _, rest = path.partition("/")
    return Path(PACKAGES[top].__path__[0]).parent / rest if top in PACKAGES else ROOT / path


@pytest.mark.parametrize(("question", "path", "name"), QUESTIONS)
def test_what_somebody_asks_is_where_the_guide_says(question: str, path: str, name: str) -> None:
    tree = ast.parse(installed(path).read_text(encoding="utf-8"))
    defined = [node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert name in defined


def test_the_guide_answers_ten_questions() -> None:
    assert len(QUESTIONS) >= 10


WINGS = sorted(path.name for path in ENGINE.iterdir() if (path / "__init__.py").is_file())
LOOSE = {"__init__", "__main__", "types", "errors", "epoch", "orders"}
# Siblings of one kind, of which there may be many.
SIBLINGS = {"versions", "feeds", "barograph_models", "barograph_strategies"}


@pytest.mark.parametrize("wing", WINGS)
def test_every_wing_is_in_the_guides_and_says_what_goes_into_it(wing: str) -> None:
    assert f"\n- `{wing}`:" in GUIDE
    assert re.search(rf"^\|.*`{wing}`", (ROOT / "docs" / "design.md").read_text(encoding="utf-8"), re.M)
    told = ast.get_docstring(ast.parse((ENGINE / wing / "__init__.py").read_text(encoding="utf-8")))
    assert told


def test_no_module_stands_outside_a_wing() -> None:
    assert {path.stem for path in ENGINE.glob("*.py")} == LOOSE


def test_no_room_is_a_hall() -> None:
    folders = {path.parent for package in PACKAGES.values() for path in Path(package.__path__[0]).rglob("*.py")}
    assert ENGINE / "execution" in folders
    large = {folder.name: len(list(folder.glob("[!_]*.py"))) for folder in folders if folder.name not in SIBLINGS}
    assert {name: count for name, count in large.items() if count > 16} == {}


def imports() -> dict[str, set[str]]:
    """Map every module of ours to those of ours that it imports, anywhere in it, for typing too."""
    roots = [Path(package.__path__[0]) for package in PACKAGES.values()]
    files = {
        ".".join(path.relative_to(root.parent).with_suffix("").parts): path
        for root in roots
        for path in root.rglob("*.py")
    }
    files = {name.removesuffix(".__init__"): path for name, path in files.items()}
    graph = {}
    for name, path in files.items():
        found = set()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found |= {
                    f"{node.module}.{a.name}" if f"{node.module}.{a.name}" in files else node.module for a in node.names
                }
        graph[name] = {other for other in found if other in files and other != name}
    return graph


def test_there_is_no_circle() -> None:
    graph = imports()
    assert len(graph) > 150
    graphlib.TopologicalSorter(graph).prepare()


def test_a_circle_would_be_found() -> None:
    graph = imports()
    graph["barograph.types"] = {"barograph.loop.machine"}
    with pytest.raises(graphlib.CycleError):
        graphlib.TopologicalSorter(graph).prepare()
