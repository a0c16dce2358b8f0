"""A user's modules: found beside the config as Python would find them, and seen by nobody else."""

from __future__ import annotations

import json
import multiprocessing
import pickle
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from barograph.config.modules import beside, load
from barograph.errors import as_written

HELPER = """K = 7
_hidden = 1
def f():
    '''Say so.

    >>> f()
    'f of helper'
    '''
    return 'f of helper'
"""
PACKAGE = {
    "pkg/__init__.py": "WHO = 'pkg'\n",
    "pkg/sub.py": "def f():\n    return 'f of sub'\n",
    "pkg/deep/__init__.py": "",
    "pkg/deep/leaf.py": "from .. import WHO\nfrom ..sub import f\nfrom . import twig\nALL = (WHO, f(), twig.T)\n",
    "pkg/deep/twig.py": "T = 'twig'\n",
}
FILES = {"helper.py": HELPER, **PACKAGE}
# What `mine.py` says, and files beside it that are not the usual ones; the answer is what `answer()` returns.
FORMS: dict[str, tuple[str, dict[str, str]]] = {
    "import": ("import helper\ndef answer(): return helper.f()", {}),
    "import as": ("import helper as h\ndef answer(): return h.f()", {}),
    "import two": ("import helper, pkg.sub\ndef answer(): return helper.f(), pkg.sub.f()", {}),
    "from": ("from helper import f\ndef answer(): return f()", {}),
    "from as": ("from helper import f as g, K\ndef answer(): return g(), K", {}),
    "star": ("from helper import *\ndef answer(): return f(), K, '_hidden' in globals()", {}),
    "star with all": ("from helper import *\ndef answer(): return _hidden, 'K' in globals()",
                      {"helper.py": "__all__ = ['_hidden']\n" + HELPER}),
    "star of a package": ("from pkg import *\ndef answer(): return sub.f(), 'WHO' in globals()",
                          {"pkg/__init__.py": "__all__ = ['sub']\nWHO = 1\n"}),
    "dotted": ("import pkg.sub\ndef answer(): return pkg.sub.f(), pkg.WHO", {}),
    "dotted as": ("import pkg.deep.leaf as leaf\ndef answer(): return leaf.ALL", {}),
    "from a package": ("from pkg import sub, WHO\ndef answer(): return sub.f(), WHO", {}),
    "from a submodule": ("from pkg.deep.leaf import ALL\ndef answer(): return ALL", {}),
    "a submodule nobody imported": ("import pkg\ndef answer(): return hasattr(pkg, 'sub')", {}),
    "in a function": ("def answer():\n    import helper\n    from pkg.sub import f\n    return helper.f(), f()", {}),
    "in a class": ("class C:\n    import helper\n    K = helper.K\ndef answer(): return C.K, C.helper.f()", {}),
    "in a generator": ("def g():\n    import helper\n    yield helper.K\ndef answer(): return list(g())", {}),
    "in a thread": ("import threading\ndef answer():\n    out = []\n    def go():\n        import helper\n"
                    "        out.append(helper.K)\n    t = threading.Thread(target=go)\n    t.start(); t.join()\n"
                    "    return out", {}),
    "a helper's own, later": ("import helper\ndef answer(): return helper.late()",
                              {"helper.py": "def late():\n    import pkg.sub\n    return pkg.sub.f()\n"}),
    "by a name": ("import importlib\ndef answer(): return importlib.import_module('helper').f()", {}),
    "by a dotted name": ("from importlib import import_module\ndef answer(): return import_module('pkg.sub').f()", {}),
    "by a relative name": ("import importlib as i\ndef answer(): return i.import_module('.sub', 'pkg').f()", {}),
    "by a relative name, from inside": ("from pkg import WHO as W\ndef answer(): return W",
        {"pkg/__init__.py": "import importlib\nWHO = importlib.import_module('.sub', __package__).f()\n"}),
    "by a relative name too far": ("import importlib\ndef answer(): importlib.import_module('..x', 'pkg')", {}),
    "by a relative name without a package": ("from importlib import import_module\n"
                                             "def answer(): import_module('.helper')", {}),
    "dunder import": ("def answer(): return __import__('helper').f(), hasattr(__import__('pkg.sub'), 'WHO')", {}),
    "dunder import with names": ("def answer(): return __import__('pkg.sub', fromlist=['f']).f()", {}),
    "dunder import of oneself": ("class C: pass\ndef answer(): return __import__(C.__module__).C is C", {}),
    "in exec": ("def answer():\n    found = {}\n    exec('import helper', found)\n    return found['helper'].f()", {}),
    "in eval": ("def answer(): return eval('__import__(\"helper\").K')", {}),
    "optional": ("try:\n    import nothing_of_the_kind as n\nexcept ImportError:\n    n = None\n"
                 "def answer(): return n", {}),
    "for typing": ("from __future__ import annotations\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n"
                   "    from helper import Nothing\ndef answer(x: Nothing = None): return x", {}),
    "hints": ("from __future__ import annotations\nimport typing\nfrom pkg.sub import f as F\nclass C: pass\n"
              "def g(x: C, y: int) -> C: ...\n"
              "def answer(): return [v.__name__ for v in typing.get_type_hints(g).values()]", {}),
    "a circle": ("import a\ndef answer(): return a.of_b()",
                 {"a.py": "import b\nX = 1\ndef of_b(): return b.of_a()\n",
                  "b.py": "import a\ndef of_a(): return a.X\n"}),
    "a circle that cannot be": ("def answer(): import a",
                                {"a.py": "from b import Y\nX = 1\n", "b.py": "from a import X\nY = 1\n"}),
    "no such module": ("def answer(): import nothing_of_the_kind", {}),
    "no such submodule": ("def answer(): import pkg.nothing", {}),
    "no such name": ("def answer(): from helper import nothing", {}),
    "no package": ("def answer(): import helper.sub", {}),
    "relative at the top": ("def answer(): from . import helper", {}),
    "relative too far": ("def answer(): import pkg.deep.leaf", {"pkg/deep/leaf.py": "from ... import helper\n"}),
    "a syntax error": ("def answer(): import helper", {"helper.py": "K = = 1\n"}),
    "an error at import": ("def answer():\n    try:\n        import helper\n    except ZeroDivisionError:\n"
                           "        import helper", {"helper.py": "1 / 0\n"}),
    "without __init__": ("import space.part\ndef answer(): return space.part.P", {"space/part.py": "P = 3\n"}),
    "without __init__, and a library's name": ("import colorsys\ndef answer(): return colorsys.rgb_to_hsv(0, 0, 0)",
                                               {"colorsys/part.py": "P = 3\n"}),
    "a library's name": ("import colorsys\ndef answer(): return colorsys.MINE", {"colorsys.py": "MINE = True\n"}),
    "a built-in name": ("import time\ndef answer(): return hasattr(time, 'MINE')", {"time.py": "MINE = True\n"}),
    "a frozen name": ("import os\ndef answer(): return hasattr(os, 'MINE')", {"os.py": "MINE = True\n"}),
    "libraries": ("import json.decoder as d, xml.dom\nfrom collections import abc\n"
                  "def answer(): return d.__name__, xml.dom.__name__, abc.__name__", {}),
    "importlib itself": ("import importlib.util\nfrom importlib import util as u, machinery\n"
                         "def answer(): return importlib.util is u, u.find_spec('json').name", {}),
    "pickled": ("import pickle, helper\nfrom dataclasses import dataclass\nfrom enum import Enum\n"
                "from typing import NamedTuple\n@dataclass\nclass D:\n    x: int\nclass E(Enum):\n    A = 1\n"
                "class N(NamedTuple):\n    y: int\n"
                "def answer():\n    again = pickle.loads(pickle.dumps((D(1), E.A, N(2), helper.f, answer)))\n"
                "    return again[0] == D(1), again[1] is E.A, type(again[2]) is N, again[3] is helper.f", {}),
    "sources": ("import inspect as i, helper\ndef answer(): return i.getsource(helper.f), i.getsource(answer)", {}),
    "doctests": ("import doctest, helper\ndef answer(): return tuple(doctest.testmod(helper))", {}),
    "reloaded": ("import importlib, helper\ndef answer():\n    helper.K = 0\n"
                 "    return importlib.reload(helper) is helper, helper.K", {}),
    "oneself": ("import sys\nX = 5\n"
                "def answer(): return sys.modules[__name__].X, sys.modules[answer.__module__].X", {}),
    "a file beside": ("from pathlib import Path\n"
                      "def answer(): return Path(__file__).with_name('helper.py').exists()", {}),
    "builtins": ("import builtins\n"
                 "def answer(): return len([1]), builtins.len is len, isinstance(__builtins__, dict)", {}),
}  # fmt: skip
# What `answer()` gives, or how it ends and at which lines of which files.
ASK = """
import json, traceback
from pathlib import Path
def ask(answer):
    try:
        return repr(answer())
    except Exception as error:
        told = [(Path(f.filename), f.lineno) for f in traceback.extract_tb(error.__traceback__)]
        lines = [(file.name, line) for file, line in told if file.is_relative_to(FOLDER)]
        return [type(error).__name__, str(error), getattr(error, "name", None), lines]
"""


def written(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("form", FORMS)
def test_every_way_of_importing_gives_what_python_gives(form: str, tmp_path: Path) -> None:
    text, more = FORMS[form]
    folder = written(tmp_path, {**FILES, **more, "mine.py": text})
    ask = ASK.replace("FOLDER", repr(str(folder)))
    front = f"import sys; sys.path.insert(0, {str(folder)!r}); sys.dont_write_bytecode = True"
    wanted = run(f"{ask}\n{front}\nimport mine\nprint(json.dumps(ask(mine.answer)))")
    path, names = list(sys.path), set(sys.modules)
    scope: dict[str, Any] = {}
    exec(ask, scope)
    found = as_written(json.dumps(scope["ask"](load("mine", folder).answer)))
    assert json.loads(found) == json.loads(wanted)
    assert sys.path == path
    assert not [name for name in set(sys.modules) - names if name.partition(".")[0] in
                {"mine", "helper", "pkg", "space", "a", "b"}]  # fmt: skip


def test_one_folder_is_one_namespace_however_it_is_spelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = written(tmp_path / "one", {"mine.py": "X = 1\n"})
    (tmp_path / "link").symlink_to(folder)
    monkeypatch.chdir(folder)
    places = (folder, tmp_path / "link", Path(), Path("../one"))
    assert {id(load("mine", place)) for place in places} == {id(load("mine", folder))}
    other = written(tmp_path / "other", {"mine.py": "X = 1\n"})
    assert load("mine", other) is not load("mine", folder)


def test_a_folder_is_read_again_when_a_file_that_was_imported_is_another(tmp_path: Path) -> None:
    folder = written(tmp_path, {"mine.py": "import helper\nX = helper.K\n", "helper.py": "K = 1\n", "left.py": ""})
    first = load("mine", folder)
    (folder / "left.py").write_text("K = 2\n")
    beside(folder).refresh()
    assert load("mine", folder) is first
    # Another text of the same length, in the same second.
    (folder / "helper.py").write_text("K = 2\n")
    assert load("mine", folder) is first
    beside(folder).refresh()
    assert (load("mine", folder).X, first.X) == (2, 1)
    (folder / "helper.py").unlink()
    beside(folder).refresh()
    with pytest.raises(ModuleNotFoundError, match="helper"):
        load("mine", folder)


def test_a_module_written_a_moment_ago_is_found(tmp_path: Path) -> None:
    for name in ("one", "two", "three"):
        with pytest.raises(ModuleNotFoundError):
            load(name, tmp_path)
        (tmp_path / f"{name}.py").write_text("")
        load(name, tmp_path)


def test_what_ships_is_never_a_file_of_the_users(tmp_path: Path) -> None:
    import barograph.features

    folder = written(
        tmp_path, {"barograph/__init__.py": "", "barograph/features.py": "", "mine.py": "import barograph"}
    )
    assert load("barograph.features", folder) is barograph.features
    assert load("mine", folder).barograph is barograph


def test_nothing_is_written_beside_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "dont_write_bytecode", False)
    folder = written(tmp_path, {**FILES, "mine.py": "import helper, pkg.deep.leaf\n"})
    before = sorted(folder.rglob("*"))
    load("mine", folder)
    assert sorted(folder.rglob("*")) == before


def test_an_extension_beside_the_config_is_loaded(tmp_path: Path) -> None:
    import _queue

    folder = written(tmp_path, {"mine.py": "import _queue\n"})
    file = getattr(_queue, "__file__", None)
    if file is None:
        pytest.skip("this Python has no extension that is a file")
    shutil.copy(file, folder)
    assert Path(load("mine", folder)._queue.__file__).parent == folder


POOL = """
import multiprocessing
import helper

def square(x):
    return helper.K * x

def answer(how):
    with multiprocessing.get_context(how).Pool(1) as pool:
        return pool.map(square, [1, 2])
"""


@pytest.mark.parametrize("how", ["spawn", "forkserver", "fork"])
def test_workers_of_the_users_own_find_their_modules(how: str, tmp_path: Path) -> None:
    if how not in multiprocessing.get_all_start_methods():
        pytest.skip(f"this system has no {how}")
    folder = written(tmp_path / "a b.c_d-é", {"helper.py": "K = 3\n", "mine.py": POOL})
    code = "from pathlib import Path\nfrom barograph.config.modules import load\n"
    code += f"if __name__ == '__main__': print(load('mine', Path({str(folder)!r})).answer({how!r}))"
    assert run(code) == "[3, 6]\n"


def test_a_pickle_is_read_by_a_later_process(tmp_path: Path) -> None:
    folder = written(tmp_path, {"helper.py": "K = 3\n", "mine.py": "import helper\ndef f():\n    return helper.K\n"})
    (folder / "f.pickle").write_bytes(pickle.dumps(load("mine", folder).f))
    code = f"import pickle\nprint(pickle.load(open({str(folder / 'f.pickle')!r}, 'rb'))())"
    assert run(code) == "3\n"
