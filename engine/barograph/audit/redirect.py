"""Files that stand in for others, however Python opens them.

Called before numpy and pandas are imported, which keep the `open` they find; so nothing but Python's own is imported
here.
"""

from __future__ import annotations

import builtins
import io
import os
from collections.abc import Mapping
from typing import Any

__all__ = ["redirect", "stand_in"]


def redirect(copies: Mapping[str, str]) -> None:
    """Let every file that is opened for reading be its copy, if it has one; for the rest of the process."""
    plain = io.open

    def opened(file: Any, mode: str = "r", *args: Any, **named: Any) -> Any:
        return plain(file if set(mode) & set("wax") else stand_in(file, copies), mode, *args, **named)

    builtins.open = io.open = opened


def stand_in(file: Any, copies: Mapping[str, str]) -> Any:
    """Return the copy of a file that has one, by whatever names it.

    >>> from pathlib import Path
    >>> stand_in(Path("a.csv"), {os.path.abspath("a.csv"): "copy.csv"}), stand_in("b.csv", {})
    ('copy.csv', 'b.csv')
    """
    named = isinstance(file, str | bytes | os.PathLike)
    return copies.get(os.path.abspath(os.fsdecode(file)), file) if named else file
