"""A deployment on a file that grows: half a line is no bar, a clock change stops nothing, bars of the future do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from barograph.config.load import load
from barograph.data.calendars import sessions
from barograph.epoch import FIRST, HOUR
from barograph.errors import DataError
from barograph.paper.feeds import feeds_of
from barograph.paper.service import Service, deployable
from barograph.paper.simulated import SetClock
from barograph.types import Feed
from barograph_adapters.store.sql import open_store

KNOWN = sessions("XNYS", np.datetime64("2024-02-26"), np.datetime64("2024-03-20"))
SOON = HOUR // 10
CONFIG = """
name = "d"
[data]
use = "barograph_adapters.files:csv"
path = "A.csv"
{}
[strategy]
use = "barograph_strategies.buy_and_hold:buy_and_hold"
"""


def line(n: int) -> str:
    """Write a day as New York's midnight with its offset, which changes on 10 March."""
    stamp = pd.Timestamp(KNOWN.days[n]).tz_localize("America/New_York")
    return f"{stamp},{100 + n % 3}.25,{1000 + n}\n"


def lines(n: int) -> str:
    return "date,close,volume\n" + "".join(map(line, range(n)))


class Deployed:
    """A deployment in a folder of its own, begun after the first bars of a file."""

    def __init__(self, folder: Path, text: str, at: int, more: str = "") -> None:
        self.file, self.clock = folder / "A.csv", SetClock(at)
        self.file.write_text(text)
        (folder / "c.toml").write_text(CONFIG.format(more))
        store: Any = open_store(f"sqlite:///{folder}/paper.db")
        self.service: Service = deployable(load(folder / "c.toml", []), folder, store, "d", self.clock)
        self.service.start()
        self.service.look()

    def look(self, text: str, at: int) -> int:
        self.file.write_text(text)
        self.clock.set(at)
        return self.service.look()


def test_half_a_line_is_waited_for(tmp_path: Path) -> None:
    one = Deployed(tmp_path, lines(5), int(KNOWN.closes[4]) + SOON)
    assert one.look(lines(5) + line(5)[:-4], int(KNOWN.closes[5]) + SOON) == 0
    assert one.look(lines(6), int(KNOWN.closes[5]) + 2 * SOON) == 1
    assert one.service.deployment is not None
    assert one.service.deployment.live.history.volume[-1, 0] == 1005.0


def test_the_first_look_may_come_in_the_middle_of_a_line(tmp_path: Path) -> None:
    one = Deployed(tmp_path, lines(4) + line(4)[:-7], int(KNOWN.closes[3]) + SOON)
    assert one.service.last == KNOWN.closes[3]


def test_a_clock_change_in_the_column_of_times_stops_nothing(tmp_path: Path) -> None:
    one = Deployed(tmp_path, lines(5), int(KNOWN.closes[4]) + SOON)
    decided = [one.look(lines(n + 1), int(KNOWN.closes[n]) + SOON) for n in range(5, len(KNOWN.days))]
    assert decided == [1] * (len(KNOWN.days) - 5)


def test_bars_beyond_the_clock_are_an_error_and_the_running_one_is_not(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"A\.csv: beyond_clock: 3 bars close after 2024-03-01 2.*check times and clock"
    ):
        Deployed(tmp_path, lines(8), int(KNOWN.closes[4]) + SOON)
    (tmp_path / "later").mkdir()
    one = Deployed(tmp_path / "later", lines(6), int(KNOWN.opens[5]) + SOON)
    assert one.service.last == KNOWN.closes[4]
    assert one.look(lines(12), int(KNOWN.closes[5]) + SOON) == 0
    (alert,) = [row for row in one.service.store.rows("alerts", "d") if row["kind"] == "bad_data"]
    assert "beyond_clock" in str(alert["facts"])
    assert one.look(lines(6), int(KNOWN.closes[5]) + 2 * SOON) == 1


def test_an_end_in_the_config_is_no_clock(tmp_path: Path) -> None:
    one = Deployed(tmp_path, lines(5), int(KNOWN.closes[4]) + SOON, '[run]\nend = "2024-03-01"')
    assert one.look(lines(6), int(KNOWN.closes[5]) + SOON) == 0
    assert one.service.last == KNOWN.closes[4]
    assert [row for row in one.service.store.rows("alerts", "d") if row["kind"] == "bad_data"] == []


def moving(n: int, wrong: int = -1) -> str:
    """Write days that move by up to one per cent, one of them off by a hundred."""
    rows = [f"{KNOWN.days[t]},{(100 + t % 3) * (0.01 if t == wrong else 1.0):.4f},{1000 + t}\n" for t in range(n)]
    return "date,close,volume\n" + "".join(rows)


def test_a_price_off_by_a_hundred_in_a_growing_file_is_held_like_one_of_any_feed(tmp_path: Path) -> None:
    one = Deployed(tmp_path, moving(14), int(KNOWN.closes[13]) + SOON)
    assert one.look(moving(15, 14), int(KNOWN.closes[14]) + SOON) == 0
    assert one.look(moving(16, 14), int(KNOWN.closes[15]) + SOON) == 1
    assert one.service.deployment is not None
    assert one.service.deployment.live.history.close[-2:, 0].tolist() == [101.0, 100.0]
    (tmp_path / "off").mkdir()
    off = Deployed(tmp_path / "off", moving(14), int(KNOWN.closes[13]) + SOON, 'gate = "off"')
    assert off.look(moving(15, 14), int(KNOWN.closes[14]) + SOON) == 0
    (alert,) = [row for row in off.service.store.rows("alerts", "d") if row["kind"] == "bad_data"]
    assert "scale_jump" in str(alert["facts"])


@pytest.mark.parametrize("where", ["observed", "paper.feeds"])
def test_without_a_gate_all_that_is_asked_is_checked_as_a_file_at_rest(tmp_path: Path, where: str) -> None:
    for name, wrong in (("A", -1), ("B", 14)):
        (tmp_path / f"{name}.csv").write_text(moving(16, wrong))

    def feed(gate: str) -> Feed:
        more = f'gate = "{gate}"\n[[{where}]]\nuse = "barograph_adapters.files:csv"\npath = "B.csv"'
        (tmp_path / "c.toml").write_text(CONFIG.format(more))
        return feeds_of(load(tmp_path / "c.toml", []), tmp_path)[0]

    assert feed("on").fetch(FIRST, int(KNOWN.closes[15])) is not None
    with pytest.raises(DataError, match="scale_jump"):
        feed("off")
