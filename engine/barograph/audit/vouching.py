"""What the audit cannot know, in words: the objects and files by which knowledge may have come, each with its place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from barograph.audit.holdings import Held, Holdings
from barograph.audit.opened import Opened

__all__ = ["KEPT", "RESTS", "Unvouched", "changed", "files", "resting", "unvouched"]

KEPT: Final = "changed while the machine ran, so it is kept from one run to the next"
RESTS: Final = "is another when its source ends at the cut"


class Unvouched(NamedTuple):
    """One thing that the audit could not look into: of which parts, what it is, where people's code uses it, and why.

    >>> print(Unvouched("feature label", "mine.LABELS", "array (500,) of float64", "mine.py, line 7"))
    feature label: mine.LABELS, array (500,) of float64 (mine.py, line 7)
    """

    part: str
    name: str
    what: str
    where: str
    why: str = ""

    def __str__(self) -> str:
        """Say it in one line."""
        told = f"{self.part}: {self.name}, {self.what}" + (f" ({self.where})" if self.where else "")
        return f"{told}: {self.why}" if self.why else told


def resting(these: Iterable[Held], those: Iterable[Held]) -> list[Unvouched]:
    """Return what is held otherwise where the source ends earlier: `these` with the whole of it, `those` without."""
    return _together(_of(one, RESTS) for one in changed(those, these))


def unvouched(before: Holdings, after: Holdings) -> list[Unvouched]:
    """Return the tables that parts hold, and whatever a run has changed; what several parts hold is told once."""
    kept = {(one.part, one.name) for one in changed(before.objects, after.objects)}
    told = [one for one in after.objects if one.table or (one.part, one.name) in kept]
    found = [_of(one, KEPT if (one.part, one.name) in kept else "") for one in told]
    return _together(found)


def changed(these: Iterable[Held], those: Iterable[Held]) -> list[Held]:
    """Return what both hold under one name, and not with one content."""
    marks = {(one.part, one.name): one.mark for one in these}
    return [one for one in those if one.mark and marks.get((one.part, one.name), one.mark) not in ("", one.mark)]


def files(opened: Sequence[Opened], holdings: Holdings, when: str) -> list[Unvouched]:
    """Return the files, but for bars, that people's own code has read, with the parts whose code it was or lies by."""
    found = []
    for one in opened:
        if one.where and not one.bars:
            what = f"a file read {when}"
            found.append(Unvouched(_readers(one, holdings), Path(one.path).name, what, one.where))
    return _together(found)


def _readers(opened: Opened, holdings: Holdings) -> str:
    mine = [part for part, codes in holdings.codes.items() if codes & set(opened.codes)]
    beside = {code.co_filename for code in opened.codes}
    near = [part for part, codes in holdings.codes.items() if beside & {code.co_filename for code in codes}]
    return ", ".join(mine or near) or "the config's modules"


def _of(one: Held, why: str) -> Unvouched:
    return Unvouched(one.part, one.name, one.what, one.where, why)


def _together(found: Iterable[Unvouched]) -> list[Unvouched]:
    """Tell a thing once, with all parts that reach it."""
    parts: dict[Unvouched, dict[str, None]] = {}
    for one in found:
        parts.setdefault(one._replace(part=""), {})[one.part] = None
    return [one._replace(part=", ".join(names)) for one, names in parts.items()]
