"""What can go wrong, told to the person who can mend it.

Every error a user can cause is a `BarographError`: one line that names the culprit (file, key, row), what was found
and what was wanted. The command line prints that line and exits with the class's code; anything else is our defect
and keeps its traceback.
"""

from __future__ import annotations

import difflib
import errno
import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

__all__ = ["PRIVATE", "BarographError", "BrokerError", "ConfigError", "DataError", "FeedError", "FitError",
           "IncompleteError", "LeaseError", "NotifyError", "PartError", "RefusalError", "RuinError", "ShortageError",
           "StoreError", "StrategyError", "as_written", "nearest", "nearest_zone", "short_of",
           "with_extra"]  # fmt: skip

PRIVATE: Final = "barograph.config.modules.at"
"""How the names begin under which the modules of a folder are loaded; its path follows (`barograph.config.modules`)."""


class BarographError(Exception):
    """A mistake that its maker can mend; the message is one line."""

    exit_code = 1


class ConfigError(BarographError):
    """A config that cannot be obeyed: unknown key, wrong type, missing file."""

    exit_code = 2


class DataError(BarographError):
    """Bars that cannot be trusted: impossible prices, wrong order, duplicates."""

    exit_code = 3


class PartError(BarographError):
    """A feature, model, filter or strategy that cannot be imported, built or compiled."""

    exit_code = 4


class FitError(BarographError):
    """A model that did not converge, or lost a state, on the data it was given."""

    exit_code = 5


class StrategyError(BarographError):
    """A strategy that answered with something that is not a weight, or ruined the account."""

    exit_code = 6


class RuinError(StrategyError):
    """A strategy that ruined the account: its equity is not above 0."""


class FeedError(DataError):
    """A source of bars that does not answer, or not with bars: worth another try, `wait` seconds later if told so."""

    wait: float = 0.0


class IncompleteError(FeedError):
    """An answer that lacks assets: `history` is what came (None: nothing), `missing` says why, by symbol."""

    def __init__(self, missing: Mapping[str, str], history: Any = None) -> None:
        super().__init__("; ".join(missing.values()))
        self.missing, self.history = dict(missing), history


class StoreError(BarographError):
    """A database that cannot be reached, read or written, or holds what it should not."""

    exit_code = 9


class RefusalError(BarographError):
    """A deployment that must not trade: its state is missing, or is not that of this config."""

    exit_code = 10


class LeaseError(BarographError):
    """A deployment that another process runs."""

    exit_code = 11


class NotifyError(BarographError):
    """A message that could not be delivered: worth another try, `wait` seconds later if the other side says so."""

    exit_code = 12
    wait: float = 0.0


class BrokerError(BarographError):
    """A broker that refuses, or must be refused: no order goes where money is real."""

    exit_code = 13


class ShortageError(BarographError):
    """A machine that has run out of something for now (descriptors, memory, room on the disk): worth another try."""

    exit_code = 15


def short_of(error: BaseException | None) -> str:
    """Return what the machine has run out of, if that is why something failed, or nothing.

    What raised in the meantime is asked too: a library may have made something else of it.

    >>> short_of(OSError(errno.EMFILE, "Too many open files")), short_of(OSError(errno.ENOENT, "No such file"))
    ('file descriptors', '')
    """
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        if isinstance(error, MemoryError):
            return "memory"
        if isinstance(error, OSError) and error.errno in _SHORTAGES:
            return _SHORTAGES[error.errno]
        error = error.__cause__ or error.__context__
    return ""


_SHORTAGES: Final = {
    errno.EMFILE: "file descriptors",
    errno.ENFILE: "file descriptors",
    errno.ENOMEM: "memory",
    errno.EAGAIN: "processes",
    errno.ENOSPC: "room on the disk",
    errno.EDQUOT: "room on the disk",
}


def with_extra(extra: str) -> str:
    """Say how an extra is installed: from the tree or a built wheel, never from an index, where nobody owns our name.

    >>> with_extra("live")
    "pip install '.[live]' in the folder of Barograph's source (or the wheel's path in place of the dot)"
    """
    return f"pip install '.[{extra}]' in the folder of Barograph's source (or the wheel's path in place of the dot)"


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a suggestion to append to an error, or nothing when no known name is near.

    >>> nearest("stratgey", ["strategy", "fit"])
    "; did you mean 'strategy'?"
    >>> nearest("zzz", ["strategy"])
    ''
    """
    match = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {match[0]!r}?" if match else ""


def nearest_zone(name: str) -> str:
    """Return a time zone to append to an error about one that nobody knows, or nothing.

    >>> nearest_zone("New York"), nearest_zone("europe/berlin"), nearest_zone("Amerca/New_York")
    ("; did you mean 'America/New_York'?", "; did you mean 'Europe/Berlin'?", "; did you mean 'America/New_York'?")
    """
    from zoneinfo import available_timezones

    wanted = name.strip().replace(" ", "_").lower()
    known = sorted(available_timezones())
    same = [zone for zone in known if wanted in (zone.lower(), zone.rpartition("/")[2].lower())]
    return f"; did you mean {same[0]!r}?" if same else nearest(name, known)


def as_written(text: str) -> str:
    """Return a text in which a user's modules have the names that the user gave them.

    >>> as_written("no module named 'barograph.config.modules.at_2fa_2fb.mine'")
    "no module named 'mine'"
    """
    return re.sub(rf"\b{re.escape(PRIVATE)}\w*\.", "", text)
