"""What `code_hash` covers: every file of the user's that a config reaches, and no other."""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

import pytest

from barograph.config.modules import beside, load
from barograph.config.provenance import code_hash
from barograph.config.reached import reached
from barograph.config.schema import Config
from tests.config.test_modules import written

HELD = """name = "one"
data = { use = "mine:bars" }
strategy = { use = "barograph_strategies.buy_and_hold:buy_and_hold" }
"""
USER = {
    "mine.py": "import helper\nfrom pkg import sub\ndef bars():\n    import later\n    return later.NUMBERS\n",
    "helper.py": "from numbers_of_mine import A\n",
    "numbers_of_mine.py": "A = 1\n",
    "later.py": "NUMBERS = [1, 2]\n",
    "pkg/__init__.py": "",
    "pkg/sub.py": "from . import below\nfrom .deep.leaf import L\n",
    "pkg/below.py": "",
    "pkg/deep/__init__.py": "",
    "pkg/deep/leaf.py": "from ... import nowhere\nfrom ..named import *\nL = 1\n",
    "pkg/named.py": "import importlib\nN = importlib.import_module('by_name')\n"
    "M = importlib.import_module('.deep.twig', __package__), importlib.import_module('.at', 'pkg.deep')\n"
    "def never():\n    return __import__('.'), importlib.import_module('..a', 'pkg')\n",
    "pkg/deep/twig.py": "",
    "pkg/deep/at.py": "",
    "by_name.py": "",
    "typed.py": "",
}
OTHERS = {"stranger.py": "X = 1\n", "pkg/stranger.py": "", "data.csv": "1,2\n", "numpy_like.py": ""}


def config(text: str = HELD) -> Config:
    return Config.model_validate(tomllib.loads(text))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    typed = {"mine.py": f"from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import typed\n{USER['mine.py']}"}
    return written(tmp_path / "here", {**USER, **OTHERS, **typed})


def test_what_is_reached_is_every_file_that_an_import_names_and_no_other(folder: Path) -> None:
    assert set(reached(["mine"], folder)) == set(USER)


@pytest.mark.parametrize("name", USER)
def test_an_edit_of_any_file_that_is_reached_is_another_hash(folder: Path, name: str) -> None:
    before = code_hash(config(), folder)
    assert code_hash(config(), folder) == before
    (folder / name).write_text(f"{(folder / name).read_text()}\nEDITED = 1\n")
    assert code_hash(config(), folder) != before


@pytest.mark.parametrize("name", OTHERS)
def test_an_edit_of_a_file_that_nobody_imports_is_not(folder: Path, name: str) -> None:
    before = code_hash(config(), folder)
    (folder / name).write_text("EDITED = 1\n")
    assert code_hash(config(), folder) == before


def test_a_folder_that_moved_has_the_hash_it_had_and_a_renamed_file_another(folder: Path, tmp_path: Path) -> None:
    before = code_hash(config(), folder)
    shutil.copytree(folder, tmp_path / "moved")
    assert code_hash(config(), tmp_path / "moved") == before
    for path in tmp_path.joinpath("moved").rglob("*.py"):
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    assert code_hash(config(), tmp_path / "moved") == before
    (folder / "by_name.py").rename(folder / "by_nane.py")
    assert code_hash(config(), folder) != before


def test_what_has_run_already_and_in_which_order_is_no_matter(folder: Path) -> None:
    written(folder, {"pkg/deep/leaf.py": "L = 1\n", "other.py": "import stranger\n"})
    before = code_hash(config(), folder)
    load("other", folder)
    load("mine", folder).bars()
    assert code_hash(config(), folder) == before


def test_what_was_imported_by_a_name_of_the_moment_counts(folder: Path) -> None:
    written(folder, {"mine.py": "def bars(name):\n    return __import__(name, fromlist=['X'])\n"})
    module = load("mine", folder)
    assert set(reached(["mine"], folder)) == {"mine.py"}
    (folder / "pkg" / "__init__.py").write_text("__import__(''.join(['by_', 'name']))\n")
    module.bars("pkg.stranger")
    assert set(reached(["mine"], folder)) == {"mine.py", "pkg/__init__.py", "pkg/stranger.py", "by_name.py"}


def test_what_ran_is_hashed_not_what_lies_there_since(folder: Path) -> None:
    written(folder, {"pkg/deep/leaf.py": "L = 1\n"})
    load("mine", folder)
    before = code_hash(config(), folder)
    (folder / "helper.py").write_text("EDITED = 1\n")
    load("mine", folder)
    assert code_hash(config(), folder) == before
    beside(folder).refresh()
    assert code_hash(config(), folder) != before


def test_the_part_of_a_part_counts(folder: Path) -> None:
    wrapped = '{ use = "barograph_strategies.protected:protected", stop = 0.1, of = [{ use = "stranger:X" }] }'
    text = HELD.replace('{ use = "barograph_strategies.buy_and_hold:buy_and_hold" }', wrapped)
    before = code_hash(config(text), folder)
    (folder / "stranger.py").write_text("X = 2\n")
    assert code_hash(config(text), folder) != before


def test_code_on_the_path_counts_whole_and_what_is_installed_only_where_it_is_named(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = {"shared_of_mine/__init__.py": "", "shared_of_mine/far.py": "", "single_of_mine.py": ""}
    plug = {"plug_of_theirs/__init__.py": "", "plug_of_theirs/far.py": "import single_of_theirs\n"}
    installed = written(tmp_path / "site-packages", {**plug, "single_of_theirs.py": ""})
    for path in (installed, written(tmp_path / "lib", shared)):
        monkeypatch.syspath_prepend(path)
    imports = "import json, numpy, plug_of_theirs\nimport shared_of_mine, single_of_mine, time\n"
    written(folder, {"mine.py": imports})
    assert set(reached(["mine"], folder)) == {"mine.py", *shared}
    assert set(reached(["mine", "plug_of_theirs"], folder)) == {"mine.py", *shared, *plug}
