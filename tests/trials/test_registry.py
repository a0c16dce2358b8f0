"""The registry of trials: one chain whoever writes, whole after a kill, and a count that nobody lowers."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from barograph.errors import ConfigError, StoreError
from barograph.trials.block_sums import block_sums, sharpe_of
from barograph.trials.chain import chained
from barograph.trials.file import kept_open, values_of
from barograph.trials.nouns import Study, Trial
from barograph.trials.registry import NAME, Registry, open_registry, project_of

STUDY = Study("run", "calm", "1a2b", ("SPY",), first=0, last=100, digest="3c4d")
SUMS = np.abs(np.random.default_rng(0).standard_normal((2500, 128, 3)))
SUMS[:, :, 0] = 39.0


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / NAME)


def trial(value: float = 0.5, tried: int = 1, sums: int = 0, **changed: object) -> Trial:
    return Trial(STUDY._replace(**changed), value, SUMS[sums], tried)  # type: ignore[arg-type]


def names(count: int) -> list[str]:
    return [f"fast={k}" for k in range(count)]


def plant(registry: Registry, *statements: str) -> None:
    """Change the file as somebody would who wants to: the triggers go first."""
    connection = sqlite3.connect(registry.path, isolation_level=None)
    for statement in ("drop trigger if exists no_update", "drop trigger if exists no_delete", *statements):
        connection.execute(statement)
    connection.close()


def test_a_row_holds_what_was_tried(registry: Registry) -> None:
    assert registry.append(trial(0.7, name="first", kind="compare", symbols=("TLT", "SPY"))) == 1
    row = registry.rows()[0]
    assert (row.kind, row.name, row.symbols, row.first, row.last) == ("compare", "first", ("SPY", "TLT"), 0, 100)
    assert (row.tried, row.best, row.members, row.blocks, row.figure) == (1, 0.7, 1, 128, "sharpe")
    (kept,) = registry.streams([row])
    assert (kept.names, kept.values.tolist()) == (("first",), [0.7])
    assert np.array_equal(kept.sums, SUMS[:1])


def test_a_figure_that_cannot_be_told_is_none(registry: Registry) -> None:
    registry.append(trial(float("nan")))
    assert registry.rows()[0].best is None
    assert registry.verify().problem == ""


def test_a_block_of_choices_is_one_row_with_its_number(registry: Registry) -> None:
    registry.append(trial(0.9, tried=24, kind="choose"))
    found = registry.counted(["SPY"], 0, 100)
    assert (found.tried, found.members, len(found.rows)) == (24, 1, 1)


@pytest.mark.parametrize("ruined", [False, True], ids=["the same bars", "one account ruined"])
def test_a_sweep_is_entered_in_bulk_and_every_trial_can_be_listed(registry: Registry, ruined: bool) -> None:
    sums = SUMS.copy()
    sums[7, 100:] = 0.0 if ruined else sums[7, 100:]
    values = np.random.default_rng(1).standard_normal(2500)
    assert registry.append_many(STUDY._replace(kind="sweep"), names(2500), sums, values) == [1, 2, 3]
    rows = registry.rows()
    assert [row.tried for row in rows] == [1000, 1000, 500]
    assert max(row.best or 0.0 for row in rows) == values.max()
    kept = list(registry.streams(rows))
    assert [name for one in kept for name in one.names] == names(2500)
    assert np.array_equal(np.concatenate([one.values for one in kept]), values)
    assert np.array_equal(np.concatenate([one.sums for one in kept]), sums)
    assert registry.verify().tried == 2500
    # What a trial takes on the disk, as docs/trials.md tells.
    assert registry.path.stat().st_size < 4096 * 2500


def test_without_figures_the_sums_tell_the_sharpe_ratio(registry: Registry) -> None:
    returns = np.random.default_rng(3).standard_normal((2, 500)) / 100 + 0.001
    sums = np.array([block_sums(r) for r in returns])
    registry.append_many(STUDY._replace(kind="sweep"), names(2), sums)
    by_hand = returns.mean(axis=1) / returns.std(axis=1, ddof=1)
    (kept,) = registry.streams(registry.rows())
    assert kept.values == pytest.approx(by_hand, rel=1e-12)
    assert np.isnan(sharpe_of(np.array([block_sums(np.full(100, 0.01))]))).all()


def test_block_sums_are_the_sums_of_blocks() -> None:
    returns = np.random.default_rng(4).standard_normal(1000)
    sums = block_sums(returns, 7)
    edges = [b * 1000 // 7 for b in range(8)]
    for b in range(7):
        n, plain, squared = 0, 0.0, 0.0
        for r in returns[edges[b] : edges[b + 1]]:
            n, plain, squared = n + 1, plain + r, squared + r * r
        assert sums[b].tolist() == [n, plain, squared]
    assert block_sums(returns[:3]).shape == (3, 3)
    assert block_sums(np.empty(0)).tolist() == [[0.0, 0.0, 0.0]]


@pytest.mark.parametrize(
    ("count", "shape", "values"),
    [(2, (3, 8, 3), None), (2, (2, 8, 2), None), (2, (2, 8, 3), [1.0]), (2, (6, 8), [1.0])],
)
def test_shapes_that_do_not_fit_are_refused(
    registry: Registry, count: int, shape: tuple[int, ...], values: list[float] | None
) -> None:
    with pytest.raises(ValueError, match="wanted"):
        registry.append_many(STUDY, names(count), np.ones(shape), values)
    assert not registry.path.exists()


@pytest.mark.parametrize(("kind", "tried"), [("run", 0), ("sweep", -1000), ("dream", 1), ("note", -1)])
def test_nothing_is_entered_that_would_not_count_or_lower_a_count(registry: Registry, kind: str, tried: int) -> None:
    with pytest.raises(ValueError, match="wanted one of run, compare, sweep, choose, and 1 trial at least"):
        registry.append(trial(kind=kind, tried=tried))
    assert not registry.path.exists()


def test_a_row_forged_with_hashes_that_fit_lowers_no_count_unseen(registry: Registry) -> None:
    registry.append(trial())
    first = registry.rows()[0]
    forged = chained(first._replace(tried=-5, streams=""), 2, first.hash)
    values = ", ".join(repr(value) for value in values_of(forged))
    plant(registry, f"insert into trials values ({values})", f"update head set sequence = 2, hash = '{forged.hash}'")
    assert registry.verify().problem == "row 2: it stands for -5 trials, wanted 1 at least"


def test_work_that_was_resumed_is_entered_once(registry: Registry) -> None:
    work = STUDY._replace(kind="sweep", work="sweep-1/chunk-0")
    assert registry.append_many(work, names(1500), SUMS[:1500]) == [1, 2]
    assert registry.append_many(work, names(1500), SUMS[:1500]) == [1, 2]
    assert registry.append_many(work._replace(work="sweep-1/chunk-1"), names(10), SUMS[:10]) == [3]
    assert registry.counted(["SPY"], 0, 100).tried == 1510


def test_what_counts_is_every_trial_on_the_same_symbols_whose_window_overlaps(registry: Registry) -> None:
    windows = {"a": (0, 100), "b": (100, 200), "c": (50, 150), "one more bar": (0, 101), "d": (300, 400)}
    for name, (first, last) in windows.items():
        registry.append(trial(name=name, first=first, last=last))
    registry.append(trial(name="other", symbols=("QQQ",)))
    registry.append(trial(name="pair", symbols=("QQQ", "SPY")))
    registry.append(trial(name="swept", tried=1000, first=90, last=95))

    def counted(first: int, last: int, *symbols: str) -> set[str]:
        return {row.name for row in registry.counted(symbols or ("SPY",), first, last).rows}

    # By hand: returns lie in (first, last], so a and b share a close and no return.
    assert counted(0, 100) == {"a", "c", "one more bar", "swept"}
    assert counted(100, 200) == {"b", "c", "one more bar"}
    assert counted(96, 99) == {"a", "c", "one more bar"}
    assert counted(200, 300) == set()
    assert counted(0, 1000) == {*windows, "swept"}
    assert counted(0, 100, "SPY", "QQQ") == {"pair"}
    assert registry.counted(["SPY"], 0, 100).tried == 1003


def test_a_date_from_which_trials_are_counted(registry: Registry) -> None:
    for _ in range(3):
        registry.append(trial())
    moments = [row.moment for row in registry.rows()]
    assert registry.counted(["SPY"], 0, 100, since=moments[1]).tried == 2
    assert registry.counted(["SPY"], 0, 100, since="2000-01-01").tried == 3
    assert registry.counted(["SPY"], 0, 100, since="2999-01-01").tried == 0
    with pytest.raises(ConfigError, match="is no date"):
        registry.counted(["SPY"], 0, 100, since="lately")


def test_a_note_is_a_row_and_lowers_no_count(registry: Registry) -> None:
    registry.append(trial())
    assert registry.note(1, "a mistake: the fee was 0") == 2
    assert [(row.kind, row.text, row.about) for row in registry.rows()][1] == ("note", "a mistake: the fee was 0", 1)
    assert registry.counted(["SPY"], 0, 100).tried == registry.verify().tried == 1
    with pytest.raises(ConfigError, match="no row 9"):
        registry.note(9, "which?")


def test_rows_are_neither_changed_nor_deleted(registry: Registry) -> None:
    registry.append(trial())
    connection = sqlite3.connect(registry.path)
    for statement in ("update trials set tried = 0", "delete from trials"):
        with pytest.raises(sqlite3.IntegrityError, match="never"):
            connection.execute(statement)
    connection.close()


CHANGES = {
    "the count": ["update trials set tried = 0 where sequence = 3"],
    "the figure": ["update trials set best = best + 1e-12 where sequence = 3"],
    "the symbols": ["update trials set symbols = 'QQQ' where sequence = 3"],
    "the kind": ["update trials set kind = 'note' where sequence = 3"],
    "the moment": ["update trials set moment = '2000' where sequence = 3"],
    "no text any more": ["update trials set name = x'ff' where sequence = 3"],
    "its streams": ["update streams set figures = sums where sequence = 3"],
    "its sums": ["update streams set sums = zeroblob(length(sums)) where sequence = 3"],
    "its names": ["update streams set names = '[\"else\"]' where sequence = 3"],
    "another's streams": ["update streams set sequence = 99 where sequence = 3"],
    "streams taken away": ["delete from streams where sequence = 3"],
    "a row deleted": ["delete from trials where sequence = 3"],
    "deleted, and the rest moved up": [
        "delete from trials where sequence = 3",
        "update trials set sequence = sequence - 1 where sequence > 3",
        "update head set sequence = sequence - 1",
    ],
    "two rows exchanged": [
        "update trials set sequence = 99 where sequence = 3",
        "update trials set sequence = 3 where sequence = 4",
        "update trials set sequence = 4 where sequence = 99",
    ],
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_found_at_its_row(registry: Registry, change: str) -> None:
    for k in range(6):
        registry.append(trial(k / 10, sums=k))
    whole = registry.verify()
    assert (whole.rows, whole.tried, whole.problem) == (6, 6, "")
    plant(registry, *CHANGES[change])
    assert registry.verify().problem.startswith("row 3: ")


def test_a_tail_that_was_cut_off_is_found_by_the_mark_of_the_end(registry: Registry) -> None:
    for _ in range(3):
        registry.append(trial())
    plant(registry, "delete from trials where sequence = 3")
    assert registry.verify().problem == "row 3: there is none; the file was left with 3 rows"


def test_whoever_moves_the_mark_too_is_found_by_a_hash_written_down_elsewhere(registry: Registry) -> None:
    for _ in range(3):
        registry.append(trial())
    head, rows = registry.verify().head, registry.rows()
    plant(registry, "delete from trials where sequence = 3", f"update head set sequence = 2, hash = '{rows[1].hash}'")
    assert (registry.verify().problem, registry.verify().head == head) == ("", False)


def test_pruning_keeps_every_row_the_count_and_the_best(registry: Registry) -> None:
    values = np.random.default_rng(5).standard_normal(2500)
    registry.append_many(STUDY._replace(kind="sweep"), names(2500), SUMS, values)
    registry.append(trial(99.0, symbols=("QQQ",)))
    registry.append(trial(0.1, first=500, last=600, sums=1))
    done = registry.prune("2999-01-01")
    assert (done.gone, done.kept) == (2501, 1)
    assert done.after < 0.1 * done.before
    assert registry.verify().problem == ""
    found = registry.counted(["SPY"], 0, 100)
    assert (found.tried, found.members) == (2500, 1)
    (kept,) = registry.streams(found.kept)
    best = int(np.argmax(values))
    assert (kept.row.kind, kept.names, kept.values.tolist()) == ("prune", (f"fast={best}",), [values[best]])
    assert np.array_equal(kept.sums, SUMS[best : best + 1])
    assert registry.counted(["SPY"], 500, 600)[:2] == (1, 0)
    assert registry.counted(["QQQ"], 0, 100)[:2] == (1, 1)
    assert registry.prune("2999-01-01")[:2] == (0, 0)


def test_pruning_again_takes_the_best_of_both(registry: Registry) -> None:
    for value in (0.3, 0.9, 0.5):
        registry.append(trial(value, sums=int(10 * value)))
    registry.prune("2999-01-01")
    registry.append(trial(0.4, tried=7))
    assert registry.prune("2999-01-01")[:2] == (2, 1)
    assert (registry.verify().problem, registry.verify().tried) == ("", 10)
    found = registry.counted(["SPY"], 0, 100)
    (kept,) = registry.streams(found.kept)
    assert (found.tried, kept.values.tolist(), kept.row.about, kept.row.tried) == (10, [0.9], 2, 10)
    assert np.array_equal(kept.sums[0], SUMS[9])


def test_what_was_entered_later_is_not_pruned(registry: Registry) -> None:
    registry.append_many(STUDY, names(10), SUMS[:10])
    assert registry.prune("2000-01-01")[:2] == (0, 0)
    assert registry.counted(["SPY"], 0, 100).members == 10


def process(registry: Registry, code: str) -> subprocess.Popen[str]:
    """Write into the registry from another process; `trial` and `names` are those of this module."""
    first = "from tests.trials.test_registry import *\n"
    command = [sys.executable, "-c", f"{first}registry = Registry(Path({str(registry.path)!r}))\n{code}"]
    paths = os.pathsep.join(filter(None, sys.path))
    return subprocess.Popen(command, env=os.environ | {"PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True)


EACH = """
print("ready", flush=True)
while not registry.path.with_name("go").exists():
    time.sleep(0.001)
for k in range(200):
    registry.append(trial(k / 200, name="{who}"))
registry.append_many(STUDY, names(1200), SUMS[:1200])
"""


def test_two_processes_that_write_at_once_make_one_chain(registry: Registry) -> None:
    """The file itself is not there yet when both begin."""
    both = [process(registry, EACH.format(who=who)) for who in ("one", "two")]
    for one in both:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    registry.path.with_name("go").touch()
    assert [one.wait(120) for one in both] == [0, 0]
    found = registry.verify()
    assert (found.rows, found.tried, found.problem) == (404, 2800, "")
    order = [row.name for row in registry.rows() if row.name != "calm"]
    assert (order.count("one"), order.count("two")) == (200, 200)
    # They did take turns, and not one after the other.
    assert order not in (["one"] * 200 + ["two"] * 200, ["two"] * 200 + ["one"] * 200)


FORKS = """
from barograph.trials import registry as module
enter = module.enter

def until(point):
    # The writer dies before row `point` of three, or after the last one and before the commit.
    left = [point]
    def dying(connection, entry):
        if left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        left[0] -= 1
        done = enter(connection, entry)
        if entry.row.members == 500 and left[0] == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return done
    return dying

for point in (0, 1, 2, 3, 9):
    child = os.fork()
    if child == 0:
        module.enter = until(point)
        registry.append_many(STUDY, names(2500), SUMS)
        os._exit(0)
    print(point, os.waitpid(child, 0)[1], registry.verify().tried if registry.path.exists() else 0, flush=True)
"""


def test_a_kill_inside_an_entry_leaves_nothing_of_it(registry: Registry) -> None:
    registry.append(trial())
    writer = process(registry, FORKS)
    told = writer.communicate(timeout=120)[0].splitlines()
    assert told == ["0 9 1", "1 9 1", "2 9 1", "3 9 1", "9 0 2501"]
    assert registry.verify()[:2] == (4, 2501)


LOOP = """
for k in range(10_000):
    registry.append_many(STUDY, names(2500), SUMS)
    print(k, flush=True)
"""


def test_what_was_entered_before_a_kill_is_there(registry: Registry) -> None:
    chance = np.random.default_rng(8)
    told = 0
    for _ in range(2):
        writer = process(registry, LOOP)
        assert writer.stdout is not None
        told += writer.stdout.readline() == "0\n"
        time.sleep(0.05 + 0.1 * chance.random())
        writer.send_signal(signal.SIGKILL)
        told += len(writer.stdout.readlines())
        writer.wait()
        found = registry.verify()
        assert (found.problem, found.tried % 2500) == ("", 0)
        assert found.tried >= 2500 * told
    registry.append(trial())
    assert registry.verify().problem == ""


def foreign(path: Path) -> None:
    connection = sqlite3.connect(path)
    connection.execute("create table trials (mine)")
    connection.commit()
    connection.close()


def newer(path: Path) -> None:
    Registry(path).begin()
    connection = sqlite3.connect(path)
    connection.execute("pragma user_version = 99")
    connection.close()


UNWRITABLE = {
    "a folder": (lambda path: path.mkdir(), "unable to open"),
    "no database": (lambda path: path.write_bytes(b"my notes " * 1000), "not a database"),
    "somebody else's": (foreign, "is a database, but no registry of trials"),
    "a later version's": (newer, "is laid out in version 99, wanted 1"),
}


@pytest.mark.usefixtures("outside_of_tests")
@pytest.mark.parametrize("what", UNWRITABLE)
def test_a_file_that_cannot_be_written_is_said_once_and_left_as_it_is(
    tmp_path: Path, what: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make, told = UNWRITABLE[what]
    path = tmp_path / NAME
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    assert open_registry(tmp_path) is None
    said = capsys.readouterr().err
    assert (told in said, said.count("\n"), str(path) in said) == (True, 1, True)
    assert open_registry(tmp_path) is None
    assert capsys.readouterr().err == ""
    assert (path.read_bytes() if path.is_file() else b"") == before


def test_a_file_that_another_holds_is_waited_for_and_then_given_up(tmp_path: Path) -> None:
    registry = Registry(tmp_path / NAME, patience=0.05)
    registry.append(trial())
    holder = sqlite3.connect(registry.path, isolation_level=None)
    holder.execute("begin immediate")
    with pytest.raises(StoreError, match="cannot be written: database is locked"):
        registry.append(trial())
    # Who reads waits for nobody.
    assert registry.counted(["SPY"], 0, 100).tried == 1
    holder.execute("rollback")
    holder.close()
    registry.append(trial())
    assert registry.verify().tried == 2


def test_a_registry_that_is_not_there_is_told(registry: Registry) -> None:
    for ask in (
        registry.rows,
        registry.verify,
        lambda: registry.counted(["SPY"], 0, 1),
        lambda: registry.prune("2000"),
        lambda: registry.note(1, "what"),
    ):
        with pytest.raises(StoreError, match="there is no registry of trials"):
            ask()
    assert not registry.path.exists()


def test_a_registry_kept_open_is_written_and_read_alike(registry: Registry) -> None:
    registry.begin()
    registry.stay()
    kept_open(registry.path)
    for _ in range(3):
        registry.append(trial())
    assert registry.verify()[:2] == (3, 3)
    done = process(registry, "registry.append(trial())")
    assert done.wait(60) == 0
    assert registry.verify()[:2] == (4, 4)


def test_the_project_is_the_nearest_folder_with_a_mark(tmp_path: Path) -> None:
    inner = tmp_path / "project" / "configs" / "old"
    inner.mkdir(parents=True)
    top = next(folder for folder in (inner, *inner.parents) if (folder / ".git").exists() or folder == inner)
    assert project_of(inner) == top.resolve()
    (tmp_path / "project" / ".git").write_text("gitdir: elsewhere")
    assert project_of(inner) == (tmp_path / "project").resolve()
    (tmp_path / "project" / "configs" / "barograph.toml").touch()
    assert project_of(inner) == (tmp_path / "project" / "configs").resolve()


@pytest.mark.usefixtures("outside_of_tests")
def test_the_store_is_named_from_the_folder_or_there_is_none(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    folder = tmp_path / "configs"
    folder.mkdir()
    places = [open_registry(folder, store) for store in (None, "mine.db", str(tmp_path / "far.db"))]
    assert [one and one.path for one in places] == [tmp_path / NAME, folder / "mine.db", tmp_path / "far.db"]
    assert open_registry(folder, False) is None


def test_tests_are_no_trials(tmp_path: Path) -> None:
    assert open_registry(tmp_path) is None
    assert not (tmp_path / NAME).exists()
