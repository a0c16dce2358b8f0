"""What it costs to load a CSV file that is understood, checked and gated, beside one that is only read: CPU seconds."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from barograph.data.gate import gated
from barograph_adapters.files import bars
from benchmarks import Row, Table

ROWS = 1_000_000


def measure(size: float = 1.0) -> Table:
    """Take bars of a minute: the file as it is, and with the marks, dates and order of another country."""
    rows, repeats = max(500, int(ROWS * size)), 3 if size >= 1.0 else 1
    with tempfile.TemporaryDirectory() as folder:
        plain, foreign = written(Path(folder), rows)
        read = least(lambda: pd.read_csv(plain, parse_dates=["time"]), repeats)
        history = bars(plain, calendar="24/7")
        table = [
            Row("pandas.read_csv, its times parsed (P)", read, "CPU s", beside=f"{rows:,} rows"),
            Row("bars: understood, checked, copied", _of(lambda: bars(plain, calendar="24/7"), repeats, read), "P"),
            Row("behind the gate", _of(lambda: gated(history), repeats, read), "P", beside="beside the row above"),
            Row("bars, foreign marks and dates", _of(lambda: bars(foreign, calendar="24/7"), repeats, read), "P"),
        ]
    return Table("Loading a file", table)


def _of(call: Callable[[], Any], repeats: int, read: float) -> float:
    return least(call, repeats) / read


def least(call: Callable[[], Any], repeats: int) -> float:
    """Return the least CPU seconds of several calls, those of all threads."""
    found = []
    for _ in range(repeats):
        begun = time.process_time()
        call()
        found.append(time.process_time() - begun)
    return min(found)


def written(folder: Path, rows: int) -> tuple[Path, Path]:
    """Write a walk twice: as a program would, and as `27.12.2024 14:30;1.234,5678` with the newest first."""
    random = np.random.default_rng(0)
    close = 5000.0 * np.exp(np.cumsum(random.normal(0.0, 2e-4, rows)))
    opened = np.concatenate([close[:1], close[:-1]])
    columns = opened, np.maximum(opened, close) * 1.0002, np.minimum(opened, close) * 0.9998, close
    volume = random.integers(1, 1000, rows).tolist()
    moments = pd.date_range("2022-01-01 00:01", periods=rows, freq="min")
    cells = list(zip(*(column.tolist() for column in columns), volume, strict=True))
    names = ("time", "open", "high", "low", "close", "volume")
    plain = [f"{when},{o:.4f},{h:.4f},{low:.4f},{c:.4f},{v}" for when, (o, h, low, c, v) in
             zip(moments.strftime("%Y-%m-%d %H:%M:%S"), cells, strict=True)]  # fmt: skip
    swap = str.maketrans(",.", ".,")
    foreign = [
        f"{when};" + ";".join(f"{value:,.4f}".translate(swap) for value in row[:4]) + f";{row[4]}"
        for when, row in zip(moments.strftime("%d.%m.%Y %H:%M"), cells, strict=True)
    ]
    paths = folder / "plain.csv", folder / "foreign.csv"
    paths[0].write_text("\n".join([",".join(names), *plain, ""]), encoding="utf-8")
    paths[1].write_text("\n".join([";".join(names), *reversed(foreign), ""]), encoding="utf-8")
    return paths
