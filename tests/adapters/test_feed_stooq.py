"""The feed of Stooq's bars against a server that answers as Stooq does: with bars, sentences, and web pages."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Iterator
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pandas as pd
import pytest

from barograph.config.parts import Part, make
from barograph.errors import ConfigError, DataError, FeedError
from barograph_adapters._retry import BusyError
from barograph_adapters.feeds import stooq as module
from barograph_adapters.feeds.stooq import stooq
from tests.fakes.yahoo import SECOND, Clock, at, serving, walk

KEY = "k3y with/odd&signs"
MONDAY, FRIDAY, NIGHT = at("2024-07-01T20:00"), at("2024-07-05T20:00"), at("2024-07-05T21:00")
BARS = walk("2024-05-01", "2024-07-12", 1)


class Stooq:
    """What the server knows, and what it says instead of it."""

    def __init__(self) -> None:
        self.asked: list[dict[str, str]] = []
        self.now = NIGHT
        self.spoil: Callable[[str], str | None] = lambda text: text
        self.status, self.missing, self.moved, self.silence, self.drip = 200, 0, "", 0.0, 0.0

    def page(self, query: dict[str, str]) -> str | None:
        self.asked.append(query)
        last = min(self.now, NIGHT)
        rows = BARS[(BARS.index >= pd.Timestamp(query["d1"])) & (BARS.index < pd.Timestamp(last))]
        lines = [f"{day.date()},{','.join(f'{value:g}' for value in row)}\r\n" for day, row in rows.iterrows()]
        return self.spoil("Date,Open,High,Low,Close,Volume\r\n" + "".join(lines))


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stooq]:
    fake = Stooq()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, format: str, *args: Any) -> None:
            pass

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(fake.now / SECOND, usegmt=True)

        def do_GET(self) -> None:
            time.sleep(fake.silence)
            page = fake.page({name: values[0] for name, values in parse_qs(urlsplit(self.path).query).items()})
            if page is None:
                return
            body = page.encode()
            self.send_response(302 if fake.moved else fake.status)
            if fake.moved:
                self.send_header("Location", fake.moved)
            if fake.missing >= 0:
                self.send_header("Content-Length", str(len(body) + fake.missing))
            self.end_headers()
            for piece in [body[n : n + 9] for n in range(0, len(body), 9)] if fake.drip else [body]:
                self.wfile.write(piece)
                time.sleep(fake.drip)

    with serving(Handler) as url:
        monkeypatch.setattr(module, "_URL", f"{url}/q/d/l/")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("STOOQ_KEY", KEY)
        yield fake


def feed(server: Stooq, *symbols: str, **words: Any) -> Any:
    words = {"tries": 1, "clock": Clock(server.now), **words}
    return stooq(list(symbols) or ["spy.us"], **words)


def error_of(call: Callable[[], Any]) -> str:
    with pytest.raises(FeedError) as caught:
        call()
    line = str(caught.value)
    assert "\n" not in line
    assert line.startswith("stooq: ")
    whole = "".join(traceback.format_exception(caught.value))
    for secret in (KEY, "k3y", "odd%26signs"):
        assert secret not in line
        assert secret not in whole
    return line


def test_the_final_bars_of_the_span(server: Stooq) -> None:
    history = feed(server).fetch(MONDAY, NIGHT)
    bars = BARS.loc[pd.Timestamp("2024-07-02") : pd.Timestamp("2024-07-05")]
    assert [pd.Timestamp(t).isoformat()[5:16] for t in history.ts] == ["07-02T20:00", "07-03T17:00", "07-05T20:00"]
    for name in ("open", "high", "low", "close"):
        assert np.array_equal(getattr(history, name)[:, 0], bars[name].to_numpy())
    assert history.source == "stooq"
    query = server.asked[0]
    assert (query["s"], query["i"], query["o"], query["apikey"]) == ("spy.us", "d", "1111111", KEY)


def test_a_bar_is_not_shown_before_it_is_final(server: Stooq) -> None:
    server.now = at("2024-07-05T20:29")
    assert feed(server).fetch(MONDAY, server.now).ts[-1] == at("2024-07-03T17:00")
    server.now = at("2024-07-05T20:30")
    assert feed(server).fetch(MONDAY, server.now).ts[-1] == FRIDAY
    assert feed(server).fetch(MONDAY, FRIDAY - 1).ts[-1] == at("2024-07-03T17:00")


def test_the_servers_clock_counts_when_ours_is_ahead(server: Stooq) -> None:
    server.now = at("2024-07-05T18:00")
    assert feed(server, clock=Clock(NIGHT)).fetch(MONDAY, NIGHT).ts[-1] == at("2024-07-03T17:00")


def test_without_a_session_nothing_is_asked(server: Stooq) -> None:
    assert feed(server).fetch(FRIDAY, at("2024-07-07T20:00")) is None
    assert server.asked == []


def test_several_assets_and_names_of_our_own(server: Stooq) -> None:
    found = stooq({"SPY": "SPY.US", "SP500": "^spx"}, observed=["SP500"], clock=Clock(NIGHT), tries=1)
    history = found.fetch(MONDAY, NIGHT)
    assert history.symbols == ("SPY", "SP500")
    assert history.traded == (True, False)
    assert [query["s"] for query in server.asked] == ["spy.us", "^spx"]


def _third(text: str) -> str:
    head, *rows = text.splitlines(keepends=True)
    cut = [",".join([r.split(",")[0], *(f"{float(v) / 3:g}" for v in r.split(",")[1:])]) + "\r\n" for r in rows[-1:]]
    return "".join([head, *rows[:-1], *cut])


FAULTS: dict[str, tuple[Callable[[str], str | None], str]] = {
    "no data": (lambda _: "No data", "'No data'"),
    "limit": (lambda _: "Exceeded the daily hits limit", "tomorrow"),
    "wants a key": (lambda _: "Get your apikey:\n\n1. Open https://stooq.com", "wants a key"),
    "web page": (lambda _: "<!DOCTYPE html><html><script>const c=1</script></html>", "web page"),
    "echo": (lambda _: f"Warning: bad apikey {KEY} in line 3", "begins with 'Warning: bad apikey *** in line 3'"),
    "nothing": (lambda _: "", "begins with"),
    "header only": (lambda text: text.splitlines()[0] + "\r\n", "without bars"),
    "other columns": (lambda text: text.replace("Close", "Last"), "wanted date,open"),
    "no number": (lambda text: text[:-20] + "x,y\r\n", "no bar"),
    "no date": (lambda text: text.replace("2024-07-03", "03/07/2024"), "no bar"),
    "twice": (lambda text: text + "2024-07-05,1,2,0.5,1.5,7\r\n", "two different bars of 2024-07-05"),
    "impossible": (lambda text: text + "2024-07-08,97,96,98,97,7\r\n", "cannot be true"),
    "future": (lambda text: text + "2024-07-10,5,6,3,5,7\r\n", "future"),
    "split": (_third, "looks like a split"),
    "hung up": (lambda _: None, "hung up"),
}


@pytest.mark.parametrize("fault", list(FAULTS))
def test_a_fault_is_one_useful_line(server: Stooq, fault: str, caplog: Any) -> None:
    caplog.set_level(logging.DEBUG)
    server.spoil, words = FAULTS[fault]
    server.now = at("2024-07-08T21:00") if fault == "impossible" else NIGHT
    assert words in error_of(lambda: feed(server).fetch(MONDAY, server.now))
    assert "k3y" not in caplog.text
    assert "k3y" not in repr(feed(server))


def test_a_jump_may_be_accepted(server: Stooq) -> None:
    server.spoil = _third
    history = feed(server, accept_jumps=True).fetch(MONDAY, NIGHT)
    assert history.close[-1, 0] < 0.5 * history.close[-2, 0]


@pytest.mark.parametrize("status", [400, 403, 404, 429, 500, 503])
def test_a_status_is_told(server: Stooq, status: int) -> None:
    server.status = status
    assert f"HTTP {status}" in error_of(lambda: feed(server).fetch(MONDAY, NIGHT))


def test_what_is_cut_short(server: Stooq) -> None:
    server.missing = 100
    assert "cut short" in error_of(lambda: feed(server).fetch(MONDAY, NIGHT))
    server.missing = -1
    assert len(feed(server).fetch(MONDAY, NIGHT)) == 3
    server.spoil = lambda text: text[:-4]
    assert "cut short" in error_of(lambda: feed(server).fetch(MONDAY, NIGHT))


def test_the_key_goes_nowhere_else(server: Stooq) -> None:
    server.moved = "http://127.0.0.1:9/elsewhere"
    assert "HTTP 302" in error_of(lambda: feed(server).fetch(MONDAY, NIGHT))


def test_it_does_not_wait_for_ever(server: Stooq) -> None:
    server.silence = 0.5
    started = time.monotonic()
    assert "0.1 s" in error_of(lambda: feed(server, timeout=0.1).fetch(MONDAY, NIGHT))
    assert time.monotonic() - started < 0.5


def test_it_does_not_wait_for_what_drips_in(server: Stooq) -> None:
    server.drip = 0.03
    started = time.monotonic()
    assert "0.2 s" in error_of(lambda: feed(server, timeout=0.2).fetch(MONDAY, NIGHT))
    assert time.monotonic() - started < 1.0


def test_it_tries_again_but_not_against_the_limit(server: Stooq) -> None:
    answers = iter([lambda _: "<html>", lambda text: text])
    server.spoil = lambda text: next(answers)(text)
    clock = Clock(NIGHT)
    assert len(feed(server, tries=2, clock=clock).fetch(MONDAY, NIGHT)) == 3
    assert len(clock.slept) == 1
    server.spoil = FAULTS["limit"][0]
    with pytest.raises(BusyError):
        feed(server, tries=5, clock=clock).fetch(MONDAY, NIGHT)
    assert len(clock.slept) == 1


def test_a_server_that_is_gone(server: Stooq, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_URL", "http://127.0.0.1:9/q/d/l/")
    assert "cannot be reached" in error_of(lambda: feed(server).fetch(MONDAY, NIGHT))


def test_rows_in_any_order_and_twice(server: Stooq) -> None:
    wanted = feed(server).fetch(MONDAY, NIGHT).digest()
    server.spoil = lambda text: "".join(
        [text.splitlines(True)[0], *reversed(text.splitlines(True)[1:]), text.splitlines(True)[-1]]
    )
    assert feed(server).fetch(MONDAY, NIGHT).digest() == wanted


def test_no_volume(server: Stooq) -> None:
    server.spoil = lambda text: "".join(line.rsplit(",", 1)[0] + "\r\n" for line in text.splitlines())
    assert np.isnan(feed(server).fetch(MONDAY, NIGHT).volume).all()


def test_the_variable_must_be_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("STOOQ_KEY", raising=False)
    with pytest.raises(ConfigError, match="environment variable STOOQ_KEY is not set"):
        stooq(["spy.us"])


def test_what_cannot_be_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STOOQ_KEY", KEY)
    with pytest.raises(ConfigError, match="symbols"):
        stooq([])
    with pytest.raises(ConfigError, match="timeout"):
        stooq(["spy.us"], timeout=-1.0)
    with pytest.raises(DataError, match="calendar"):
        stooq(["spy.us"], calendar="NYSE?")


def test_from_a_config(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STOOQ_KEY", KEY)
    plain = {"use": "barograph_adapters.feeds.stooq:stooq", "symbols": {"SPY": "spy.us"}, "key": "${STOOQ_KEY}"}
    assert make(Part.model_validate(plain), "paper.feeds.1", tmp_path).name == "stooq"
