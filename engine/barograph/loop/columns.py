"""Bars and features as the loop reads them and as a model learns from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from barograph.data.actions import ACTIONS, telling
from barograph.loop.advance import Columns
from barograph.loop.wiring import believed_about, features_of
from barograph.regimes.window import Window, roles_of
from barograph.types import Floats

if TYPE_CHECKING:
    from barograph.data.history import History
    from barograph.loop.machine import Machine

__all__ = ["columns_of", "tables_of", "window_of"]


def columns_of(history: History) -> Columns:
    """Return the arrays that the loop's body reads; one row of actions tells it that nothing ever happens."""
    h, actions = history, history.actions
    if len(h) == 1 and any(telling(h.action_columns, name) is not None for name in ACTIONS):
        actions = np.repeat(actions, 2, axis=0)
        actions.flags.writeable = False
    late = np.zeros(0, dtype=np.int64) if h.decides is None else 1 - h.decides.astype(np.int64)
    return Columns(h.ts, h.open, h.high, h.low, h.close, h.volume, actions, late)


def window_of(machine: Machine, history: History, X: Floats, lo: int, hi: int, names: tuple[str, ...]) -> Window:
    """Return rows [lo, hi) of the features as a model learns from them; nothing that it is lent can be written back.

    With a belief an asset they are a table an asset, of columns that go by the features' own names.
    """
    roles = roles_of([feature.role for feature in features_of(machine)])
    traded = tuple(s for s, t in zip(history.symbols, history.traded, strict=True) if t)
    tables = tuple(np.array(of) for of in tables_of(machine, history, X[lo:hi]))
    several = {"tables": tables} if machine.each else {}
    names = tuple(feature.name for feature in features_of(machine)) if machine.each else names
    return Window(tables[0], np.array(history.ts[lo:hi]), names, roles, symbols=traded, **several)


def tables_of(machine: Machine, history: History, X: Floats) -> list[Floats]:
    """Return features (T, d), with a belief an asset those of each, as contiguous tables."""
    count = len(believed_about(machine, history)) or 1
    return [np.ascontiguousarray(of) for of in np.split(X, count, axis=1)]
