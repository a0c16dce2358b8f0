"""Messages through real servers on loopback: what arrives, what every failure says, and that no secret does."""

from __future__ import annotations

import json
import logging
import random
import time
from base64 import b64decode, b64encode

import pytest

from barograph.config.paper import AlertPlan, Recipient
from barograph.errors import NotifyError
from barograph.paper.alerts.messages import render
from barograph.paper.alerts.outbox import dispatch
from barograph.paper.alerts.picture import Shown, picture
from barograph.paper.ports import Alert, Message
from barograph_adapters.notify import Apprise, check
from tests.fakes.mail import MailServer, WebServer, free_port, text_of
from tests.fakes.outbox import MINUTE, FakeOutbox, SetClock, told

QUICK = Apprise(connect=0.4, read=0.4, most=3.0)
FACTS = {"kind": "regime_change", "journal": {"entry": 7, "hash": "ab"}, "facts": {"probability": 0.9, "orders": []}}
MESSAGE = Message("spy/regime_change:1", "regime_change", "warning", "calm → wild", "It changed.\n\nid: 1", b"", FACTS)
SECRETS = ("Sesame-77", "joe", "ann@", "T0KEN", "secret-path", "Query-secret", b64encode(b"Sesame-77").decode())


def fails(url: str, notifier: Apprise = QUICK) -> str:
    with pytest.raises(NotifyError) as caught:
        notifier.send(url, MESSAGE)
    line = str(caught.value)
    assert "\n" not in line
    assert not [secret for secret in SECRETS if secret in line]
    return line


def test_a_mail_arrives_with_title_body_key_and_picture() -> None:
    drawn = picture(Shown(["a", "b"], [1.0, 2.0], [0, 1], ["calm", "wild"], "SPY"))
    with MailServer() as server:
        QUICK.send(server.url, MESSAGE._replace(picture=drawn))
    (mail,) = server.mails
    assert mail["Subject"] == "calm → wild"
    assert mail["X-Barograph-Key"] == "spy/regime_change:1"
    assert text_of(mail).replace("\r", "").strip() == "It changed.\n\nid: 1"
    (attached,) = mail.iter_attachments()
    assert attached.get_content_type() == "image/png"
    assert attached.get_content() == drawn


def test_a_webhook_gets_title_body_key_severity_and_picture() -> None:
    drawn = picture(Shown(["a", "b"], [1.0, 2.0], [0, 1], ["calm", "wild"], "SPY"))
    with WebServer() as server:
        QUICK.send(server.url, MESSAGE._replace(picture=drawn, severity="critical"))
    assert server.keys() == ["spy/regime_change:1"]
    (post,) = server.posts
    assert (post["title"], post["message"], post["type"]) == ("calm → wild", "It changed.\n\nid: 1", "failure")
    assert post["barograph"] == FACTS
    assert b64decode(post["attachments"][0]["base64"]) == drawn


def test_telegram_says_how_long_it_wants_to_be_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    from apprise.plugins import telegram

    class Busy:
        status_code = 429
        content = b'{"ok":false,"error_code":429,"description":"Too Many Requests","parameters":{"retry_after":731}}'
        text, headers = content.decode(), {}

    monkeypatch.setattr(telegram.requests, "post", lambda *_, **__: Busy())
    with pytest.raises(NotifyError, match="HTTP 429") as caught:
        QUICK.send("tgram://123456789:abcdefg_hijklmnop/12315544", MESSAGE)
    assert caught.value.wait == 731.0
    Busy.content = b'{"ok":false,"error_code":400,"description":"Bad Request: chat not found"}'
    with pytest.raises(NotifyError) as caught:
        QUICK.send("tgram://123456789:abcdefg_hijklmnop/12315544", MESSAGE)
    assert caught.value.wait == 0.0


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("450 4.2.0 greylisted, come back", "450 4.2.0 greylisted, come back"),
        ("550 5.1.1 <{to}> no such user", "550 5.1.1 <...> no such user"),
        ("data 554 5.7.1 Sesame-77 looks like spam", "554 5.7.1 ... looks like spam"),
        ("550 see https://help.example/?u=1 or root@isp.example", "550 see ... or ..."),
        ("535", "535"),
        ("hang", "the server gave no answer in time"),
        ("drop", "the server hung up"),
    ],
)
def test_mail_that_fails_says_why_and_arrives_at_the_next_try(answer: str, said: str) -> None:
    with MailServer(answer) as server:
        line = fails(server.url)
        assert line.startswith(f"mailto://127.0.0.1:{server.port}: not delivered: ")
        assert said in line
        assert server.mails == []
        QUICK.send(server.url, MESSAGE)
        assert len(server.mails) == 1


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ("500", "HTTP 500"),
        ("404", "HTTP 404"),
        ("429", "HTTP 429"),
        ("hang", "no answer in time"),
        ("drop", "the server hung up"),
        ("take and cut", "the answer was cut off"),
    ],
)
def test_a_webhook_that_fails_says_why(answer: str, said: str) -> None:
    with WebServer(answer) as server:
        line = fails(server.url)
        assert line.startswith(f"json://127.0.0.1:{server.port}: not delivered: ")
        assert said in line
        QUICK.send(server.url, MESSAGE)
        # What was taken and not confirmed is sent again, under the same key.
        assert set(server.keys()) == {"spy/regime_change:1"}
        assert len(server.posts) == 1 + answer.startswith("take")


def test_a_server_that_is_not_there() -> None:
    port = free_port()
    assert "nobody listens there" in fails(f"json://joe:Sesame-77@127.0.0.1:{port}/secret-path")
    assert "nobody listens there" in fails(
        f"mailto://joe:Sesame-77@127.0.0.1:{port}?from=joe@example.org&to=ann@example.org"
    )


def test_a_server_that_never_ends_is_left() -> None:
    started = time.monotonic()
    with WebServer("hang") as server:
        line = fails(f"{server.url}&rto=20", Apprise(most=0.5))
    assert "no end after 0.5 s" in line
    assert time.monotonic() - started < 5.0


def test_time_outs_of_the_url_win() -> None:
    with MailServer("hang") as server:
        started = time.monotonic()
        fails(f"{server.url}&cto=0.3", Apprise(connect=9.0, read=9.0))
        assert time.monotonic() - started < 3.0


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("jsn://host/secret-path", "jsn://: apprise knows no service 'jsn'; did you mean 'json'?"),
        ("secret-path", 'begins with a service and "://"'),
        ("tgram://Sesame-77", "tgram://: not a URL that this service takes"),
        ("slack://T0KEN/secret-path", "slack://: not a URL that this service takes"),
        ("mailto://", "mailto://: not a URL that this service takes"),
        ("json://joe:Sesame-77@${NO_SUCH}/", "the environment variable NO_SUCH is not set"),
        ("${NO_SUCH}", "the environment variable NO_SUCH is not set"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_at_the_start(url: str, said: str) -> None:
    with pytest.raises(NotifyError) as caught:
        check(url)
    line = str(caught.value)
    assert said in line
    assert "\n" not in line
    assert not [secret for secret in SECRETS if secret in line]


def test_good_urls_pass_and_nothing_is_sent() -> None:
    with WebServer() as server:
        check(server.url)
        check("tgram://123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc/12345")
        check("mailtos://joe:Sesame-77@example.org?to=ann@example.org")
    assert server.posts == []


def test_variables_are_filled_in_where_they_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    with WebServer() as server:
        # A password as people write it into an environment: not spelled for URLs.
        monkeypatch.setenv("HOOK_PASSWORD", "p@ss/w:rd?#")
        monkeypatch.setenv("HOOK_URL", server.url)
        QUICK.send(f"json://joe:${{HOOK_PASSWORD}}@127.0.0.1:{server.port}/", MESSAGE)
        QUICK.send("${HOOK_URL}", MESSAGE)
    first, second = (b64decode(h["Authorization"].removeprefix("Basic ")).decode() for h in server.headers)
    assert (first, second) == ("joe:p@ss/w:rd?#", "joe:Sesame-77")


def test_a_token_in_a_variable_is_never_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK", "S3cr3tTok")
    with WebServer("500") as server:
        line = fails(f"json://127.0.0.1:{server.port}/a/${{HOOK}}")
    assert "S3cr3tTok" not in line
    assert "HTTP 500" in line


def test_a_password_of_two_letters_costs_the_sentence_not_the_secret() -> None:
    with MailServer("550 5.1.1 password xy is wrong") as server:
        line = fails(f"mailto://joe:xy@127.0.0.1:{server.port}?from=joe@example.org&to=ann@example.org")
    assert line.endswith("not delivered: 550")


@pytest.mark.parametrize("answer", ["take", "500", "drop", "take and cut"])
def test_logs_hold_no_secret_even_when_everything_is_logged(answer: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.NOTSET), WebServer(answer) as web, MailServer("550 5.1.1 Sesame-77 {to}") as mail:
        for name in ("apprise", "urllib3", "urllib3.connectionpool"):
            caplog.set_level(1, logger=name)
        for url in (web.url, mail.url, "slack://T0KEN/secret-path"):
            try:
                QUICK.send(url, MESSAGE)
            except NotifyError as error:
                logging.getLogger("barograph").warning("%s", error)
        logging.getLogger("urllib3.connectionpool").debug("another's record")
    told_lines = caplog.text + "".join(str(record.__dict__) for record in caplog.records)
    assert not [secret for secret in SECRETS if secret in told_lines]
    # What others log at the same time is theirs to keep, and apprise's own level is as it was.
    assert "another's record" in caplog.text
    assert logging.getLogger("apprise").level == 1


def test_long_messages_come_whole() -> None:
    body = "\n".join(f"line {n:04d}" for n in range(9000))
    with WebServer() as server:
        QUICK.send(server.url, MESSAGE._replace(body=body))
    whole = "".join(post["message"] for post in server.posts)
    assert all(f"line {n:04d}" in whole for n in range(9000))


def test_the_url_of_a_recipient_is_in_no_repr() -> None:
    plan = AlertPlan(to=[Recipient(url="json://joe:Sesame-77@host")])
    assert "Sesame" not in repr(plan)


def test_some_hundred_alerts_with_faults_all_arrive(caplog: pytest.LogCaptureFixture) -> None:
    chance = random.Random(6)
    mail_faults, web_faults = (
        ["450 later", "data 554 spam", "drop", "take and drop", "535"],
        ["500", "drop", "take and cut", "429"],
    )
    script = [
        [chance.choice(faults) if chance.random() < 0.05 else "take" for _ in range(300)]
        for faults in (mail_faults, web_faults)
    ]
    alerts = [told(n, severity="critical" if n % 50 == 0 else "warning") for n in range(150)]
    clock, store = SetClock(), FakeOutbox()
    with caplog.at_level(1), MailServer(*script[0]) as mail, WebServer(*script[1]) as web:
        plan = AlertPlan(to=[Recipient(url=mail.url), Recipient(url=web.url)], at_most=1000)
        for start in range(0, len(alerts), 10):
            store.put(*alerts[start : start + 10])
            dispatch(store, QUICK, plan, "spy", clock)
            clock.at += MINUTE
        for _ in range(30):
            dispatch(store, QUICK, plan, "spy", clock)
            clock.at += 5 * MINUTE
    assert set(store.states()) == {"sent"}
    wanted = {f"spy/{alert.key}" for alert in alerts}
    assert set(mail.keys()) == set(web.keys()) == wanted
    # Twice came only what was taken and not confirmed.
    assert len(mail.keys()) - len(wanted) == mail.script.given.count("take and drop") > 0
    assert len(web.keys()) - len(wanted) == web.script.given.count("take and cut") > 0
    errors = json.dumps([row.error for row in store.rows.values()]) + caplog.text
    assert not [secret for secret in SECRETS if secret in errors]


def test_what_is_rendered_is_what_arrives() -> None:
    alert = Alert("command:1", "command", "info", 0, {"text": "halted by the operator"})
    with MailServer() as server:
        QUICK.send(server.url, render(alert, "spy"))
    assert (
        server.bodies()[0].replace("\r", "").strip()
        == "Halted by the operator.\n\nwhen: 1970-01-01 00:00 UTC\nid: spy/command:1"
    )
