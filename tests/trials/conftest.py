"""What the tests of the registry share: they enter trials, which tests do not."""

from __future__ import annotations

import pytest


@pytest.fixture
def outside_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let trials be entered as they are where no test runs."""
    monkeypatch.setattr("barograph.trials.registry.in_a_test", lambda: False)
