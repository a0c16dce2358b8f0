"""The same model on the same window is fitted once a process: 65 fits for a comparison of configs, not 65 for each.

What is remembered is found by all that the fit hangs on, byte for byte and not by a digest: nothing can be taken for
something else. Only models that say what they hang on take part (`Model.settings`); a fit that fails is made again.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from barograph.regimes.fitted import Fitted, Model
    from barograph.regimes.window import Window

__all__ = ["fit_once", "forget"]

# Bytes of windows and states that are kept, least recently used first to go: 600 fits of 1,000 rows of one feature.
_LIMIT: Final = 2**25
_fits: OrderedDict[Any, tuple[Fitted, int]] = OrderedDict()
_lock = threading.Lock()


def fit_once(model: Model, seen: Window) -> Fitted:
    """Return ``model.fit(seen)``, from memory where this process has made that very fit before; raises what it does."""
    sizes: list[int] = []
    key = _key(model, seen, sizes)
    if key is None:
        return model.fit(seen)
    with _lock:
        if key in _fits:
            _fits.move_to_end(key)
            return _fits[key][0]
    fitted = model.fit(seen)
    with _lock:
        _fits[key] = (fitted, sum(sizes))
        kept = sum(size for _, size in _fits.values())
        while kept > _LIMIT:
            kept -= _fits.popitem(last=False)[1][1]
    return fitted


def forget() -> None:
    """Forget all fits: the next ones are made again."""
    with _lock:
        _fits.clear()


def _key(model: Model, seen: Window, sizes: list[int]) -> Any:
    """Return all that the fit hangs on, or None where that cannot be told; `sizes` receives how many bytes it holds."""
    if model.settings is None:
        return None
    previous = seen.previous
    before = None if previous is None else (previous.family, _counted(previous.to_bytes(), sizes))
    try:
        key = (model.settings, model.labels, before, _told(seen._replace(previous=None), sizes))
        hash(key)
    except TypeError:
        return None
    return key


def _told(value: Any, sizes: list[int]) -> Any:
    """Tell a value by its bits: 0.0 is not -0.0, and NaN is NaN. Raises `TypeError` for what is no data."""
    if isinstance(value, np.ndarray) and not value.dtype.hasobject:
        return (value.dtype.str, value.shape, _counted(value.tobytes(), sizes))
    if isinstance(value, tuple):
        return (type(value), *(_told(part, sizes) for part in value))
    if isinstance(value, bool | int | float | str | bytes | np.generic | None):
        return (type(value), repr(value))
    raise TypeError(type(value).__name__)


def _counted(content: bytes, sizes: list[int]) -> bytes:
    sizes.append(len(content))
    return content
