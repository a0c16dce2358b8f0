"""Who holds a lease: a place and a process in it, told apart from one of the same number that came later.

A place is a host, a boot of it and a namespace of processes: two containers may share a name, and number 7 of one is
not number 7 of the other. Of a process in another place nothing can be told but whether its heart beats.
"""

from __future__ import annotations

import os
import socket
from functools import cache
from pathlib import Path

__all__ = ["dead", "holder"]


@cache
def _place() -> str:
    return f"{socket.gethostname()}/{_boot()}/{_namespace()}"


def _boot() -> str:
    """Return what this boot of the machine is called, shortened, or "" where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()[:8]
    except OSError:
        return ""


def _namespace() -> str:
    """Return the number of the namespace that processes are counted in, or "" where the system does not tell."""
    try:
        return str((Path("/proc/self/ns/pid")).stat().st_ino)
    except OSError:
        return ""


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
    """Return the name of this process: its place, number, beginning."""
    return f"{_place()}:{os.getpid()}:{_born(os.getpid())}"


def dead(name: str) -> bool | None:
    """Tell whether a holder is gone: True, False, or None when it lives in another place.

    >>> dead(holder()), dead("elsewhere/4f1c/4026531836:1:5"), dead(f"{_place()}:999999999:5")
    (False, None, True)
    """
    place, number, born = name.rsplit(":", 2)
    process = int(number)
    if place != _place():
        return None
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    # One that has ended, and whose parent has not asked yet, is still in the table of processes.
    return _born(process) != born or _stat(process)[:1] == ["Z"]
