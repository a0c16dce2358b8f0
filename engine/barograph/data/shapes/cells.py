"""What a cell holds, by the looks of it: a number, a time, a word."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["MONEY", "is_value"]

MONEY: Final = "$€£¥₹"
"""Signs of money that may stand before a number; R$ is one too."""
_NUMBER: Final = re.compile(rf"[-+]?(?:R?[{MONEY}] ?)?[-+]?\.?\d[\d.,'’ \u00a0\u202f]*(?:[eE][-+]?\d+)?\s?[KMB%]?")
_REST: Final = r"[\w:.,+ ()/-]*"
_TIME: Final = re.compile(
    r"(?:(?:[A-Za-z]{3,9}\.?,? )?\d{1,4}[-/.](?:\d{1,2}|[A-Za-z]{3,9})[-/.]\d{1,4}\b"
    r"|\d{1,2}:\d\d|[A-Za-z]{3,9}\.? \d{1,2},? \d{4}|\d{1,2} [A-Za-z]{3,9}\.?,? \d{2,4}"
    rf"|\d{{1,2}}[A-Za-z]{{3,9}}\d{{2,4}}|\d{{8}}[ T]\d{{4,6}}){_REST}"
)
_NONE: Final = frozenset({"", "-", "--", ".", "nan", "na", "n/a", "#n/a", "null", "none"})


def is_value(cell: str) -> bool:
    """Return whether a cell is a number or a time, or says that there is none; a name is not.

    >>> [is_value(cell) for cell in ("$551.46", "8,82M", "01.07.2024 00:00:00.000", "52W H", "600519.SS", "N/A")]
    [True, True, True, False, False, True]
    """
    text = cell.strip()
    return text.lower() in _NONE or bool(_NUMBER.fullmatch(text) or _TIME.fullmatch(text))
