"""What a user gets wrong on the command line of paper trading: one line, its exit code, and nothing half-written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from barograph_adapters.store.sql import open_store
from tests.cli.test_cli import barograph

CONFIG = """
name = "one"

[data]
use = "tests.fakes.market:flat"

[strategy]
use = "tests.fakes.market:scripted"
weights = [0.5]
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a config, and a store with two deployments of it."""
    folder = tmp_path_factory.mktemp("deployed")
    (folder / "one.toml").write_text(CONFIG)
    (folder / "broken.toml").write_text("name = ")
    for name in ("first", "other"):
        words = ("--replay", "2023-02-01", "--name", name, "--store", f"sqlite:///{folder}/paper.db")
        assert barograph("paper", folder / "one.toml", *words).returncode == 0
    return folder


@pytest.fixture
def deployed(made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """That folder, to be in."""
    monkeypatch.chdir(made)
    monkeypatch.delenv("BAROGRAPH_STORE", raising=False)
    return made


def content(folder: Path) -> dict[str, str]:
    """Return what lies in the folder; of the database what is in its tables, since it also keeps its own books."""
    found = {p.name: hashlib.sha256(p.read_bytes()).hexdigest() for p in folder.iterdir() if "paper.db" not in p.name}
    store = open_store(f"sqlite:///{folder}/paper.db")
    with store.transaction() as connection:
        rows = {name: connection.execute(table.select()).all() for name, table in store.tables.items()}
    store.close()
    return found | {name: repr(values) for name, values in rows.items() if name != "leases"}


MISTAKES = {
    "no config": (["paper", "two.toml"], 2, "two.toml: cannot be read: No such file or directory"),
    "a folder": (["paper", "."], 2, ".: cannot be read: Is a directory"),
    "no TOML": (["paper", "broken.toml"], 2, "broken.toml: not TOML: "),
    "once and replay": (["paper", "one.toml", "--once", "--replay", "2023-02-01"], 2, "wanted one of them"),
    "a date that is none": (["paper", "one.toml", "--replay", "soon"], 3, "'soon' is no time; write it like"),
    "a date without bars": (["paper", "one.toml", "--replay", "2044-01-01"], 3, "flat: no bar at '2044-01-01'"),
    "nothing deployed": (["paper", "one.toml", "--once"], 10, "its state is missing; restore a backup, name the right"),
    "new and there": (["paper", "one.toml", "--new", "--name", "first"], 10, "there is a deployment 'first' already"),
    "no name": (["paper", "one.toml", "--new", "--name", "a/../b"], 2, "'a/../b' is no name of a deployment; wanted"),
    "no name to record": (["run", "one.toml", "--record", ""], 2, "'' is no name of a deployment"),
    "a replay that is halted": (["halt", "first"], 2, "first is a replay one: nobody runs it on schedule"),
    "all deleted": (["store", "downgrade", "base"], 2, "make a backup, then say --yes"),
    "data that ended": (
        ["paper", "one.toml", "--new", "--once"],
        3,
        "closes have passed since; give [paper] feeds that go on",
    ),
    "a replay that is run": (["paper", "one.toml", "--once", "--name", "first"], 10, "first is a replay one; give"),
    "another config": (
        ["paper", "one.toml", "--replay", "2023-02-01", "--name", "first", "--set", "execution.fee=0.01"],
        10,
        "deployment first was begun with another config: [execution] differ; put them back, or deploy under another",
    ),
    "another beginning": (
        ["paper", "one.toml", "--replay", "2023-01-20", "--name", "first"],
        10,
        "deployment first was begun at 2023-02-01; replay it from there, or under another --name",
    ),
    "an unknown key": (
        ["paper", "one.toml", "--set", "paper.delai=5m"],
        2,
        "one.toml: unknown key 'paper.delai'; did you mean 'delay'?",
    ),
    "no duration": (
        ["paper", "one.toml", "--set", "paper.delay=5 minutes"],
        2,
        "paper.delay is '5 minutes'; string",
    ),
    "no rule": (["paper", "one.toml", "--set", "paper.stale=panic"], 2, "paper.stale is 'panic'; input should be"),
    "a negative overlap": (["paper", "one.toml", "--set", "paper.overlap=0"], 2, "paper.overlap is 0; input should be"),
    "half of quiet hours": (
        ["paper", "one.toml", "--set", "paper.alerts.quiet_from=22:00"],
        2,
        "quiet_from and quiet_until belong together",
    ),
    "no time zone": (
        ["paper", "one.toml", "--set", "paper.alerts.time_zone=Mars"],
        2,
        "time_zone is 'Mars'; wanted",
    ),
    "recipients as text": (
        ["paper", "one.toml", "--set", "paper.alerts.to=mailto://x"],
        2,
        "paper.alerts.to is no list of tables; wanted [[paper.alerts.to]]",
    ),
    "no such feed": (
        ["paper", "one.toml", "--once", "--set", 'paper.feeds=[{use="barograph_adapters.feeds.yaho:yahoo"}]'],
        4,
        "paper.feeds.0: no module 'barograph_adapters.feeds.yaho'",
    ),
    "a feed that is none": (
        ["paper", "one.toml", "--once", "--set", 'paper.feeds=[{use="tests.fakes.market:scripted", weights=[1.0]}]'],
        4,
        "paper.feeds.0: tests.fakes.market:scripted returned Strategy; wanted a History or a Feed",
    ),
    "a feed's unknown word": (
        ["paper", "one.toml", "--once", "--set", 'paper.feeds=[{use="tests.fakes.market:flat", bar=3}]'],
        2,
        "unknown key 'paper.feeds.0.bar': tests.fakes.market:flat takes no such argument; did you mean 'bars'?",
    ),
    "no such deployment": (["status", "third"], 9, "no deployment 'third'; there is first, other"),
    "which deployment": (["status"], 9, "which deployment; there is first, other"),
    "a command to nobody": (["halt", "third"], 9, "no deployment 'third'; there is first, other"),
    "parity of nobody": (["parity", "third"], 9, "no deployment 'third'; there is first, other"),
    "no URL": (["status", "first", "--store", "nonsense"], 9, "the store's URL cannot be read; write it like sqlite:"),
    "another database": (
        ["status", "--store", "mysql://me:hunter2@example.org/paper"],
        9,
        "mysql://example.org/paper: wanted sqlite:///FILE or postgresql+psycopg://",
    ),
    "a database nowhere": (
        ["status", "--store", "sqlite:///nowhere/paper.db"],
        9,
        "there is no database of deployments",
    ),
    "a variable that is not set": (
        ["status", "--store", "sqlite:///${NOT_SET_ANYWHERE}"],
        9,
        "the store's URL names ${NOT_SET_ANYWHERE}, which is not set",
    ),
    "no database": (["status", "--store", "sqlite:///one.toml"], 9, "one.toml: file is not a database"),
    "nobody to tell": (["alerts", "test", "one.toml"], 2, "paper.alerts.to is empty: nobody would be told"),
    "no version": (["store", "downgrade", "0099"], 9, "no version '0099'; known: base"),
    "a backup over something": (["store", "backup", "one.toml"], 9, "one.toml is there already"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_its_code_and_leaves_everything_as_it_was(mistake: str, deployed: Path) -> None:
    words, code, said = MISTAKES[mistake]
    before = content(deployed)
    done = barograph(*words)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("barograph: ")
    assert done.stderr.count("\n") == 1
    assert said in done.stderr
    assert "hunter2" not in done.stderr
    assert content(deployed) == before


def test_a_mistake_before_there_is_a_store_makes_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.toml").write_text(CONFIG)
    for words in (["paper", "one.toml", "--set", "paper.delai=5m"], ["paper", "one.toml", "--once", "--replay", "x"]):
        assert barograph(*words).returncode == 2
    assert [path.name for path in tmp_path.iterdir()] == ["one.toml"]


def test_a_deployment_that_another_process_runs_is_left_alone(deployed: Path) -> None:
    store = open_store(f"sqlite:///{deployed}/paper.db")
    lease = store.acquire("first")
    before = content(deployed)
    done = barograph("paper", "one.toml", "--replay", "2023-02-01", "--name", "first")
    assert done.returncode == 11
    assert "deployment first is run by" in done.stderr
    assert done.stderr.count("\n") == 1
    assert content(deployed) == before
    store.release(lease)


def test_the_list_of_what_is_deployed_and_a_replay_that_is_done_already(deployed: Path) -> None:
    done = barograph("paper", "list")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["first", "other"]
    again = barograph("paper", "one.toml", "--replay", "2023-02-01", "--name", "first")
    assert again.returncode == 0
    assert again.stdout.startswith("first: 0 bars decided now, 9 in all\n")
