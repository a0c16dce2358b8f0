"""The compile cache cannot go stale, and is not shy either: edits in fresh processes, ours and the user's.

The laboratory (`cache_lab`) is a small project with one door for each thing that may be edited. It is copied together
with the engine, run once to fill a cache, edited with every file's date put back, and run again; the truth is a run
with an empty cache. The negative controls break the fingerprint on purpose and see the laboratory notice.
"""

from __future__ import annotations

import ast
import json
import logging
import os
import random
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import barograph
from barograph.errors import ConfigError
from barograph.jit.cache import cache_limit, prune
from barograph.jit.kernel import compiled
from barograph.testing import some_bars
from barograph_strategies.buy_and_hold import buy_and_hold

LAB = Path(__file__).parent / "cache_lab"
ENGINE = Path(barograph.__file__).parent
STATISTICS = """
from barograph.jit.kernel import kernel


@kernel
def middle_of(x):
    return x / 2.0
"""

# door: (file, what stands there, what shall stand there)
EDITS = {
    "body": ("cache_lab/doors.py", "x + 1.0", "x + 2.0"),
    "one_away": ("cache_lab/one.py", "x + 100.0", "x + 200.0"),
    "two_away": ("cache_lab/two.py", "x + 20.0", "x + 30.0"),
    "three_away": ("cache_lab/three.py", "x + 3.0", "x + 4.0"),
    "constant": ("cache_lab/one.py", "YEAR = 365.0", "YEAR = 366.0"),
    "through_module": ("cache_lab/one.py", "AGE = 30.0", "AGE = 31.0"),
    "fields": ("cache_lab/one.py", "first: float\n    second: float", "second: float\n    first: float"),
    "named_constant": ("cache_lab/one.py", "Pair(1.0, 2.0)", "Pair(1.0, 4.0)"),
    "combinator": ("cache_lab/combine.py", "outer(inner(x))", "inner(outer(x))"),
    "cell": ("cache_lab/combine.py", "plus(5.0)", "plus(6.0)"),
    "tuple_of_kernels": ("cache_lab/combine.py", "(half, 5.0)", "(third, 5.0)"),
    "default": ("cache_lab/one.py", "by=7.0", "by=8.0"),
    "own_default": ("cache_lab/doors.py", "by=9.0", "by=10.0"),
    "array": ("cache_lab/one.py", "[1.0, 2.0, 3.0]", "[1.0, 5.0, 3.0]"),
    "record": ("cache_lab/one.py", '("b", "i8")', '("b", "i4")'),
    "number_type": ("cache_lab/one.py", "numba.float32", "numba.float64"),
    "enumeration": ("cache_lab/one.py", "SELL = 2", "SELL = 3"),
    "nested": ("cache_lab/doors.py", "y + 19.0", "y + 20.0"),
    "recursion": ("cache_lab/one.py", "return 5.0", "return 6.0"),
    "shadow": (
        "cache_lab/doors.py",
        "@compiled\ndef shadow",
        "@one.kernel\ndef abs(x):\n    return x\n\n\n@compiled\ndef shadow",
    ),
    "like_the_library": ("statistics.py", "x / 2.0", "x / 4.0"),
    "overloaded": ("cache_lab/extend.py", "x + 11.0", "x + 12.0"),
    "method": ("cache_lab/extend.py", "array[0] * 2.0", "array[0] * 3.0"),
    "written_in": ("cache_lab/extend.py", "types.int64, 7", "types.int64, 8"),
    "lowered": ("cache_lab/extend.py", "types.float64, 23.0", "types.float64, 24.0"),
    "jitable": ("cache_lab/extend.py", "x - 13.0", "x - 14.0"),
    "beyond": ("cache_lab/extend.py", "x + 17.0", "x + 18.0"),
    "called": ("cache_lab/one.py", "x + 31.0", "x + 32.0"),
    "below_called": ("cache_lab/one.py", "x * 37.0", "x * 38.0"),
    "lent": ("cache_lab/one.py", "pair.first + 41.0", "pair.first + 43.0"),
    "engine_kernel": ("barograph/execution/sizes.py", "held * size >= 0.0 else 0.0", "held * size >= 0.0 else 1.0"),
    "engine_constant": ("barograph/epoch.py", "DAY: Final = 86_400_000", "DAY: Final = 3_600_000"),
    "engine_overload": ("barograph/execution/answers.py", "out[a] = weights / count", "out[a] = 2.0 * weights / count"),
}
# A plain `njit` function has no fingerprint.
NEVER_CACHED = {"beyond"}
# How the fingerprint is weakened, and which edits must then go unnoticed.
CONTROLS = {
    "reach": {"one_away", "three_away", "fields", "cell", "array", "overloaded", "engine_kernel"},
    "body": {"body", "one_away", "nested", "overloaded", "engine_overload"},
    "fields": {"fields"},
    "extensions": {"overloaded", "method", "lowered"},
    "library": {"like_the_library"},
}


def copy_lab(folder: Path) -> Path:
    """Put the laboratory, the engine and a module named like one of the library's into a folder."""
    for source in (LAB, ENGINE):
        shutil.copytree(source, folder / source.name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "statistics.py").write_text(STATISTICS)
    return folder


def edit(lab: Path, doors=EDITS) -> None:
    """Make the edits, each file's date unchanged."""
    for name, old, new in (EDITS[door] for door in doors):
        text, date = (lab / name).read_text(), (lab / name).stat()
        assert text.count(old) == 1, f"{name} has {text.count(old)} times {old!r}; name another place to edit"
        rewrite(lab / name, text.replace(old, new))
        assert (lab / name).stat().st_mtime_ns == date.st_mtime_ns


def rewrite(file: Path, text: str) -> None:
    date = file.stat()
    file.write_text(text)
    os.utime(file, ns=(date.st_atime_ns, date.st_mtime_ns))


def run(lab: Path, cache: Path, doors=(), **environment: str) -> dict[str, tuple[float, int]]:
    """Call doors in a fresh process; return {door: (answer, compilations)}."""
    answers = lab / f"answers-{os.urandom(4).hex()}.json"
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("NUMBA", "COV"))}
    # Python's own bytecode cache goes by date and size: it would hide the edits.
    mine = {"BAROGRAPH_CACHE": str(cache), "PYTHONPATH": str(lab), "PYTHONDONTWRITEBYTECODE": "1", **environment}
    call = [sys.executable, "-m", "cache_lab", str(answers), *doors]
    done = subprocess.run(call, env={**clean, **mine}, cwd=lab, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return {door: tuple(found) for door, found in json.loads(answers.read_text()).items()}


def together(*calls):
    """Run several processes at once."""
    with ThreadPoolExecutor(len(calls)) as pool:
        return [future.result() for future in [pool.submit(run, *call) for call in calls]]


def compiled_doors(found) -> set[str]:
    return {door for door, (_, compilations) in found.items() if compilations}


def stale_doors(found, truth) -> set[str]:
    return {door for door in truth if found[door][0] != truth[door][0]}


@pytest.fixture(scope="module")
def before(tmp_path_factory):
    """A laboratory, its filled cache, and what the doors answered."""
    lab = copy_lab(tmp_path_factory.mktemp("lab"))
    return lab, lab / "cache", run(lab, lab / "cache")


@pytest.fixture(scope="module")
def after(before, tmp_path_factory):
    """What an edited copy answers with the filled cache, and with none."""
    _, cache, _ = before
    lab = copy_lab(tmp_path_factory.mktemp("edited"))
    edit(lab)
    warm = shutil.copytree(cache, lab / "warm")
    return together((lab, warm), (lab, lab / "cold"))


@pytest.mark.parametrize("door", EDITS)
def test_an_edit_however_far_away_changes_the_answer(before, after, door):
    found, truth = after
    assert truth[door][0] != before[2][door][0], "this edit proves nothing"
    assert found[door][0] == truth[door][0]
    assert found[door][1] > 0


def test_what_is_not_edited_is_not_compiled_again(before, after):
    found, truth = after
    untouched = set(truth) - set(EDITS)
    assert untouched == {"untouched", "engine_views"}
    assert compiled_doors(truth) == set(truth)
    assert not compiled_doors(found) & untouched


def reword(file: Path) -> None:
    """Change every comment, blank line and docstring of a file, and nothing else."""
    lines = file.read_text().splitlines()
    functions = [node for node in ast.walk(ast.parse("\n".join(lines))) if isinstance(node, ast.FunctionDef)]
    for node in sorted(functions, key=lambda node: -node.lineno):
        first = node.body[0]
        indent = " " * first.col_offset
        told = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
        lines[first.lineno - 1 : first.end_lineno if told else first.lineno - 1] = [
            f'{indent}"""Say it in other words."""',
            "",
            f"{indent}# And remark upon it.",
        ]
    rewrite(file, "# A remark.\n\n\n" + "\n".join(lines) + "\n")


def test_a_comment_a_blank_line_and_a_docstring_compile_nothing(before, tmp_path):
    """Nor does another folder, nor another seed of Python's hashes."""
    _, cache, answers = before
    lab = copy_lab(tmp_path)
    for file in [
        *(lab / "cache_lab").glob("[a-z]*.py"),
        lab / "statistics.py",
        *(lab / "barograph").rglob("[a-z]*.py"),
    ]:
        reword(file)
    assert "other words" in (lab / "barograph" / "execution" / "clauses.py").read_text()
    found = run(lab, cache, PYTHONHASHSEED="7")
    assert compiled_doors(found) == NEVER_CACHED
    assert stale_doors(found, answers) == set()


@pytest.mark.parametrize(
    "how", [pytest.param(how, marks=() if how == "reach" else pytest.mark.long) for how in CONTROLS]
)
def test_the_laboratory_notices_a_weak_fingerprint(after, tmp_path, how):
    lab, doors = copy_lab(tmp_path / how), sorted({"body", "own_default", "overloaded", *CONTROLS[how]})
    run(lab, lab / "cache", doors, LAB_WEAKEN=how)
    edit(lab, doors)
    found = run(lab, lab / "cache", doors, LAB_WEAKEN=how)
    assert stale_doors(found, {door: after[1][door] for door in doors}) == CONTROLS[how]


@pytest.mark.parametrize(("how", "answer"), [("", 202_400.0), ("symbol", 202_202.0)])
def test_closures_of_one_factory_from_two_processes_are_not_linked_as_one(tmp_path, how, answer):
    """Without the fingerprint in its symbol's name one door runs in the other's place: the control shows it."""
    lab, cache = copy_lab(tmp_path), tmp_path / "cache"
    assert run(lab, cache, ["1"], LAB_WEAKEN=how) == {"1": (202.0, 2)}
    assert run(lab, cache, ["100"], LAB_WEAKEN=how) == {"100": (400.0, 2)}
    # Only the door over both is compiled, from two doors that were loaded.
    assert run(lab, cache, ["1+100"], LAB_WEAKEN=how) == {"1+100": (answer, 1)}
    assert run(lab, cache, ["1+100"], LAB_WEAKEN=how) == {"1+100": (answer, 0)}


def test_processes_that_compile_the_same_at_once_do_not_disturb_each_other(before, tmp_path):
    lab, _, answers = before
    doors = ("one_away", "three_away", "engine_overload")
    for found in together(*[(lab, tmp_path, doors)] * 2):
        assert stale_doors(answers, found) == set()
    assert not list(tmp_path.glob(".new-*"))
    assert len(list(tmp_path.glob("*.kernel"))) == len(doors)
    assert compiled_doors(run(lab, tmp_path, doors)) == set()


def test_a_damaged_file_is_compiled_again(before, tmp_path):
    lab, cache, answers = before
    damage = {
        "body": lambda data: data[: len(data) // 2],
        "one_away": lambda _: b"",
        "cell": lambda data: data[:-100] + bytes([data[-100] ^ 1]) + data[-99:],
        "array": lambda data: data[:20],
    }
    shutil.copytree(cache, tmp_path / "cache")
    for door, spoil in damage.items():
        (file,) = (tmp_path / "cache").glob(f"{door}-*.kernel")
        file.write_bytes(spoil(file.read_bytes()))
    doors = [*damage, "untouched"]
    found = run(lab, tmp_path / "cache", doors)
    assert compiled_doors(found) == set(damage)
    assert stale_doors(answers, found) == set()
    assert compiled_doors(run(lab, tmp_path / "cache", doors)) == set()


@pytest.mark.parametrize("spoil", [lambda file: file.unlink(), lambda file: file.write_bytes(b"cut short")])
def test_a_door_whose_called_kernel_is_gone_is_compiled_again(before, tmp_path, spoil):
    """A door alone would call a symbol that nobody has."""
    lab, cache, answers = before
    shutil.copytree(cache, tmp_path / "cache")
    (file,) = (tmp_path / "cache").glob("apart-*.kernel")
    spoil(file)
    found = run(lab, tmp_path / "cache", ["called", "below_called", "untouched"])
    assert compiled_doors(found) == {"called"}
    assert stale_doors(found, {"called": answers["called"]}) == set()
    assert compiled_doors(run(lab, tmp_path / "cache", ["called"])) == set()


def test_what_is_lent_is_part_of_the_mark(before, tmp_path):
    """How a lent field is read hangs on types that no name leads to: an edit there compiles everything again."""
    lab = copy_lab(tmp_path)
    source = lab / "barograph" / "jit" / "views.py"
    rewrite(source, source.read_text().replace("builder.load(where)", "builder.load(where, name='read')"))
    assert compiled_doors(run(lab, before[1], ["lent", "untouched"])) == {"lent", "untouched"}


def test_a_folder_that_cannot_be_written_costs_only_time(before, tmp_path):
    lab, _, answers = before
    (tmp_path / "file").write_text("in the way")
    found = run(lab, tmp_path / "file" / "cache", ["body"])
    assert found["body"] == answers["body"]
    assert (tmp_path / "file").read_text() == "in the way"


def test_of_a_folder_that_cannot_be_written_one_is_told_once(tmp_path, monkeypatch, caplog):
    # The command line keeps its log to itself.
    monkeypatch.setattr(logging.getLogger("barograph"), "propagate", True)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("BAROGRAPH_CACHE", str(tmp_path / "file" / "cache"))
    for key in (random.SystemRandom().random(), random.SystemRandom().random()):

        @compiled
        def door(x, key=key):
            return x + key

        assert door(1.0) == 1.0 + key
    # A thread of another test may have its own to say.
    (told,) = (message for message in caplog.messages if message.startswith("compiled code"))
    assert re.fullmatch(r"compiled code cannot be kept in .*cache \(Not a directory\), .* set BAROGRAPH_CACHE .*", told)


def test_what_was_not_used_for_longest_goes_first(tmp_path):
    for age, name in enumerate(("newest", "middle", "oldest")):
        file = tmp_path / f"{name}.kernel"
        file.write_bytes(bytes(100))
        os.utime(file, (1_000_000 - age, 1_000_000 - age))
    (tmp_path / "mine.txt").write_bytes(bytes(1_000))
    prune(tmp_path, limit=300)
    assert len(list(tmp_path.iterdir())) == 4
    prune(tmp_path, limit=299)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["middle.kernel", "mine.txt", "newest.kernel"]


def test_a_full_cache_forgets_and_the_answers_stay(before, tmp_path):
    lab, _, answers = before
    for _ in range(2):
        found = run(lab, tmp_path, list(EDITS)[:6], BAROGRAPH_CACHE_LIMIT="0.03")
        assert stale_doors(answers, found) == set()
        files = list(tmp_path.glob("*.kernel"))
        assert 0 < sum(file.stat().st_size for file in files) <= 30_000
        assert len(files) < 6
    # It did forget: the second time something is compiled again.
    assert compiled_doors(found)


def test_what_is_loaded_is_used(before, tmp_path):
    lab, cache, _ = before
    shutil.copytree(cache, tmp_path / "cache")
    for file in (tmp_path / "cache").glob("*.kernel"):
        os.utime(file, (1_000_000, 1_000_000))
    run(lab, tmp_path / "cache", ["body"])
    used = [file.name for file in (tmp_path / "cache").glob("*.kernel") if file.stat().st_mtime > 1_000_000]
    assert [name.partition("-")[0] for name in used] == ["body"]


@pytest.mark.parametrize("told", ["lots", "nan", "-5", "-inf", "0"])
def test_a_limit_that_is_none_is_told(told, monkeypatch):
    monkeypatch.setenv("BAROGRAPH_CACHE_LIMIT", told)
    for call in (cache_limit, lambda: barograph.scan(barograph.Machine(strategy=buy_and_hold()), some_bars(20))):
        with pytest.raises(ConfigError, match=f"^BAROGRAPH_CACHE_LIMIT is '{told}'; wanted a number of megabytes"):
            call()


def test_what_a_killed_process_left_goes_after_an_hour(tmp_path):
    old, new = tmp_path / ".new-old", tmp_path / ".new-new"
    for file in (old, new):
        file.write_bytes(b"cut")
    os.utime(old, (1_000_000, 1_000_000))
    prune(tmp_path, limit=1e9)
    assert list(tmp_path.iterdir()) == [new]
