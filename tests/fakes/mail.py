"""Servers on loopback that take messages, or do not: mail by aiosmtpd, webhooks by the standard library.

Each answers by a script: a list of words, one a message, and "take" when it is used up. They start and stop with a
`with` block, on free ports, and keep what they took.
"""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

# The server's own log holds all that it was sent: it is not a log of ours.
logging.getLogger("mail.log").disabled = True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Script:
    """What to answer next; every answer that was given is kept."""

    def __init__(self, answers: list[str]) -> None:
        self.answers = list(answers)
        self.given: list[str] = []
        self.lock = threading.Lock()

    def next(self) -> str:
        with self.lock:
            self.given.append(self.answers.pop(0) if self.answers else "take")
            return self.given[-1]


class MailServer:
    """SMTP: "take", "take and drop" (accepted, then hung up), "drop", "hang", or a reply to RCPT such as "450 later".

    A word that begins with "data" is the reply after the message: "data 554 spam".
    """

    def __init__(self, *answers: str) -> None:
        self.script = Script(list(answers))
        self.mails: list[EmailMessage] = []
        self.port = free_port()
        self._now = "take"
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            authenticator=lambda *_: AuthResult(success=self._now != "535", handled=self._now != "535"),
            auth_require_tls=False,
        )

    @property
    def url(self) -> str:
        """Where to send, with a password that must show up nowhere."""
        return f"mailto://joe:Sesame-77@127.0.0.1:{self.port}?from=joe@example.org&to=ann@example.org"

    def keys(self) -> list[str]:
        return [str(mail["X-Barograph-Key"]) for mail in self.mails]

    def bodies(self) -> list[str]:
        return [text_of(mail) for mail in self.mails]

    async def handle_EHLO(self, server: Any, session: Any, envelope: Any, hostname: str, responses: list[str]) -> Any:  # noqa: N802
        self._now = self.script.next()
        session.host_name = hostname
        return responses

    async def handle_RCPT(self, server: Any, session: Any, envelope: Any, address: str, options: Any) -> str:  # noqa: N802
        if self._now[0].isdigit():
            return self._now.replace("{to}", address)
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        if self._now == "hang":
            await asyncio.sleep(30.0)
        if self._now.startswith("data "):
            return self._now.removeprefix("data ")
        if self._now.startswith("take"):
            mail = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(mail, EmailMessage)
            self.mails.append(mail)
        if self._now.endswith("drop"):
            server.transport.abort()
        return "250 OK"

    def __enter__(self) -> MailServer:
        self._controller.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._controller.stop()


def text_of(mail: EmailMessage) -> str:
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


class WebServer:
    """A webhook: "take", a status such as "500", "take and cut" (taken, the answer cut short), "drop", "hang"."""

    def __init__(self, *answers: str) -> None:
        self.script = Script(list(answers))
        self.posts: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.released = threading.Event()
        web = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                web.answer(self)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)

    @property
    def url(self) -> str:
        """Where to send, with a token in the path and one in the query."""
        return f"json://joe:Sesame-77@127.0.0.1:{self.port}/hooks/T0KEN-secret-path?-token=Query-secret-9"

    def keys(self) -> list[str]:
        return [headers["X-Barograph-Key"] for headers in self.headers]

    def answer(self, request: Any) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        word = self.script.next()
        if word.startswith("take"):
            self.posts.append(body)
            self.headers.append(dict(request.headers))
        if word == "hang":
            self.released.wait(30.0)
        if word in ("drop", "hang"):
            request.close_connection = True
            return
        request.send_response(int(word) if word.isdigit() else 200)
        request.send_header("Content-Length", "100" if word.endswith("cut") else "2")
        request.end_headers()
        request.wfile.write(b"no" if word.isdigit() else b"ok")
        request.close_connection = True

    def __enter__(self) -> WebServer:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
