"""What a run folder keeps of its models: every fit that came into force, and the features that they saw."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import DataError
from barograph.regimes.fitted import Fitted
from barograph.types import Floats

if TYPE_CHECKING:
    import pandas as pd

    from barograph.loop.result import Result

__all__ = ["FITS", "Seen", "features_kept", "features_table", "fits_kept", "in_force"]

FITS = "fits"
_FEATURES = "features.parquet"


class Seen(NamedTuple):
    """Features (T, d) at each close `ts` (T,), ns UTC, from a history's first bar on, and what they are called."""

    ts: NDArray[np.int64]
    X: Floats
    names: tuple[str, ...]


def in_force(result: Result) -> dict[int, Fitted]:
    """Return the fits that came into force by their number in fits.json; of a model that never learns that one, 0."""
    own = result.machine.model
    made = {n: fit.fitted for n, fit in enumerate(result.fits) if not fit.refused}
    return {0: own} if not made and isinstance(own, Fitted) else made


def features_table(result: Result) -> pd.DataFrame | None:
    """Return what the fits saw, a column a feature; None where none is in force, or candidates saw other ones."""
    import pandas as pd

    fits = in_force(result)
    if not fits or result.machine.choose is not None:
        return None
    names = _columns(next(iter(fits.values())), result)
    X = result.arrays.features
    closes = pd.to_datetime(result.history.ts, utc=True).as_unit("us")
    return pd.DataFrame({"ts": closes} | {name: X[:, j] for j, name in enumerate(names)})


def _columns(fitted: Fitted, result: Result) -> list[str]:
    own = list(fitted.features)
    if result.machine.each:
        traded = [s for s, t in zip(result.history.symbols, result.history.traded, strict=True) if t]
        own = [f"{name}_{symbol}" for symbol in traded for name in own]
    return [name if name not in own[:n] else f"{name}_{own[: n + 1].count(name)}" for n, name in enumerate(own)]


def fits_kept(folder: Path) -> dict[int, Path]:
    """Return the files of a run folder's fits by their number.

    Raises `DataError` where there are none: it ran without a model, or before fits were kept.
    """
    held = sorted((folder / FITS).glob("*.npz"))
    found = {int(file.stem): file for file in held if file.stem.isdecimal() and file.stem.isascii()}
    if not found:
        told = "its machine has no model, or it was made before fits were kept"
        raise DataError(f"{folder}: holds no fits to explain: {told}; run a config with a [model] again")
    return found


def features_kept(folder: Path) -> Seen | None:
    """Return the features that a run folder's fits saw; None where it keeps none, as of a run that chooses.

    Raises `DataError` for a file that cannot be read.
    """
    import pandas as pd

    file = folder / _FEATURES
    if not file.is_file():
        return None
    try:
        table = pd.read_parquet(file)
        ts = np.asarray(table["ts"].astype("datetime64[ns, UTC]").astype(np.int64), dtype=np.int64)
        rest = table.drop(columns="ts")
        return Seen(ts, np.ascontiguousarray(rest.to_numpy(np.float64)), tuple(map(str, rest.columns)))
    except (OSError, ValueError, TypeError, KeyError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise DataError(f"{file}: cannot be read as a table of features ({reason}); run the config again") from error
