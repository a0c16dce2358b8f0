"""Daily bars like those of two published systems: an index fund, alone or with its volatility index; real or invented.

Without a `path` they are invented, of one seed: both series follow the same hidden regimes, so that a config can be
tried where the real files are not. With one they are read from files, and nothing else changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from barograph.data.history import History
from barograph.data.synthetic import SCENARIOS, Simulated, simulate
from barograph.errors import DataError
from barograph.types import Floats
from barograph_adapters.files import bars as from_file

__all__ = ["spy", "spy_and_vix", "world"]

# Where the volatility index lives in each regime, how quickly it goes there, and what a fall of the market does to it.
LEVELS: Final = (13.0, 20.0, 38.0)
PULL: Final = 0.06
FEAR: Final = 4.0
JITTER: Final = 0.035


def spy(
    path: Path | None = None,
    bars: int = 1900,
    seed: int = 0,
    start: str | None = None,
    end: str | None = None,
    accept: Sequence[str] = (),
    growing: bool = False,
) -> History:
    """Return daily bars of one index fund, named SPY: from a file, or invented where none is named.

    >>> history = spy(bars=300)
    >>> history.symbols, len(history), bool((history.high >= history.close).all())
    (('SPY',), 300, True)

    `bars` and `seed` are of what is invented. Raises `DataError` as `barograph_adapters.files:bars` does.
    """
    if path is None:
        return _fund(world(bars, seed), seed).between(start, end)
    return from_file(path, symbol="SPY", start=start, end=end, accept=accept, growing=growing)


def spy_and_vix(
    path: Path | None = None,
    bars: int = 1900,
    seed: int = 0,
    start: str | None = None,
    end: str | None = None,
    accept: Sequence[str] = (),
    growing: bool = False,
) -> History:
    """Return daily bars of SPY, and of VIX, which is not traded: from a folder, or invented where none is named.

    The folder holds one file whose name begins with spy and one whose name begins with vix (``spy.parquet``,
    ``VIX.csv``). `bars` and `seed` are of what is invented.

    >>> history = spy_and_vix(bars=300)
    >>> history.symbols, history.traded
    (('SPY', 'VIX'), (True, False))

    Raises `DataError` where the folder has none or several of either, and as `barograph_adapters.files:bars` does.
    """
    if path is None:
        drawn = world(bars, seed)
        fund, fear = _fund(drawn, seed).between(start, end), _fear(drawn, seed).between(start, end)
    else:
        words: dict[str, Any] = {"start": start, "end": end, "accept": accept, "growing": growing}
        fund, fear = (from_file(_file(path, name), symbol=name, **words) for name in ("SPY", "VIX"))
    return fund.join(fear.observe("VIX"), rows="mine")


def world(bars: int, seed: int) -> Simulated:
    """Return the market behind the twins: returns, the true regimes (0 calm, 1, 2 wild), and bars.

    >>> sorted(set(world(1000, 0).regimes.tolist()))
    [0, 1, 2]
    """
    return simulate(SCENARIOS["daily3"], bars, seed)


def _file(folder: Path, name: str) -> Path:
    if not folder.is_dir():
        raise DataError(f"{folder} is no folder; wanted one with a file spy.* and a file vix.*")
    found = sorted(file for file in folder.iterdir() if file.stem.upper() == name and file.is_file())
    if len(found) != 1:
        has = ", ".join(file.name for file in found) or "none"
        raise DataError(f"{folder.name}: files of {name}: {has}; wanted one, such as {name.lower()}.csv")
    return found[0]


def _quoted(drawn: Simulated, symbol: str, seed: int, **columns: Floats) -> History:
    """Return bars as an exchange quotes them: in cents, so that they are the same on every processor."""
    cents = {name: np.round(values, 0 if name == "volume" else 2) for name, values in columns.items()}
    source = f"invented {symbol}, seed {seed}"
    return History.from_arrays(drawn.history.ts, **cents, symbols=[symbol], calendar="XNYS", source=source)


def _fund(drawn: Simulated, seed: int) -> History:
    columns = {name: getattr(drawn.history, name)[:, 0] for name in ("open", "high", "low", "close", "volume")}
    return _quoted(drawn, "SPY", seed, **columns)


def _fear(drawn: Simulated, seed: int) -> History:
    """Let the volatility index's logarithm go to where its regime is, and up when the market falls."""
    random = np.random.default_rng([seed, 1])
    wanted = np.log(np.asarray(LEVELS))[drawn.regimes]
    noise = JITTER * random.standard_normal((3, len(wanted)))
    level, path = wanted[0], np.empty(len(wanted))
    for t in range(len(wanted)):
        level += PULL * (wanted[t] - level) - FEAR * drawn.returns[t] + noise[0, t]
        path[t] = level
    close = np.exp(path)
    opened = np.concatenate([close[:1], close[:-1]]) * np.exp(0.5 * noise[1])
    reach = np.exp(np.abs(noise[2]))
    high, low = np.maximum(opened, close) * reach, np.minimum(opened, close) / reach
    return _quoted(drawn, "VIX", seed, open=opened, high=high, low=low, close=close)
