"""The journal: what happened to a deployment, entry by entry, each one chained to the one before by its hash.

Everything else in the store (orders, fills, equity, beliefs, alerts) is a projection of it and can be made again from
it alone. No entry holds a wall-clock time, a process or a host: a run that was killed a hundred times writes the same.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

import numpy as np

__all__ = ["GENESIS", "Entry", "begun_with", "canonical", "fit_of", "floats", "link"]

GENESIS: Final = "0" * 64
"""What the first entry is chained to."""


class Entry(NamedTuple):
    """One thing that happened: `kind` is deployed, cycle, choice, fit, or "held" and an asset, `ts` the close it is of.

    `text` is its content, `hash` that of the text, chained to the entry before; `number` counts from 0.
    """

    number: int
    kind: str
    ts: int
    text: str
    hash: str

    @property
    def content(self) -> Any:
        """What the text says."""
        return json.loads(self.text)


def begun_with(entries: Iterable[Entry]) -> int | None:
    """Return the number of the arithmetic that a deployment began with; None where its journal does not say."""
    first = next(iter(entries), None)
    if first is None or first.kind != "deployed":
        return None
    return int(first.content.get("arithmetic", 1))


def link(before: str, text: str) -> str:
    """Return the hash of an entry: SHA-256 of the hash before it, a line feed, and its text.

    >>> link(GENESIS, "{}")[:16]
    '5649d09ed68c1715'
    """
    return hashlib.sha256(f"{before}\n{text}".encode()).hexdigest()


def canonical(content: Any) -> str:
    """Return the one text of a content: keys sorted, numbers with all their digits, NaN and infinities as words.

    >>> canonical({"b": [1.0, float("nan")], "a": 0.1 + 0.2})
    '{"a":0.30000000000000004,"b":[1.0,"nan"]}'
    """
    return json.dumps(_plain(content), sort_keys=True, separators=(",", ":"), allow_nan=False)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        value = value.tolist()
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, dict):
        return {str(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value


def fit_of(kind: str, content: Any) -> Any:
    """Return what an entry says of a fit: one that was made, or that a choice brought into force; else None."""
    return content if kind == "fit" else content["fit"] if kind == "choice" else None


def floats(values: Any) -> Any:
    """Return numbers of the journal as float64: a list, or a list of lists.

    >>> floats([1.0, "nan", "-inf"])
    array([  1.,  nan, -inf])
    """
    return np.array(values, dtype=object).astype(np.float64) if len(values) else np.zeros(0)
