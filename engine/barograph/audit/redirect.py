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

__all__ = ["redirect"]


def redirect(copies: Mapping[str, str]) -> None:
    """Let every file that is opened for reading be its copy, if it has one; for the rest of the process."""
    plain = io.open

    def opened(file: Any, mode: str = "r", *args: Any, **named: Any) -> Any:
        if isinstance(file, str | bytes | os.PathLike) and not set(mode) & set("wax"):
            file = copies.get(os.path.abspath(os.fsdecode(file)), file)
        return plain(file, mode, *args, **named)

    builtins.open = io.open = opened
