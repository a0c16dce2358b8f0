"""Many short stretches of rows, each gone through by a filter from its beginning: one call into compiled code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from barograph.errors import PartError
from barograph.jit import frame as at
from barograph.jit.calling import address, call_alone
from barograph.jit.kernel import Kernel
from barograph.jit.memory import Memory
from barograph.jit.reach import spot
from barograph.regimes.filtering import filters_part
from barograph.types import Floats

if TYPE_CHECKING:
    from barograph.regimes.fitted import Fitted

__all__ = ["LAGS", "Asker", "length_of", "stretches"]

LAGS: Final = 30
"""How many rows a model is asked over that carries a state on and looks at no fixed number of them."""


def length_of(fitted: Fitted) -> int:
    """Return how many rows a fit looks at: those that its filter's state keeps as `rows` (n, d), else `LAGS`.

    A model over another keeps the state of that as `inner`, and a ring of late beliefs, if it comes late, as `ring`.
    """
    state, late = fitted.family.init(fitted.params), 0
    while hasattr(state, "inner"):
        late, state = late + len(getattr(state, "ring", ())), state.inner
    kept = getattr(state, "rows", None)
    if isinstance(kept, np.ndarray) and kept.ndim == 2 and kept.shape[1] == len(fitted.features):
        return len(kept) + late
    return LAGS + late


def stretches(X: Floats, bars: NDArray[np.int64], length: int) -> tuple[Floats, NDArray[np.int64]]:
    """Return the last `length` whole rows at each of `bars`, (S, length, d), oldest first, and the bars that have them.

    A row with a missing cell is not counted: it changes no window.

    >>> X = np.array([[0.0], [1.0], [np.nan], [3.0]])
    >>> found, at = stretches(X, np.array([0, 1, 2, 3]), 2)
    >>> found[:, :, 0].tolist(), at.tolist()
    ([[0.0, 1.0], [1.0, 3.0]], [1, 3])
    """
    whole = np.all(np.isfinite(X), axis=1)
    taken, rows = np.cumsum(whole), np.flatnonzero(whole)
    bars = bars[whole[bars] & (taken[bars] >= length)]
    return X[rows[(taken[bars] - length)[:, None] + np.arange(length)]], bars


class Asker:
    """What a fit believes at the end of each of `count` stretches of rows, every one begun where the filter begins.

    A filter that is no kernel is asked in Python. Raises `PartError` for a fit of several assets.

    >>> from barograph_models.gaussian_hmm import gaussian_hmm
    >>> noise = np.random.default_rng(0).standard_normal((600, 1)) * np.repeat([1.0, 4.0, 1.0], 200)[:, None]
    >>> fitted = gaussian_hmm(states=2, starts=2).fit(noise)
    >>> rows, _ = stretches(noise, np.array([150, 390]), 30)
    >>> Asker(fitted, 2)(rows).round(2)[:, 1]
    array([0., 1.])
    """

    def __init__(self, fitted: Fitted, count: int) -> None:
        if fitted.panel:
            raise PartError(f"{fitted.name} is of several assets; ask the fit of one: fitted.of_asset(symbol)")
        online = fitted.filter()
        self.fitted, self.count = fitted, count
        self._begun = Memory.of((tuple(online.init(online.params) for _ in range(count)),), ("filter",))
        self._params = Memory.of((online.params, ()), ("params", "plans"))
        # All read the same numbers: the table of where they lie is told once a stretch.
        table = self._params.at[self._params.at[0] : self._params.at[1]]
        self._places = np.concatenate([table[:2], np.tile(table[2:], count)])
        self._part = filters_part(online.step, self._begun.shapes[0][1][0], self._params.shapes[0])
        self._plain = not isinstance(online.step, Kernel)
        self._whose = np.arange(count, dtype=np.int64)

    def __call__(self, rows: Floats) -> Floats:
        """Return the last belief of each stretch of `rows` (count, n, d), (count, R)."""
        d, R = len(self.fitted.features), self.fitted.regimes
        if rows.ndim != 3 or (len(rows), rows.shape[2]) != (self.count, d):
            told = f"({self.count}, n, {d}) of {', '.join(self.fitted.features)}"
            raise PartError(f"{self.fitted.name}: rows of shape {rows.shape}; wanted {told}")
        X, B = np.ascontiguousarray(rows.transpose(1, 0, 2)), np.empty((rows.shape[1], self.count * (R + 1)))
        memory = self._begun.copy()
        frame, own = self._frame(memory, X, B, d, R), np.zeros(at.OWN, dtype=np.int64)
        own[[at.AT, at.PAT]] = spot(memory.at) + 8 * memory.at[0], spot(self._places)
        call = call_alone.py_func if self._plain else call_alone
        call(address(self._part, self._plain), spot(frame), spot(own), 0, len(X))
        return B[-1, : self.count * R].reshape(self.count, R).copy()

    def _frame(self, memory: Memory, X: Floats, B: Floats, d: int, R: int) -> NDArray[np.int64]:
        frame, params = np.zeros(at.WORDS, dtype=np.int64), self._params
        frame[[at.D, at.K, at.X, at.B]] = self.count * d, R, spot(X), spot(B)
        frame[[at.FLOATS, at.INTS]] = spot(memory.f), spot(memory.i)
        frame[[at.PARAM_FLOATS, at.PARAM_INTS]] = spot(params.f), spot(params.i)
        frame[[at.BELIEFS, at.FILTERS, at.WHOSE]] = self.count, self.count, spot(self._whose)
        frame[at.PLANS] = spot(params.at) + 8 * params.at[1]
        return frame
