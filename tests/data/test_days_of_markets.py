"""Whose days are these: an exchange is recognised by its holidays, gaps and all, and New York is left alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from barograph.data.calendars import sessions
from barograph.data.shapes.markets import MARKETS, homes_of
from barograph_adapters.files import look


def days_of(code: str, first: str = "2019-01-02", last: str = "2022-12-30") -> np.ndarray:
    return sessions(code, np.datetime64(first), np.datetime64(last)).days


@pytest.mark.parametrize("code", ["FX", "BVMF", "XTKS", "XHKG", "XLON"])
def test_an_exchange_is_known_by_its_days_also_where_some_are_missing(code: str) -> None:
    days = days_of(code)
    assert [one.calendar for one in homes_of(days)[1]][:1] == [code]
    kept = np.delete(days, np.random.default_rng(0).choice(len(days), 3, replace=False))
    (found,) = homes_of(kept)[1]
    assert (found.calendar, found.closed, found.missing) == (code, 0, 3)


def test_new_york_is_left_alone_and_so_is_what_fits_nobody() -> None:
    days = days_of("XNYS")
    assert homes_of(days)[1] == homes_of(np.delete(days, [7, 300]))[1] == []
    dates = np.arange(np.datetime64("2019-01-01"), np.datetime64("2023-01-01"))
    assert homes_of(dates[np.random.default_rng(1).random(len(dates)) < 0.9])[1] == []
    # A month tells nobody's holidays.
    assert homes_of(days_of("BVMF", "2022-08-01", "2022-08-31"))[1] == []


def test_of_two_that_rest_alike_none_is_chosen_and_both_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("barograph.data.shapes.markets.MARKETS", ("XLON", "XPAR", "XAMS"))
    days = np.delete(days_of("XPAR"), 100)
    assert [one.calendar for one in homes_of(days)[1]] == ["XPAR", "XAMS"]
    (calendar,) = [one for one in look(written(tmp_path, days)).words if one[0] == "calendar"]
    assert calendar[1:] == ("XNYS", "the exchange, which no file names; these are the days of XPAR or XAMS")


def written(folder: Path, days: np.ndarray) -> Path:
    prices = 100 + np.arange(len(days)) % 7 + np.arange(len(days)) % 3
    path = folder / "a.csv"
    path.write_text(
        "\n".join(["date,close", *(f"{day},{price}" for day, price in zip(days, prices, strict=True))]) + "\n"
    )
    return path


def test_a_look_reads_the_file_on_the_exchange_that_has_its_days(tmp_path: Path) -> None:
    seen = look(written(tmp_path, days_of("BVMF")))
    (calendar,) = [one for one in seen.words if one[0] == "calendar"]
    assert calendar[1] == "BVMF"
    assert calendar[2].startswith("its days; XNYS was closed on ")
    assert not {"gap", "not_a_session"} & {one.code for one in seen.findings}
    # What is told goes before.
    told = look(written(tmp_path, days_of("BVMF")), calendar="XNYS")
    assert {"gap", "not_a_session"} <= {one.code for one in told.findings}


def test_every_market_that_is_asked_can_be_built() -> None:
    assert all(len(days_of(code)) > 900 for code in MARKETS)
