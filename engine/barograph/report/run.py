"""The run folder: everything about one run, written whole or not at all, never edited."""

from __future__ import annotations

import json
import os
import platform
import shutil
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barograph.audit.explaining.explained import scores
from barograph.config.provenance import code_hash, commit, config_hash, hashed, versions
from barograph.errors import ConfigError, DataError
from barograph.jit.arithmetic import ARITHMETIC
from barograph.report.explaining.contents import score_content
from barograph.report.explaining.kept import FITS, features_table, in_force

if TYPE_CHECKING:
    import pandas as pd

    from barograph.audit.bounds import Bounds
    from barograph.config.schema import Config
    from barograph.loop.result import Learned, Result

__all__ = ["check_root", "free_folder", "learned", "manifest", "plain", "write_json", "write_parquet", "write_run"]


def write_run(
    result: Result,
    config: Config,
    root: Path,
    wall_times: dict[str, float],
    source: Path,
    bounds: Bounds | None = None,
) -> Path:
    """Write ``root/<utc>-<name>-<hash8>/`` and return it; on any error nothing is left behind.

    `bounds`, when they were asked for, go into metrics.json; every Parquet file is the same with and without them.
    """
    from barograph.report import write_report

    check_root(root)
    root.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=root))
    try:
        _write(result, config, fresh, wall_times, source)
        write_json(_measures(result, bounds), fresh / "metrics.json")
        write_report(fresh)
        fresh.chmod(0o755)
        mark = hashed([config_hash(config), result.history.digest()])[:8]
        return fresh.rename(free_folder(root, config.name, mark))
    except BaseException:
        shutil.rmtree(fresh)
        raise


def check_root(root: Path) -> None:
    """Raise `ConfigError` when run folders cannot be made there, before anything is computed."""
    parent = next(p for p in (root, *root.absolute().parents) if p.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ConfigError(f"--runs {root}: {parent} is not a folder that can be written to")


def free_folder(root: Path, name: str, mark: str) -> Path:
    """Return a folder that is not there yet, named after the moment."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    for suffix in ("", *(f"-{n}" for n in range(2, 1000))):
        folder = root / f"{stamp}-{name}-{mark}{suffix}"
        if not folder.exists():
            return folder
    raise DataError(f"{root}: too many runs of {name} in one second")


def _write(result: Result, config: Config, folder: Path, wall_times: dict[str, float], source: Path) -> None:
    import tomli_w

    for name, table in result.tables.items():
        write_parquet(table, folder / f"{name}.parquet")
    (folder / "config.toml").write_text(tomli_w.dumps(config.redacted()), encoding="utf-8")
    write_json([learned(fit, result) for fit in result.fits], folder / "fits.json")
    _keep(result, folder)
    write_json(_manifest(result, config, wall_times, source), folder / "manifest.json")


def _keep(result: Result, folder: Path) -> None:
    """Keep every fit that came into force and what it saw: nothing is trained again to explain a run."""
    fits, seen = in_force(result), features_table(result)
    if fits:
        (folder / FITS).mkdir()
    for number, fitted in fits.items():
        fitted.save(folder / FITS / f"{number:04d}.npz")
    if seen is not None:
        write_parquet(seen, folder / "features.parquet")


def _measures(result: Result, bounds: Bounds | None) -> dict[str, Any]:
    return dict(result.metrics) if bounds is None else {**result.metrics, "bounds": bounds._asdict()}


def write_parquet(table: pd.DataFrame, path: Path) -> None:
    """Write a table so that the same table is the same bytes."""
    import pyarrow
    from pyarrow import parquet

    # pandas' own metadata names its version and would change the bytes; the columns are the interface.
    content = pyarrow.Table.from_pandas(table, preserve_index=False).replace_schema_metadata(None)
    parquet.write_table(content, path, compression="zstd", coerce_timestamps="us")


def write_json(content: Any, path: Path) -> None:
    """Write a JSON file that people can read."""
    path.write_text(json.dumps(content, indent=2, allow_nan=False, default=plain) + "\n", encoding="utf-8")


def plain(value: Any) -> Any:
    """Return numpy's numbers and arrays as JSON has them: what `json.dumps` asks for as its `default`."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} has no place in a JSON file")


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def learned(fit: Learned, result: Result) -> dict[str, Any]:
    """Return a fit as an entry of fits.json."""
    history, match = result.history, fit.match
    return {
        "ts": history.when(fit.bar),
        "first": history.when(fit.first),
        "last": history.when(fit.last - 1),
        "observations": fit.fitted.observations,
        "converged": fit.fitted.converged,
        "log_likelihood": None if fit.fitted.log_likelihood is None else _finite(fit.fitted.log_likelihood[-1]),
        "asked": fit.asked,
        "refused": fit.refused,
        "match": None
        if match is None
        else {
            "permutation": list(match.permutation),
            "convincing": match.convincing,
            "cost": _finite(match.cost),
            "margin": _finite(match.margin),
            "message": match.message,
        },
        "summary": fit.fitted.summary(),
        **_judged(fit),
    }


def _judged(fit: Learned) -> dict[str, Any]:
    """Return a classifier's scores on its held-out rows; of any other model, or one never judged, nothing."""
    found = None if fit.refused else scores(fit.fitted.judged)
    return {} if found is None else {"judged": score_content(found)}


def manifest(result: Result, name: str) -> dict[str, Any]:
    """Return what a manifest says of any run, with a config or without one."""
    history = result.history
    return {
        "name": name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "arithmetic": ARITHMETIC,
        "versions": {"python": platform.python_version(), **versions()},
        "data": {
            "symbols": list(history.symbols),
            "traded": [s for s, t in zip(history.symbols, history.traded, strict=True) if t],
            "source": history.source,
            "calendar": history.calendar,
            "by_day": history.by_day,
            "periods": history.periods,
            "currency": history.currency,
            "bars": len(history),
            "first": history.when(result.first),
            "last": history.when(len(history) - 1),
            "digest": history.digest(),
        },
        # A model that was fitted before the run and does not learn; one that does stands in fits.json.
        "model": getattr(result.machine.model, "digest", None),
        "features": list(result.fits[-1].fitted.features) if result.fits else [],
        "findings": [dict(finding._asdict()) for finding in history.findings],
    }


def _manifest(result: Result, config: Config, wall_times: dict[str, float], source: Path) -> dict[str, Any]:
    return manifest(result, config.name) | {
        "git": commit(source),
        "config_hash": config_hash(config),
        "code_hash": code_hash(config, source),
        "seed": None if config.model is None else config.model.arguments.get("seed", 0),
        "wall_times": wall_times,
    }
