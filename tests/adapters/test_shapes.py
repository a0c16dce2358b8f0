"""Files of more than forty shapes load right with what `data look` prints, or are refused in one line that says how."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from barograph.data.shapes.known import recognised
from barograph.data.shapes.vendors import HEADERLESS, SHAPES
from barograph.data.times import TwoReadings
from barograph.errors import DataError
from barograph_adapters.files import bars, look
from tests.campaigns.shapes import block
from tests.kit import file_mutations
from tests.kit.file_grids import Grid
from tests.kit.file_mutations import KINDS, differences, half_a_line, mutated, outcome
from tests.kit.file_shapes import REFUSED
from tests.kit.file_shapes import SHAPES as GRIDS


def written(one: Grid, folder: Path) -> Path:
    path = folder / one.file
    path.write_bytes(one.content)
    return path


# --- the table --------------------------------------------------------------------------------------------------------


def test_there_are_forty() -> None:
    assert len({one.name for one in GRIDS}) >= 40


@pytest.mark.parametrize("one", GRIDS, ids=lambda one: one.name)
def test_a_shape_loads_with_what_look_prints(one: Grid, tmp_path: Path) -> None:
    path = written(one, tmp_path)
    printed = look(path, **one.words)
    words = {key: value for key, value, _ in printed.words}
    assert printed.problem == ""
    history = bars(path, **words)
    assert differences(history, one.truth) == ""
    assert bars(path, **one.words).digest() == history.digest()


@pytest.mark.parametrize("one", GRIDS, ids=lambda one: one.name)
def test_two_looks_show_all_that_has_to_be_said(one: Grid, tmp_path: Path) -> None:
    """Each word is printed with its value, or asked for where no file says it: the exchange, what own names mean."""
    path, said = written(one, tmp_path), dict[str, Any]()
    for _ in range(2):
        seen = look(path, **said)
        printed = {key: value for key, value, _ in seen.words}
        for key, value in one.words.items():
            shown = printed.get(key) == value or any(way.get(key) == value for way in seen.ways.values())
            if shown or (key == "calendar" and key in printed) or (key == "columns" and key in seen.problem):
                said[key] = value
    assert said == one.words


@pytest.mark.parametrize("one", REFUSED, ids=lambda one: one.name)
def test_what_nobody_can_read_is_refused_with_its_cure(one: Grid, tmp_path: Path) -> None:
    path = written(one, tmp_path)
    with pytest.raises(DataError, match=one.refused) as caught:
        bars(path)
    assert "\n" not in str(caught.value)
    assert str(path.name) in str(caught.value)


def test_each_of_two_readings_that_look_shows_can_be_told(tmp_path: Path) -> None:
    one = next(one for one in REFUSED if one.name == "thousands or decimals")
    seen = look(written(one, tmp_path))
    assert len(seen.ways) == 2
    closes = [bars(tmp_path / one.file, **words).close[0, 0] for words in seen.ways.values()]
    assert closes[1] == 1000 * closes[0]


def test_a_zone_is_printed_only_where_no_offset_stands_beside_the_times(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    for mark, printed in (("", True), ("Z", False), ("+02:00", False)):
        path.write_text("time,close\n" + "".join(f"2024-07-06 {hour}:30{mark},{hour}\n" for hour in range(10, 20)))
        words = {key: value for key, value, _ in look(path).words}
        assert ("time_zone" in words) is printed
        assert bars(path, **words).ts.tolist() == bars(path, calendar="24/7").ts.tolist()


# --- changed at random ------------------------------------------------------------------------------------------------


def test_files_changed_at_random_are_read_right_or_refused() -> None:
    counted, found = block(0, 180)
    assert found == []
    assert counted["right"] > 0.7 * 180


def test_a_wrong_reading_is_caught(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A reader that takes the last of two readings is caught by a file whose days are all below thirteen."""
    own = bars

    def guessing(path: Path, **words: object):  # type: ignore[no-untyped-def]
        try:
            return own(path, **words)
        except TwoReadings as error:
            return own(path, **{**words, **list(error.ways.values())[-1]})

    one = next(one for one in GRIDS if one.name == "two readings")._replace(words={})
    assert outcome(one, tmp_path).word == "refused"
    monkeypatch.setattr(file_mutations, "bars", guessing)
    assert outcome(one, tmp_path).word == "wrong"


def test_half_a_line_of_any_shape_is_no_bar(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    for one in GRIDS[::3]:
        if one.packed or len(one.rows) != len(one.truth.ts):
            continue
        content, whole = half_a_line(rng, one)
        told = outcome(whole, tmp_path, content, growing=True)
        assert told.word == "right", (one.name, told.said)


def test_what_cannot_be_known_is_in_the_guide(guide: str) -> None:
    assert len(KINDS) <= 3
    for kind in KINDS:
        assert kind in guide


@pytest.fixture(scope="module")
def guide() -> str:
    from tests import ROOT

    return " ".join((ROOT / "docs" / "data.md").read_text(encoding="utf-8").split())


@pytest.mark.parametrize("name", sorted({shape.name.partition(" (")[0] for shape in SHAPES} | set(HEADERLESS)))
def test_every_known_shape_is_in_the_guide(name: str, guide: str) -> None:
    assert name in guide


def test_mutations_of_all_kinds_are_drawn() -> None:
    assert {kind for seed in range(3000) for kind in mutated(seed)[1]} == set(KINDS)


# --- whose it is ------------------------------------------------------------------------------------------------------


def test_what_is_told_goes_before_what_is_known() -> None:
    from barograph.data.table import Reading

    frame = pd.DataFrame({"Gmt time": ["01.02.2024 00:00:00.000"], "Close": [1.0], "Volume": [2.0]})
    how = recognised(frame, Reading(bars_mark="close", calendar="FX", columns={"volume": "Volume"}))
    assert (how.bars_mark, how.calendar, how.columns) == ("close", "FX", {"time": "Gmt time", "volume": "Volume"})


def test_an_unknown_shape_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("2024.07.01,00:00,1,1,1,1,5\n")
    with pytest.raises(DataError, match="shape = 'kibott'; did you mean 'kibot'"):
        bars(tmp_path / "a.csv", shape="kibott")
    with pytest.raises(DataError, match="bars of Binance are not written so"):
        bars(tmp_path / "a.csv", shape="binance")


def test_what_look_prints_of_a_refused_file_is_refused_alike(tmp_path: Path) -> None:
    """Of MetaTrader 4 the server's clock has to be said, whatever else is."""
    path = written(next(one for one in GRIDS if one.name == "MetaTrader 4"), tmp_path)
    printed = {key: value for key, value, _ in look(path).words}
    assert printed["shape"] == "metatrader4"
    assert not {"header", "columns"} & set(printed)
    numbered = {"time": "1", "clock": "2", "open": "3", "high": "4", "low": "5", "close": "6"}
    for words in ({}, printed, {"header": False, "columns": numbered, "bars_mark": "open"}):
        with pytest.raises(DataError, match=r"MetaTrader 4 writes its server's clock.*time_zone="):
            bars(path, **words)


@pytest.mark.parametrize("name", ["Binance in microseconds", "Kraken", "HistData"])
def test_a_shape_without_names_is_printed_by_its_own(name: str, tmp_path: Path) -> None:
    one = next(one for one in GRIDS if one.name == name)
    printed = {key: value for key, value, _ in look(written(one, tmp_path), **one.words).words}
    assert printed["shape"] == name.split(maxsplit=1)[0].lower()
    assert "columns" not in printed


@pytest.mark.parametrize("symbol", ["BTC/USD", "X:BTCUSD"])
def test_coins_are_known_by_their_open_too(symbol: str, tmp_path: Path) -> None:
    path, names = tmp_path / "a.csv", "symbol,timestamp,open,high,low,close,volume,trade_count,vwap"
    if symbol.startswith("X"):
        names = "ticker,window_start,open,high,low,close,volume,transactions,vwap"
    hours = pd.date_range("2024-07-06 10:00", periods=3, freq="h", tz="UTC")
    path.write_text(names + "\n" + "".join(f"{symbol},{hour},1,1,1,1,5,9,1\n" for hour in hours))
    history = bars(path)
    assert history.calendar == "24/7"
    assert history.ts.tolist() == [hour.value + 3_600_000_000_000 for hour in hours]
    path.write_text(names + "\n" + "".join(f"{symbol},2024-07-0{n} 00:00:00+00:00,1,1,1,1,5,9,1\n" for n in (5, 6)))
    assert bars(path).ts.tolist() == [pd.Timestamp(f"2024-07-0{n}").value for n in (6, 7)]


def test_two_vendors_who_write_alike_are_both_named(tmp_path: Path) -> None:
    one = next(one for one in GRIDS if one.name == "HistData")
    with pytest.raises(DataError, match='of HistData, say shape = "histdata", or if it is of NinjaTrader'):
        bars(written(one, tmp_path))
