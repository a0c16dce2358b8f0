"""Carry out tasks in a peer: ``python -m barograph_adapters.peers NAME FOLDER ...``."""

from __future__ import annotations

import importlib
import sys
from importlib.metadata import version
from pathlib import Path

from barograph_adapters.peers import read, write

MISSING = 3
FAILED = "failed.txt"


def main(name: str, *folders: str) -> int:
    """Run every folder's task and leave an answer, or why there is none; the exit status is 3 without the peer."""
    try:
        print(version(name))
    except importlib.metadata.PackageNotFoundError:
        return MISSING
    peer = importlib.import_module(f"barograph_adapters.peers.on_{name}")
    for folder in map(Path, folders):
        try:
            write(folder, peer.replay(read(folder)))
        except Exception as error:
            # One run that the peer cannot carry out is told in its place; the others still count.
            (folder / FAILED).write_text(f"{type(error).__name__}: {error}", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
