"""The outbox: who gets what, when, how often it is tried, and that nothing is lost; messages and their templates."""

from __future__ import annotations

import io
import math
import random
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from barograph.config.paper import KINDS, AlertPlan, Recipient
from barograph.errors import NotifyError
from barograph.paper.alerts.messages import digest, render
from barograph.paper.alerts.outbox import Sent, delay, dispatch, quiet, wanted
from barograph.paper.alerts.picture import HEIGHT, WIDTH, Shown, picture
from barograph.paper.ports import Alert, Message, Rest
from tests.fakes.outbox import HOUR, MINUTE, SECOND, FakeOutbox, Postbox, SetClock, headline, refusing, told

ANN, BOB = Recipient(url="json://ann", name="ann"), Recipient(url="json://bob", severity="critical")
DAY = 24 * HOUR


def plan(*to: Recipient, **words: Any) -> AlertPlan:
    return AlertPlan(to=list(to or (ANN,)), **words)


def ns(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * SECOND


@pytest.mark.parametrize(
    ("recipient", "kind", "severity", "gets"),
    [
        (Recipient(url="u"), "order_filled", "info", True),
        (Recipient(url="u", severity="warning"), "order_filled", "info", False),
        (Recipient(url="u", severity="warning"), "order_filled", "warning", True),
        (Recipient(url="u", severity="warning"), "order_filled", "critical", True),
        (Recipient(url="u", kinds=["drawdown"]), "order_filled", "critical", False),
        (Recipient(url="u", kinds=["drawdown"]), "drawdown", "info", True),
        (Recipient(url="u", kinds=["drawdown"], severity="critical"), "drawdown", "warning", False),
    ],
)
def test_routing(recipient: Recipient, kind: str, severity: str, gets: bool) -> None:
    assert wanted(recipient, Alert("k", kind, severity, 0, {})) is gets


def test_each_alert_goes_once_to_each_who_wants_it() -> None:
    store, post, clock = FakeOutbox().put(told(1), told(2, severity="critical")), Postbox(), SetClock()
    assert dispatch(store, post, plan(ANN, BOB), "spy", clock) == Sent(sent=3)
    assert dispatch(store, post, plan(ANN, BOB), "spy", clock) == Sent()
    heard = [(url, message.key) for url, message in post.taken]
    one, two = "spy/order_rejected:00001", "spy/order_rejected:00002"
    assert sorted(heard) == [("json://ann", one), ("json://ann", two), ("json://bob", two)]
    assert set(store.rows) == {("order_rejected:00001", "ann"), *((told(2).key, name) for name in ("ann", "2"))}


def test_without_recipients_nothing_waits() -> None:
    store = FakeOutbox().put(told(1))
    assert dispatch(store, Postbox(), AlertPlan(), "spy", SetClock()) == Sent()
    assert store.rows == {}
    assert store.unrouted("spy") == []


@pytest.mark.parametrize(
    ("zone", "begins", "ends"),
    [
        ("UTC", "2024-07-01 22:00", "2024-07-02 07:00"),
        ("America/New_York", "2024-07-02 02:00", "2024-07-02 11:00"),
        # The nights on which the clocks change are an hour shorter, or longer.
        ("America/New_York", "2024-03-10 03:00", "2024-03-10 11:00"),
        ("America/New_York", "2024-11-03 02:00", "2024-11-03 12:00"),
        ("Australia/Lord_Howe", "2024-04-06 11:00", "2024-04-06 20:30"),
    ],
)
def test_quiet_hours_begin_and_end_by_the_clock_on_the_wall(zone: str, begins: str, ends: str) -> None:
    hours = plan(quiet_from="22:00", quiet_until="07:00", time_zone=zone)
    start, end = ns(begins), ns(ends)
    assert [quiet(hours, t) for t in (start - SECOND, start, end - SECOND, end)] == [False, True, True, False]


def test_quiet_hours_within_a_day_and_none() -> None:
    noon = ns("2024-07-01 12:00")
    assert quiet(plan(quiet_from="11:00", quiet_until="13:00"), noon)
    assert not quiet(plan(quiet_from="13:00", quiet_until="14:00"), noon)
    assert not quiet(plan(quiet_from="12:00", quiet_until="12:00"), noon)
    assert not quiet(plan(), noon)


def test_in_quiet_hours_only_what_is_critical_goes_out_and_the_rest_afterwards() -> None:
    store, post, clock = (
        FakeOutbox().put(told(1), told(2, severity="critical")),
        Postbox(),
        SetClock(ns("2024-07-02 03:00")),
    )
    hours = plan(quiet_from="22:00", quiet_until="07:00")
    assert dispatch(store, post, hours, "spy", clock) == Sent(sent=1, waiting=1)
    clock.at = ns("2024-07-02 06:59")
    assert dispatch(store, post, hours, "spy", clock) == Sent(waiting=1)
    clock.at = ns("2024-07-02 07:00")
    assert dispatch(store, post, hours, "spy", clock) == Sent(sent=1)
    assert [message.severity for _, message in post.taken] == ["critical", "warning"]


def test_what_is_too_much_for_an_hour_comes_in_one_digest() -> None:
    store, post, clock = FakeOutbox().put(*(told(n) for n in range(10))), Postbox(), SetClock()
    assert dispatch(store, post, plan(at_most=4), "spy", clock) == Sent(sent=2, digested=8)
    assert len(post.taken) == 3
    last = post.taken[-1][1]
    assert last.kind == "digest"
    assert last.title.startswith("8 alerts: order rejected")
    assert all(f"[spy/order_rejected:{n:05d}]" in last.body for n in range(2, 10))
    # The hour is full now, but for the one message that is kept for what is critical.
    store.put(told(10), told(11), told(12, severity="critical"))
    clock.at += 30 * MINUTE
    assert dispatch(store, post, plan(at_most=4), "spy", clock) == Sent(sent=1, waiting=2)
    clock.at += 31 * MINUTE
    assert dispatch(store, post, plan(at_most=4), "spy", clock) == Sent(sent=2)
    assert set(store.states()) == {"sent"}


def test_what_weighs_most_goes_first_and_of_one_weight_what_waits_longest() -> None:
    alerts = [told(n, severity=("info", "critical", "warning")[n % 3], ts=100 - n) for n in range(12)]
    store, post = FakeOutbox().put(*alerts), Postbox()
    assert dispatch(store, post, plan(), "spy", SetClock()) == Sent(sent=12)
    heard = [(("critical", "warning", "info").index(m.severity), -int(m.key[-5:])) for _, m in post.taken]
    assert heard == sorted(heard)


def test_an_hour_has_so_many_messages_whatever_they_weigh() -> None:
    alerts = [told(n, severity="critical" if n % 2 else "warning") for n in range(40)]
    store, post, clock = FakeOutbox().put(*alerts), Postbox(), SetClock()
    assert dispatch(store, post, plan(at_most=3), "spy", clock) == Sent(sent=2, digested=38)
    assert [message.severity for _, message in post.taken] == ["critical"] * 3
    store.put(told(99, severity="critical"))
    clock.at += 59 * MINUTE
    assert dispatch(store, post, plan(at_most=3), "spy", clock) == Sent(waiting=1)
    clock.at += MINUTE
    assert dispatch(store, post, plan(at_most=3), "spy", clock) == Sent(sent=1)


def test_a_night_holds_back_what_is_not_critical_from_a_digest_too() -> None:
    alerts = [told(n, severity="critical" if n % 2 else "warning") for n in range(10)]
    store, post, clock = FakeOutbox().put(*alerts), Postbox(), SetClock(ns("2024-07-02 03:00"))
    night = plan(at_most=2, quiet_from="22:00", quiet_until="07:00")
    assert dispatch(store, post, night, "spy", clock) == Sent(sent=1, digested=4, waiting=5)
    assert {row.alert.severity for row in store.rows.values() if row.state == "waiting"} == {"warning"}


@pytest.mark.parametrize("count", [60, 4_320, 100_000])
def test_a_digest_fits_into_one_piece_of_a_chat(count: int) -> None:
    store, post = FakeOutbox(), Postbox()
    store.put(*(told(n, "late_cycle", severity=("warning", "critical")[n % 7 == 0]) for n in range(count)))
    if count < 10_000:
        dispatch(store, post, plan(at_most=2), "spy", SetClock())
        last = post.taken[-1][1]
    else:
        last = digest([render(told(n), "spy") for n in range(50)], "spy", "ab", {("late_cycle", "warning"): count - 50})
    assert len(last.title) + len(last.body) < 4_000
    total, more = int(last.title.split()[0]), int(last.body.partition("and ")[2].split()[0])
    assert total == count - (1 if count < 10_000 else 0)
    assert more + last.body.count("\n- ") == total


def test_a_long_message_fits_into_one_piece_too() -> None:
    body = render(Alert("bad_data:1", "bad_data", "warning", 0, {"text": "x" * 48_025}), "spy").body
    assert len(body) < 4_000
    assert body.endswith("characters more)\n\nwhen: 1970-01-01 00:00 UTC\nid: spy/bad_data:1")


def lasting(n: int, key: str = "stale_data:5", state: str = "lasting", ts: int = 0) -> Alert:
    about = {"key": key, "state": state, "message": n, "first": 5, "last": 9, "count": n}
    return Alert(f"{key}:{n}", "stale_data", "critical", ts or n, {"text": f"number {n}", "incident": about})


def test_what_waits_of_one_incident_is_one_message_the_newest() -> None:
    store, post, clock = FakeOutbox().put(*(lasting(n) for n in (1, 2, 3))), Postbox(refusing()), SetClock()
    assert dispatch(store, post, plan(), "spy", clock) == Sent(failed=3)
    store.put(lasting(4, state="over"), lasting(1, "stale_data:77"))
    clock.at += HOUR
    post.refuse = lambda *_: None
    assert dispatch(store, post, plan(), "spy", clock) == Sent(sent=5)
    assert [message.key for _, message in post.taken] == ["spy/stale_data:5:4", "spy/stale_data:77:1"]
    assert {row.message for row in store.rows.values()} == {message.key for _, message in post.taken}


def pulse(n: int) -> Alert:
    return Alert(f"heartbeat:{n}", "heartbeat", "info", n, {"text": f"beat {n}"})


def test_the_sign_of_life_waits_for_no_morning_and_no_quota() -> None:
    store, post, clock = FakeOutbox(), Postbox(), SetClock(ns("2024-07-02 03:00"))
    night = plan(at_most=1, quiet_from="22:00", quiet_until="07:00")
    store.put(told(1, severity="critical"), told(2, severity="critical"))
    for n in range(30):
        store.put(pulse(n))
        dispatch(store, post, night, "spy", clock)
        clock.at += MINUTE
    kinds = [message.kind for _, message in post.taken]
    assert kinds == ["heartbeat", "digest"] + ["heartbeat"] * 29
    # Of those that could not be sent the newest says all.
    store.put(*(pulse(n) for n in range(100, 110)))
    post.taken.clear()
    dispatch(store, post, night, "spy", clock)
    assert [message.key for _, message in post.taken] == ["spy/heartbeat:109"]


def test_a_recipient_who_says_how_long_is_left_alone_for_so_long() -> None:
    def busy(url: str, message: Message) -> None:
        error = NotifyError("tgram://: not delivered: HTTP 429")
        error.wait = 5000.0
        raise error

    store, post, clock = FakeOutbox().put(*(told(n) for n in range(9)), pulse(1)), Postbox(busy), SetClock()
    begun = clock.at
    assert dispatch(store, post, plan(ANN, BOB), "spy", clock) == Sent(failed=1, waiting=9)
    while clock.at < begun + 5000 * SECOND:
        store.put(told(clock.at // SECOND, severity="critical"))
        dispatch(store, post, plan(ANN), "spy", clock)
        clock.at += MINUTE
    assert post.tries == 1
    post.refuse = lambda *_: None
    dispatch(store, post, plan(ANN), "spy", clock)
    assert [message.kind for _, message in post.taken] == ["heartbeat", *["order_rejected"] * 19, "digest"]
    # A clock that was ahead when it was told, and is right again, holds nobody back for years.
    store.rests["to:spy:ann"] = Rest("to:spy:ann", clock.at + 400 * DAY, clock.at + 401 * DAY, "")
    clock.at += HOUR
    store.put(told(7_777_777, severity="critical"))
    assert dispatch(store, post, plan(ANN), "spy", clock).sent


def test_the_delay_doubles_up_to_an_hour_with_a_fifth_of_chance() -> None:
    for key in ("a", "b", "c"):
        waits = [delay(key, n) / SECOND for n in range(1, 40)]
        usual = [min(30.0 * 2 ** (n - 1), 3600.0) for n in range(1, 40)]
        assert all(0.8 * u <= w <= 1.2 * u for w, u in zip(waits, usual, strict=True))
    assert len({delay(str(n), 1) for n in range(50)}) == 50
    assert delay("a", 3) == delay("a", 3)


def test_a_failure_is_recorded_and_tried_again_when_due() -> None:
    store, post, clock = FakeOutbox().put(told(1)), Postbox(refusing()), SetClock()
    assert dispatch(store, post, plan(), "spy", clock) == Sent(failed=1)
    (row,) = store.rows.values()
    assert (row.state, row.attempts, row.error) == ("waiting", 1, "json://host: not delivered: HTTP 500")
    assert row.next_try == clock.at + delay("order_rejected:00001|ann", 1)
    clock.at = row.next_try - 1
    assert dispatch(store, post, plan(), "spy", clock) == Sent()
    clock.at += 1
    assert dispatch(store, Postbox(), plan(), "spy", clock) == Sent(sent=1)
    assert (row.state, row.attempts) == ("sent", 2)


def test_one_recipient_that_fails_holds_up_no_other() -> None:
    def refuse(url: str, message: Message) -> None:
        if url == "json://ann":
            raise NotifyError("json://ann: not delivered")

    store, post = FakeOutbox().put(*(told(n, severity="critical") for n in range(5))), Postbox(refuse)
    done = dispatch(store, post, plan(ANN, BOB), "spy", SetClock())
    # Two tries show that nobody is there; the other three would only cost their time-outs.
    assert done == Sent(sent=5, failed=2, waiting=3)
    assert {url for url, _ in post.taken} == {"json://bob"}


def test_one_message_that_is_refused_holds_up_no_other() -> None:
    def refuse(url: str, message: Message) -> None:
        if message.key.endswith("00000"):
            raise NotifyError("json://ann: not delivered: HTTP 413")

    store, clock = FakeOutbox().put(*(told(n) for n in range(5))), SetClock()
    assert dispatch(store, Postbox(refuse), plan(), "spy", clock) == Sent(sent=4, failed=1)


def test_only_failures_in_a_row_hold_up_the_rest() -> None:
    def refuse(url: str, message: Message) -> None:
        if int(message.key[-5:]) % 2 == 0:
            raise NotifyError("json://ann: not delivered: HTTP 413")

    store = FakeOutbox().put(*(told(n) for n in range(10)))
    assert dispatch(store, Postbox(refuse), plan(), "spy", SetClock()) == Sent(sent=5, failed=5)


def test_a_notifier_that_breaks_does_not_break_the_round() -> None:
    def refuse(url: str, message: Message) -> None:
        raise KeyError("Sesame-77")

    store = FakeOutbox().put(told(1))
    assert dispatch(store, Postbox(refuse), plan(), "spy", SetClock()) == Sent(failed=1)
    (row,) = store.rows.values()
    assert row.error == "the notifier itself failed with KeyError"


def test_a_digest_that_fails_fails_for_each_of_its_alerts() -> None:
    store, clock = FakeOutbox().put(*(told(n) for n in range(6))), SetClock()
    assert dispatch(store, Postbox(refusing()), plan(at_most=1), "spy", clock) == Sent(failed=6)
    clock.at += HOUR
    assert dispatch(store, Postbox(), plan(at_most=1), "spy", clock) == Sent(digested=6)
    assert {row.attempts for row in store.rows.values()} == {2}


@pytest.mark.parametrize("jump", [-400 * DAY, -3 * DAY, 3 * DAY, 400 * DAY])
@pytest.mark.parametrize("tries", [1, 2, 5])
def test_a_clock_that_jumps_gives_nothing_up_and_holds_nothing_back(jump: int, tries: int) -> None:
    """The machine boots with a wrong clock, the network is late; then the clock is set, and the network comes."""
    store, post, clock = FakeOutbox().put(told(1, severity="critical")), Postbox(refusing()), SetClock()
    clock.at -= jump
    for _ in range(tries):
        dispatch(store, post, plan(), "spy", clock)
        clock.at += delay("order_rejected:00001|ann", 9)
    clock.at += jump
    for _ in range(3):
        dispatch(store, post, plan(), "spy", clock)
        clock.at += 2 * HOUR
    assert store.states() == ["waiting"]
    post.refuse = lambda *_: None
    dispatch(store, post, plan(), "spy", clock)
    assert store.states() == ["sent"]
    # What was sent while the clock was ahead fills no hour of the time after it.
    store.put(*(told(n) for n in range(10, 20)))
    clock.at -= abs(jump)
    assert dispatch(store, post, plan(at_most=12), "spy", clock) == Sent(sent=10)


def test_giving_up_is_recorded() -> None:
    store, post, clock = FakeOutbox().put(told(1)), Postbox(refusing()), SetClock()
    given_up = 0
    while clock.at < SetClock().at + 3 * DAY:
        given_up += dispatch(store, post, plan(give_up="2d"), "spy", clock).given_up
        clock.at += MINUTE
    (row,) = store.rows.values()
    assert (row.state, given_up) == ("given_up", 1)
    assert row.error == f"given up after {row.attempts} tries in 2d: json://host: not delivered: HTTP 500"
    assert row.ended_at is not None
    assert 2 * DAY <= row.ended_at - SetClock().at < 2 * DAY + 2 * HOUR
    # An hour apart at most.
    assert 48 <= row.attempts <= 70


def test_a_message_that_waited_for_long_is_still_tried() -> None:
    store, clock = FakeOutbox().put(told(1)), SetClock()
    store.route("spy", told(1).key, ["ann"])
    clock.at += 30 * DAY
    assert dispatch(store, Postbox(), plan(), "spy", clock) == Sent(sent=1)


def test_who_is_no_longer_in_the_config_is_given_up() -> None:
    store, clock = FakeOutbox().put(told(1)), SetClock()
    dispatch(store, Postbox(refusing()), plan(ANN), "spy", clock)
    clock.at += HOUR
    assert dispatch(store, Postbox(), plan(BOB), "spy", clock) == Sent(given_up=1)
    (row,) = store.rows.values()
    assert (row.state, row.error) == ("given_up", "the config has no recipient 'ann' any more")


def test_a_new_url_gets_what_waited_for_the_old_one() -> None:
    store, clock, post = FakeOutbox().put(told(1)), SetClock(), Postbox()
    dispatch(store, Postbox(refusing()), plan(Recipient(url="json://wrong")), "spy", clock)
    clock.at += HOUR
    assert dispatch(store, post, plan(Recipient(url="json://right")), "spy", clock) == Sent(sent=1)


def test_a_store_that_fails_after_the_sending_sends_again_under_the_same_key() -> None:
    class Crashing(FakeOutbox):
        crashes = 1

        def sent(self, *args: Any) -> None:
            if self.crashes:
                self.crashes -= 1
                raise OSError("the database is gone")
            super().sent(*args)

    store, post, clock = Crashing(), Postbox(), SetClock()
    store.put(told(1))
    with pytest.raises(OSError, match="gone"):
        dispatch(store, post, plan(), "spy", clock)
    assert dispatch(store, post, plan(), "spy", clock) == Sent(sent=1)
    assert [message.key for _, message in post.taken] == ["spy/order_rejected:00001"] * 2


def test_a_month_with_faults_quiet_nights_and_floods_loses_nothing() -> None:
    chance = random.Random(9)

    def refuse(url: str, message: Message) -> None:
        if chance.random() < 0.05:
            raise NotifyError(f"{url}: not delivered: HTTP 503")

    post, store, clock = Postbox(refuse), FakeOutbox(), SetClock()
    nights = plan(ANN, BOB, quiet_from="22:00", quiet_until="07:00", time_zone="Europe/Berlin", at_most=5)
    number = 0
    for _ in range(30 * 24 * 4):
        for _ in range(chance.choice([0] * 20 + [1, 1, 2, 30])):
            number += 1
            store.put(told(number, severity="critical" if chance.random() < 0.1 else "info"))
        dispatch(store, post, nights, "spy", clock)
        clock.at += 15 * MINUTE
    for _ in range(100):
        dispatch(store, post, nights, "spy", clock)
        clock.at += HOUR
    assert number > 1000
    assert set(store.states()) == {"sent"}
    heard = [(url, message.key) for url, message in post.taken]
    assert len(heard) == len(set(heard))
    carried = {(f"json://{'ann' if row.recipient == 'ann' else 'bob'}", row.message) for row in store.rows.values()}
    assert carried == set(heard)
    hours: dict[str, list[int]] = {"ann": [], "2": []}
    for row in store.rows.values():
        assert row.ended_at is not None
        hours[row.recipient].append(row.ended_at)
    for ends in hours.values():
        assert all(len({t for t in ends if end - HOUR < t <= end}) <= 5 for end in set(ends))


def some_facts(kind: str) -> dict[str, Any]:
    """Facts as the watcher makes them; test_watch feeds real ones through the same templates."""
    return dict(told(1).facts) if kind == "order_rejected" else {"text": "something happened", "source": "a feed"}


@pytest.mark.parametrize(
    "kind", ["stale_data", "bad_data", "missed_cycle", "late_cycle", "command", "heartbeat", "broker"]
)
def test_what_the_service_tells_is_its_sentence(kind: str) -> None:
    message = render(Alert(f"{kind}:1", kind, "info", 0, some_facts(kind)), "spy")
    assert "something happened · spy" in message.title
    lines = message.body.splitlines()
    assert lines[0] == "Something happened."
    assert "source: a feed" in lines
    assert lines[-1] == f"id: spy/{kind}:1"


@pytest.mark.parametrize("kind", KINDS)
def test_an_alert_without_the_facts_that_a_template_wants_is_told_all_the_same(kind: str) -> None:
    message = render(Alert(f"{kind}:1", kind, "info", 0, {"odd": 1}), "spy")
    assert headline(message) == f"{kind.replace('_', ' ')} · spy"
    assert '{"odd": 1}' in message.body
    assert "does not work" in message.body
    assert message.body.endswith(f"id: spy/{kind}:1")


def test_a_title_is_one_short_line() -> None:
    title = render(Alert("k", "command", "info", 0, {"text": "halted\n\nby " + "x" * 200}), "spy").title
    assert len(title) == 100
    assert title.startswith("halted by xxx")
    assert title.endswith("x… · 1970-01-01 00:00")


def test_a_template_of_ones_own_stands_in_for_ours(tmp_path: Path) -> None:
    (tmp_path / "command.txt").write_text(
        "{{ deployment }} says\n{{ text }}, {{ 0.25 | percent }} & <b>", encoding="utf-8"
    )
    message = render(told(1, "command"), "s&p", tmp_path)
    assert message.title == "s&p says · 1970-01-01 00:00"
    assert message.body == "number 1, 25 % & <b>\n\nwhen: 1970-01-01 00:00 UTC\nid: s&p/command:00001"
    assert headline(render(told(1, "heartbeat"), "spy", tmp_path)) == "alive: number 1 · spy"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{ nothing_of_that_name }}", "'nothing_of_that_name' is undefined"),
        ("{% if %}", "line 1: "),
        ("{{ 1 / 0 }}", "division by zero"),
        ("   ", "it says nothing"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
    ],
)
def test_a_broken_template_of_ones_own_loses_nothing(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "command.txt").write_text(text, encoding="utf-8")
    message = render(told(1, "command"), "spy", tmp_path)
    assert headline(message) == "number 1 · spy"
    assert message.body.startswith("Number 1.")
    assert f"(The template command.txt in {tmp_path.name} does not work: " in message.body
    assert said in message.body


def test_a_folder_of_templates_that_is_not_there_is_told() -> None:
    message = render(told(1, "command"), "spy", Path("no-such-folder"))
    assert headline(message) == "number 1 · spy"
    assert "no-such-folder does not work: there is no such folder" in message.body


def pixels(png: bytes) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))


SHADES = [(220, 235, 221), (246, 217, 213)]


@pytest.mark.parametrize("price", [[5.0], [1.0, 3.0], [math.nan, 2.0, 2.0], [math.nan], [2e9, 2e9 + 1.0] * 30])
def test_a_picture_shades_the_regimes_and_draws_what_is_known(price: list[float]) -> None:
    regimes = [n % 2 for n in range(len(price))]
    canvas = pixels(picture(Shown(["2020-03-09"] * len(price), price, regimes, ["calm", "wild"], "SPY")))
    assert canvas.shape == (HEIGHT, WIDTH, 3)
    # Above the frame is only what is written; the shade of a close stands at its middle, where no line lies.
    for n, regime in enumerate(regimes):
        column = canvas[32:40, 64 + int((WIDTH - 74) * (n + 0.5) / len(price))]
        assert np.abs(column.astype(int) - SHADES[regime]).max(axis=1).min() <= 12, n
    dark = (canvas[32:290, 70:630].astype(int).sum(axis=2) < 150).any()
    assert dark == np.isfinite(price).any()


def test_only_a_change_of_regime_has_a_picture() -> None:
    facts = {"closes": [0, 60 * SECOND], "prices": [1.0, None], "regimes": [0, 1], "names": ["calm", "wild"]}
    facts |= {"symbol": "SPY", "from_name": "calm", "to_name": "wild"}
    assert render(Alert("k", "regime_change", "warning", 0, facts), "spy").picture.startswith(b"\x89PNG")
    assert render(Alert("k", "command", "info", 0, {"text": "x", **facts}), "spy").picture == b""


# --- when, for whom, and beside whom ------------------------------------------------------------------------------


def test_moments_are_those_of_the_readers_clocks() -> None:
    """Over a change of the clocks, too; an incident says when it was met first and last."""
    summer, winter = 1_719_864_000 * SECOND, 1_733_173_200 * SECOND
    about = {"key": "k", "state": "over", "message": 2, "first": summer, "last": winter, "times": 9}
    message = render(Alert("bad_data:1", "bad_data", "warning", winter, {"text": "odd", "incident": about}), "spy",
                     zone="America/New_York")  # fmt: skip
    assert message.title.endswith(" · 2024-12-02 16:00")
    assert "when: 2024-07-01 16:00 EDT to 2024-12-02 16:00 EST" in message.body


def test_an_answer_to_a_command_waits_for_nobody_and_takes_nobodys_place() -> None:
    store, post, clock = FakeOutbox(), Postbox(), SetClock()
    store.put(*(told(n, "command", "info") for n in range(30)))
    night = plan(at_most=2, quiet_from="00:00", quiet_until="23:59")
    assert dispatch(store, post, night, "spy", clock).sent == 30
    store.put(told(40, severity="critical"))
    assert dispatch(store, post, night, "spy", clock) == Sent(sent=1)


def test_a_digest_has_the_picture_of_its_change_of_regime_and_what_weighs_most_first() -> None:
    facts = {"closes": [0], "prices": [1.0], "regimes": [1], "names": ["calm", "wild"], "symbol": "SPY"}
    facts |= {"from_name": "calm", "to_name": "wild", "probability": 0.9, "threshold": 0.8, "dwell": 1, "orders": []}
    facts |= {"path": [0.9], "expected_stay": None, "volatility": None, "stayed": 3, "holdings": {}}
    store, post, clock = FakeOutbox(), Postbox(), SetClock()
    store.put(
        *(told(n, severity="info") for n in range(9)), Alert("regime_change:1", "regime_change", "warning", 5, facts)
    )
    dispatch(store, post, plan(at_most=2), "spy", clock)
    ((_, message),) = post.taken
    assert message.picture.startswith(b"\x89PNG")
    assert message.body.splitlines()[1].startswith("- calm → wild")
    assert message.facts["alerts"][0]["severity"] == "warning"
