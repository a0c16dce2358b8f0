"""What wants a library that only an extra installs: `make extras-test` runs it, in an environment of its own."""

from __future__ import annotations

import importlib.util

import pytest


def wants(extra: str, *modules: str) -> None:
    """Skip a module of tests where its extra is not installed."""
    missing = [name for name in modules if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"wants the extra {extra!r} ({missing[0]}): make extras-test", allow_module_level=True)
