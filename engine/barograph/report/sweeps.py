"""The folder of a sweep: every point with its figures, what they are worth together, and a page that shows it."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from barograph.report.run import check_root, free_folder, write_json, write_parquet
from barograph.validation.verdict import Verdict, verdict

if TYPE_CHECKING:
    import pandas as pd

    from barograph.config.varied import Varied
    from barograph.report.trials import Tried
    from barograph.sweeps.run import Sweep

__all__ = ["write_sweep"]


def write_sweep(found: Sweep, varied: Varied, again: Sequence[dict[str, Any]], tried: Tried, seconds: float,
                root: Path) -> tuple[Path, dict[str, Any]]:  # fmt: skip
    """Write ``root/<utc>-<name>-<mark8>/`` with points.parquet, sweep.json, config.toml and report.html.

    Return the folder and what sweep.json says; on any error nothing is left behind. `again` are the best points run
    again: their number, run folder and metrics.
    """
    import tomli_w

    from barograph.report import sweep_report

    check_root(root)
    fresh = Path(tempfile.mkdtemp(prefix=".new-", dir=root))
    try:
        told = _told(found, varied, again, tried, seconds)
        write_parquet(_spelled(found.table, varied.keys), fresh / "points.parquet")
        config = varied.config.redacted() | {"sweep": varied.tree["sweep"]}
        (fresh / "config.toml").write_text(tomli_w.dumps(config), encoding="utf-8")
        write_json(told, fresh / "sweep.json")
        sweep_report(fresh)
        fresh.chmod(0o755)
        return fresh.rename(free_folder(root, f"{varied.config.name}-sweep", varied.mark()[:8])), told
    except BaseException:
        shutil.rmtree(fresh)
        raise


def _told(
    found: Sweep, varied: Varied, again: Sequence[dict[str, Any]], tried: Tried, seconds: float
) -> dict[str, Any]:
    seen = found.plan.seen[0]
    history = seen.history
    return {
        "name": varied.config.name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "figure": varied.plan.figure,
        "keys": list(varied.keys),
        "symbols": [s for s, t in zip(history.symbols, history.traded, strict=True) if t],
        "first": history.when(seen.first),
        "last": history.when(len(history) - 1),
        "bars": len(seen.B),
        "counters": found.counters._asdict(),
        "backend": found.backend,
        "failed": sum(map(bool, found.failed)),
        "seconds": round(seconds, 3),
        "best": [_best(varied, one) for one in again],
        "verdict": _verdict(found, tried),
    }


def _best(varied: Varied, one: dict[str, Any]) -> dict[str, Any]:
    values = dict(zip(varied.keys, varied.values[one["point"]], strict=True))
    told = {k: str(v) if isinstance(v, float) and not np.isfinite(v) else v for k, v in values.items()}
    return {"keys": told, **one}


def _verdict(found: Sweep, tried: Tried) -> dict[str, Any]:
    """Judge all points together: against cash, and against buying and holding what they trade."""
    there = np.flatnonzero(found.harvest.ended[:, 0] == 0)
    if there.size == 0:
        return {
            "words": "Nothing was found: no point of the sweep has figures.",
            "found": False,
            "trials": tried.counted,
        }
    periods = found.seen(int(there[0])).steps.periods
    tried_in_all = max(1, tried.counted)
    judged = verdict(np.asarray(found.harvest.sums[there]), periods, tried=tried_in_all)
    beside = verdict(np.asarray(found.harvest.beyond[there]), periods, tried=tried_in_all)
    words = f"Against cash: {judged.words[0].lower()}{judged.words[1:]} Against buying and holding: {_likely(beside)}."
    if tried.counted > tried.own:
        words += f" {tried.counted - tried.own:,} earlier trials of the same symbols and time are counted."
    return {
        "words": words,
        "found": judged.found,
        "p": judged.p,
        "p_against_holding": beside.p,
        "deflated_sharpe": _number(judged.deflated),
        "trials": tried.counted,
        "best": int(there[judged.best]),
        "sharpe": _number(judged.sharpe),
    }


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _spelled(table: pd.DataFrame, keys: Sequence[str]) -> pd.DataFrame:
    """Return the table with values of several kinds, lists and tables as text: a column of a file has one kind."""
    told = table.copy()
    for key in keys:
        kinds = {type(value) for value in told[key]}
        if told[key].dtype == object and kinds != {str}:
            told[key] = [value if isinstance(value, str) else json.dumps(value) for value in told[key]]
    return told


def _likely(judged: Verdict) -> str:
    found = "something was found" if judged.found else "nothing was found"
    return f"{found} (were none of them any better, the best would look as good in {100 * judged.p:.1f} % of cases)"
