"""Read a run folder back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barograph.errors import DataError
from barograph.metrics.formulas import believed
from barograph.metrics.steps import Steps, stamps, steps
from barograph.report.words import regime_names
from barograph.types import Floats

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

__all__ = ["TABLES", "Run", "read_json", "read_run"]

TABLES = ("equity", "beliefs", "orders", "fills", "events", "trades", "benchmark", "prices")
# Of a machine that chooses alone.
CHOICES = "choices"


@dataclass(frozen=True, eq=False)
class Run:
    """A run folder in memory: its tables by name, metrics, manifest, fits and the resolved config's text.

    `bounds` are those of `barograph.audit.bounds`, as JSON, or None where they were not asked for.
    """

    folder: Path
    tables: dict[str, pd.DataFrame]
    metrics: dict[str, float | None]
    manifest: dict[str, Any]
    fits: list[dict[str, Any]]
    config: str
    bounds: dict[str, Any] | None = None

    @property
    def name(self) -> str:
        """What the run is called."""
        return str(self.manifest.get("name") or self.folder.name)

    @property
    def by_day(self) -> bool:
        """Whether its returns are those of days, as over several markets."""
        return bool(self.manifest["data"].get("by_day", False))

    @property
    def steps(self) -> Steps:
        """The rows between which its returns lie, and how many of them a year has."""
        return steps(stamps(self.tables["equity"]), float(self.manifest["data"]["periods"]), self.by_day)

    @property
    def ts(self) -> pd.Series[pd.Timestamp]:
        """The closes, (T + 1,)."""
        return self.tables["equity"]["ts"]

    @property
    def equity(self) -> Floats:
        """The equity at each close, (T + 1,)."""
        return self.tables["equity"]["equity"].to_numpy(np.float64)

    @property
    def benchmark(self) -> Floats:
        """Buy and hold at each close, (T + 1,)."""
        return self.tables["benchmark"]["equity"].to_numpy(np.float64)

    @property
    def each(self) -> bool:
        """Whether there is a belief an asset."""
        return "symbol" in self.tables["beliefs"].columns

    @property
    def regimes(self) -> NDArray[np.int64]:
        """The regime believed at each close, (T + 1,); −1 where there was no model yet, or one belief for all."""
        return believed(self.tables["beliefs"]) if not self.each else np.full(len(self.ts), -1)

    @property
    def states(self) -> int:
        """How many regimes the model has; 1 says that there is no model."""
        return sum(name.startswith("p_") for name in self.tables["beliefs"].columns)

    @property
    def regime_names(self) -> tuple[str, ...]:
        """What its regimes are called: as the model calls them, where it does, else calm to turbulent."""
        told = next((tuple(labels) for fit in self.fits if (labels := fit.get("summary", {}).get("labels"))), ())
        return told if len(told) == self.states else tuple(regime_names(self.states))


def read_run(folder: Path) -> Run:
    """Read everything that a report needs from a run folder.

    Raises `DataError` naming the file that is absent or that cannot be read.
    """
    names = (*TABLES, CHOICES) if (folder / f"{CHOICES}.parquet").exists() else TABLES
    tables = {name: _table(folder / f"{name}.parquet") for name in names}
    fits = folder / "fits.json"
    metrics = read_json(folder / "metrics.json")
    bounds = metrics.pop("bounds", None)
    return Run(
        folder,
        tables,
        metrics=metrics,
        manifest=read_json(folder / "manifest.json"),
        fits=read_json(fits) if fits.exists() else [],
        config=_present(folder / "config.toml").read_text(encoding="utf-8"),
        bounds=bounds,
    )


def _present(file: Path) -> Path:
    if not file.is_file():
        raise DataError(f"{file}: absent, wanted a whole run folder; give one that `barograph run` has written")
    return file


def _table(file: Path) -> pd.DataFrame:
    import pandas as pd

    try:
        return pd.read_parquet(_present(file))
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise DataError(f"{file}: cannot be read as Parquet ({reason}); run the config again") from error


def read_json(file: Path) -> Any:
    """Return what a JSON file of a run folder holds. Raises `DataError` naming one that is absent or damaged."""
    try:
        return json.loads(_present(file).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: cannot be read as JSON ({error}); run the config again") from error
