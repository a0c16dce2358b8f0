"""What can go wrong, told to the person who can mend it.

Every error a user can cause is a `BarographError`: one line that names the culprit (file, key, row), what was found
and what was wanted. The command line prints that line and exits with the class's code; anything else is our defect
and keeps its traceback.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

__all__ = ["BarographError", "ConfigError", "DataError", "FitError", "PartError", "StrategyError", "nearest"]


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


def nearest(name: str, known: Iterable[str]) -> str:
    """Return a suggestion to append to an error, or nothing when no known name is near.

    >>> nearest("stratgey", ["strategy", "fit"])
    "; did you mean 'strategy'?"
    >>> nearest("zzz", ["strategy"])
    ''
    """
    match = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean {match[0]!r}?" if match else ""
