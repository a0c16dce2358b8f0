"""The nouns of the registry: what was tried, what a row says, and what counts for a verdict."""

from __future__ import annotations

from typing import Final, NamedTuple

from barograph.types import Floats

__all__ = ["KINDS", "WORDS", "Counted", "Pruned", "Row", "Streams", "Study", "Trial", "Verified"]

KINDS: Final = ("run", "compare", "sweep", "choose")
"""The kinds of row that stand for trials."""

WORDS: Final = ("note", "prune")
"""The other kinds: what somebody said, and what pruning kept; they add to no count."""


class Study(NamedTuple):
    """What trials have in common: the config that was run, and the data that it was run on.

    `kind` is one of `KINDS`. `symbols` are those traded; `first` and `last` are the closes, ns UTC, between which the
    returns lie. `digest` is that of the data, `figure` names what trials are ranked by, the more the better. `work`
    names a piece of work that may be done again after it was killed: of one name there is only one entry ("" has none).
    """

    kind: str
    name: str
    config_hash: str
    symbols: tuple[str, ...]
    first: int
    last: int
    digest: str
    figure: str = "sharpe"
    work: str = ""


class Trial(NamedTuple):
    """One row to be: a study, its figure (NaN where it cannot be told), and the block sums (B, 3) of its returns.

    `tried` is how many trials it stands for: of a run with [choose], all candidates that it chose from.
    """

    study: Study
    value: float
    sums: Floats
    tried: int = 1


class Row(NamedTuple):
    """One row of the registry, as it is chained to the one before.

    `sequence` counts from 1, `moment` is when it was entered (ISO 8601, UTC). It stands for `tried` trials, of which
    `members` streams of `blocks` block sums were kept, the best of them with the figure `best` (None: none can be
    told). `streams` is the hash of what was kept. A note is `about` a row and says `text`; of a pruning, `text` lists
    the rows whose streams are gone, and `about` is the row that the best of them came from.
    """

    sequence: int
    moment: str
    kind: str
    name: str
    config_hash: str
    symbols: tuple[str, ...]
    first: int
    last: int
    digest: str
    figure: str
    tried: int
    best: float | None
    members: int
    blocks: int
    streams: str
    text: str
    about: int
    work: str
    previous: str
    hash: str

    @property
    def counts(self) -> int:
        """How many trials the row adds to a count: notes and what pruning keeps add none."""
        return self.tried if self.kind in KINDS else 0


class Streams(NamedTuple):
    """What was kept of the trials of a row: their names, figures (M,) and block sums (M, B, 3): n, Σr, Σr²."""

    row: Row
    names: tuple[str, ...]
    values: Floats
    sums: Floats


class Counted(NamedTuple):
    """What counts for a verdict: `tried` trials in `rows`; of `members` of them a stream is there, in `kept`."""

    tried: int
    members: int
    rows: tuple[Row, ...]
    kept: tuple[Row, ...]


class Verified(NamedTuple):
    """What a walk along the chain found: rows, trials, the hash at its end, and the first thing wrong, or ""."""

    rows: int
    tried: int
    head: str
    problem: str


class Pruned(NamedTuple):
    """What pruning did: how many streams went, how many were kept as the best, the bytes before and after."""

    gone: int
    kept: int
    before: int
    after: int
