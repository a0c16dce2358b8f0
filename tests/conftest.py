"""Where the tests find data that is not part of the project, and how often they draw; tests are no trials."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest
from hypothesis import settings

from tests import ROOT

settings.register_profile("ci", deadline=None, max_examples=25, derandomize=True)
# `make soak`: other runs every time, and many; asked for with --hypothesis-profile=soak.
settings.register_profile("soak", deadline=None, max_examples=2000)
settings.load_profile("ci")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --long: with it, what `make soak` alone has time for."""
    parser.addoption("--long", action="store_true", help="run what is marked long, too")


def pytest_configure(config: pytest.Config) -> None:
    """Name the mark of those tests: each is one of a kind of which others always run."""
    config.addinivalue_line("markers", "long: one more of a kind of which others always run; with --long alone")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is marked long, where nobody asks for it."""
    if config.getoption("--long"):
        return
    left = [item for item in items if item.get_closest_marker("long")]
    config.hook.pytest_deselected(items=left)
    items[:] = [item for item in items if not item.get_closest_marker("long")]


def pytest_collection_finish() -> None:
    """Let the collector look at what tests leave, and not again and again at thousands of tests and at compiled code.

    A worker that has compiled the whole engine spent a quarter of its time in it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 20)


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of verified reference data; tests that need it skip, saying so, where it is absent."""
    folder = ROOT.parent / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"reference data are absent: no folder {folder.parent.name}/{folder.name} beside the project")
    return folder


@pytest.fixture
def outside_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trials be entered as they are where no test runs."""
    monkeypatch.setattr("barograph.trials.registry.in_a_test", lambda: False)
