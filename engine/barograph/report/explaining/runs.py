"""A run folder, or a saved fit, becomes what is explained: which fit, on which rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.audit.explaining.explained import STRETCHES, Explained, explain, scores
from barograph.errors import ConfigError, DataError
from barograph.regimes.fitted import Fitted
from barograph.regimes.saving import Modules
from barograph.report.explaining.contents import score_content
from barograph.report.explaining.kept import Seen, features_kept, fits_kept
from barograph.report.folder import read_json

__all__ = ["Told", "explain_file", "explain_run"]

Tell = Callable[[int, int], None]
_ENTRY: Final = frozenset({"first", "refused", "ts"})


class Told(NamedTuple):
    """One explained fit, what to call it, and the held-out scores of every fit of its run, an entry each."""

    name: str
    found: Explained
    fits: Sequence[dict[str, Any]] = ()


def explain_file(
    file: Path, seen: Seen | None, count: int = STRETCHES, modules: Modules | None = None, tell: Tell | None = None
) -> Told:
    """Explain a saved fit, by the features that a config's machine has `seen`, or without rows by what it keeps.

    Raises `FitError` for what is no saved fit, `ConfigError` for features that are not its own.
    """
    return Told(file.stem, _explained(Fitted.load(file, modules), seen, file, count, tell))


def explain_run(
    folder: Path,
    seen: Seen | None = None,
    number: int | None = None,
    count: int = STRETCHES,
    modules: Modules | None = None,
    tell: Tell | None = None,
) -> Told:
    """Explain a fit of a run folder: that of a `number` in fits.json, or the last; on its own rows and while in force.

    Nothing is trained or run again. Raises `DataError` for a folder without fits or with damaged files, `FitError` for
    a damaged fit, `ConfigError` for a number of none.
    """
    files = fits_kept(folder)
    at = max(files) if number is None else number
    if at not in files:
        known = f"{len(files)} of {min(files)}..{max(files)}"
        raise ConfigError(f"--fit {at}: {folder} keeps no fit of that number, it has {known}; fits.json says why")
    every = {n: Fitted.load(file, modules) for n, file in files.items()}
    told = _entries(folder / "fits.json", files)
    kept = features_kept(folder) if seen is None else seen
    rows = None if kept is None else _span(kept, told, at)
    manifest = read_json(folder / "manifest.json")
    name = (manifest.get("name") if isinstance(manifest, dict) else None) or folder.name
    found = _explained(every[at], rows, files[at], count, tell)
    return Told(str(name), found, [_fit(n, fitted, told) for n, fitted in every.items()])


def _entries(file: Path, files: dict[int, Path]) -> list[dict[str, Any]]:
    """Return the entries of fits.json; none is there for a model that was fitted before its run.

    Raises `DataError` for what is no such list, or lacks one of the fits.
    """
    told = read_json(file)
    if not isinstance(told, list) or not all(isinstance(one, dict) and one.keys() >= _ENTRY for one in told):
        wanted = ", ".join(sorted(_ENTRY))
        raise DataError(f"{file}: is no list of fits with {wanted} each; run the config again")
    if max(files) >= max(len(told), 1):
        raise DataError(f"{file}: tells of {len(told)} fits, and {files[max(files)]} is there; run the config again")
    return told


def _explained(fitted: Fitted, seen: Seen | None, file: Path, count: int, tell: Tell | None) -> Explained:
    first = fitted.of_asset(0)
    told = (f"of {len(fitted.symbols)} assets the first is explained",) if fitted.panel else ()
    X = None if seen is None else _own(first, seen, file)
    found = explain(first, X, None if seen is None else seen.ts, count, tell=tell)
    return found._replace(missing=(*told, *found.missing))


def _own(fitted: Fitted, seen: Seen, file: Path) -> Any:
    """Return the columns of a fit: with a belief an asset those of the first come first."""
    d = len(fitted.features)
    alike = all(_called(own, name) for own, name in zip(fitted.features, seen.names, strict=False))
    if len(seen.names) < d or len(seen.names) % d or not alike:
        told = f"was fitted on {', '.join(fitted.features)}, the rows are of {', '.join(seen.names)}"
        raise ConfigError(f"{file}: {told}; give the config that it was fitted with: --data CONFIG")
    return np.ascontiguousarray(seen.X[:, :d])


def _called(own: str, name: str) -> bool:
    """Tell whether a column is of that feature: a run's file ends with its asset, a wired machine's name begins so."""
    return name == own or name.startswith(f"{own}_") or name.endswith(f": {own}")


def _span(seen: Seen, told: list[dict[str, Any]], at: int) -> Seen:
    """Return the rows from a fit's first on, up to those at which the next came into force."""
    if not told:
        return seen
    import pandas as pd

    later = [fit for fit in told[at + 1 :] if not fit["refused"]]
    first = int(pd.Timestamp(told[at]["first"]).value)
    last = int(seen.ts[-1]) if not later else _end(later[0]["ts"])
    there = (seen.ts >= first) & (seen.ts <= last)
    return Seen(seen.ts[there], seen.X[there], seen.names)


def _end(when: str) -> int:
    """Return the last moment that is written so: a day where closes are told as days, else a second."""
    import pandas as pd

    span = pd.Timedelta(days=1) if len(when) == 10 else pd.Timedelta(seconds=1)
    return int((pd.Timestamp(when) + span).value) - 1


def _fit(number: int, fitted: Fitted, told: list[dict[str, Any]]) -> dict[str, Any]:
    found = scores(fitted.judged)
    when = told[number]["ts"] if number < len(told) else None
    return {"number": number, "ts": when, "scores": None if found is None else score_content(found)}
