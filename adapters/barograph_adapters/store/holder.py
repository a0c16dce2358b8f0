"""Who holds a lease: a host and a process, told apart from one of the same number that came later."""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

__all__ = ["dead", "holder"]


@cache
def _host() -> str:
    return socket.gethostname()


def _born(process: int) -> str:
    """Return when a process began, in the kernel's ticks, or "" where the system does not tell."""
    return told[19] if (told := _stat(process)) else ""


def _stat(process: int) -> list[str]:
    """Return what Linux tells of a process after its name: its state first; nothing on other systems."""
    try:
        text = (Path("/proc") / str(process) / "stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    return text.rpartition(")")[2].split()


def holder() -> str:
    """Return the name of this process: host, number, beginning."""
    return f"{_host()}:{os.getpid()}:{_born(os.getpid())}"


def dead(name: str) -> bool | None:
    """Tell whether a holder is gone: True, False, or None when it lives on another host.

    >>> dead(holder()), dead("elsewhere:1:5"), dead(f"{_host()}:999999999:5")
    (False, None, True)
    """
    host, number, born = name.rsplit(":", 2)
    process = int(number)
    if host != _host():
        return None
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    # One that has ended, and whose parent has not asked yet, is still in the table of processes.
    return _born(process) != born or _stat(process)[:1] == ["Z"]
