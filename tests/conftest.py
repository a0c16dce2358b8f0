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
