"""Interest rates from files: what a value is, from when it holds, and one line for what cannot be read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import barograph as bg
from barograph_adapters.files import joined, rate
from tests import ROOT


def written(folder: Path, text: str) -> Path:
    path = folder / "rates.csv"
    path.write_text(text)
    return path


def test_a_rate_holds_from_its_date_on(tmp_path: Path) -> None:
    found = rate(written(tmp_path, "date,bills\n2024-01-02,5\n2024-01-04,4\n"), percent=True)
    closes = np.array(pd.to_datetime([f"2024-01-0{d} 21:00" for d in (2, 3, 4, 5)]).as_unit("ns").asi8)
    # The rate of the 4th is known at that day's close: the bar of the 5th is the first to pay it.
    assert found.on(closes).tolist() == [0.05, 0.05, 0.05, 0.04]


def test_columns_by_name_and_parquet(tmp_path: Path) -> None:
    table = pd.DataFrame({"day": pd.to_datetime(["2024-01-02"]), "a": [0.1], "b": [0.2]})
    table.to_parquet(tmp_path / "r.parquet")
    assert rate(tmp_path / "r.parquet", column="b", time="day").values.tolist() == [0.2]
    table.set_index("day")[["a"]].rename_axis("date").to_parquet(tmp_path / "i.parquet")
    assert rate(tmp_path / "i.parquet").values.tolist() == [0.1]


@pytest.mark.parametrize(
    ("text", "keys", "words"),
    [
        ("date,a,b\n2024-01-01,1,2\n", {}, "which column is meant cannot be told of date, a, b; name it with column"),
        ("day,a\n2024-01-01,1\n", {}, "name it with time"),
        ("date,a\n2024-01-01,1\n", {"column": "aa"}, "no column 'aa'; did you mean 'a'?; the file has date, a"),
        ("date,a\n2024-01-01,1\n2024-01-02,.\n", {}, "rates.csv: line 3: '.' is no rate"),
        ("date,a\n2024-13-01,1\n", {}, "rates.csv: line 2: '2024-13-01' is no time"),
        ("date,a\n2024-01-02,1\n2024-01-01,1\n", {}, "rates.csv: a rate wants increasing moments"),
        ("date,a\n", {}, "found 0 moments"),
        ("date,a\n2024-01-02,5.33\n", {}, "a rate holds 5.33, which is 533% a year; wanted fractions (or percent"),
    ],
)
def test_what_cannot_be_a_rate_is_one_line(tmp_path: Path, text: str, keys: dict[str, Any], words: str) -> None:
    with pytest.raises(bg.DataError, match=re.escape(words)) as caught:
        rate(written(tmp_path, text), **keys)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(bg.DataError, match="no such file"):
        rate("nowhere.csv")


def test_the_shipped_rate_is_the_funds_target() -> None:
    found = rate(ROOT / "configs" / "fed_funds.csv", percent=True)
    at = pd.to_datetime(["2001-01-02", "2006-07-03", "2012-01-03", "2018-12-31"]).as_unit("ns").asi8
    assert found.values[np.searchsorted(found.ts, at, side="right") - 1].tolist() == [0.065, 0.0525, 0.0025, 0.025]


def test_joined_histories_are_all_traded() -> None:
    one, other = (bg.History.from_arrays([1, 2], close=[1.0, 2.0], symbols=[name]) for name in "AB")
    assert joined([one, other]).traded == (True, True)
    assert joined([one, other]).symbols == ("A", "B")
    with pytest.raises(bg.DataError, match="parts wants a list of loaders"):
        joined([])
