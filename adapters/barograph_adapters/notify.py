"""Messages by mail, chat, webhook or text message: a thin edge over apprise, which knows more than a hundred services.

What apprise writes to its log holds URLs, addresses and tokens. None of it is passed on: its records are read here for
the reason of a failure, stripped, and dropped; those of the HTTP library, which hold paths, are dropped as well.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar, copy_context
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from barograph.errors import NotifyError, nearest

if TYPE_CHECKING:
    from apprise import NotifyBase

    from barograph.paper.ports import Message

__all__ = ["Apprise", "apprise", "check"]

# Schemes in which what stands between "//" and "/" is a host and not a token.
_HOSTED: Final = ("mailto", "mailtos", "json", "jsons", "form", "forms", "xml", "xmls", "gotify", "gotifys")
# Options of a URL whose values are nobody's secret, and too short to be cut out of a sentence.
_HARMLESS: Final = ("cto", "format", "method", "mode", "overflow", "rto", "verify")
_NOISY: Final = ("apprise", "urllib3.connectionpool", "urllib3.util.retry", "requests", "slixmpp", "paho")
_NAMES: Final = re.compile(r"\$\{([^}]*)\}")
_SHORTEST: Final = 3
_LONGEST: Final = 200
_SMALL: Final = 1000
# Who asks for more than a day is asked again after one.
_LONGEST_WAIT: Final = 86_400.0
_SEVERITY: Final = {"info": "info", "warning": "warning", "critical": "failure"}


class _Place(NamedTuple):
    """Where a message goes: the URL with its variables filled in, what may be said of it, and what may not."""

    url: str
    shown: str
    secrets: tuple[str, ...]


class Apprise:
    """A `Notifier` by apprise URLs, such as ``mailtos://me:${MAIL_PASSWORD}@example.org?to=me@example.org``.

    ``${NAME}`` stands for an environment variable, filled in only when a message is sent; in the place of a password
    the variable holds it as it is, elsewhere as it has to stand in a URL. `connect` and `read` are seconds, for URLs
    that say nothing (``cto``, ``rto``); a whole delivery ends after `most` seconds, whatever the other side does.
    """

    def __init__(self, connect: float = 5.0, read: float = 10.0, most: float = 60.0) -> None:
        self.connect, self.read, self.most = connect, read, most

    def check(self, url: str) -> None:
        """Raise `NotifyError` for a URL that cannot be used; nothing is sent."""
        self._service(_place(url), [])

    def send(self, url: str, message: Message) -> None:
        """Deliver a message, or raise `NotifyError` in one line that holds no secret."""
        place = _place(url)
        told: list[str] = []
        service = self._service(place, told)
        outcome: list[Any] = []

        def deliver() -> None:
            with _listening(told):
                try:
                    outcome.append(service.notify(**_content(service, message)))
                except Exception as error:  # It is raised below, by the thread that asked, without its text.
                    outcome.append(error)

        thread = threading.Thread(target=copy_context().run, args=(deliver,), daemon=True, name="barograph-notify")
        thread.start()
        thread.join(self.most)
        if thread.is_alive():
            raise NotifyError(f"{place.shown}: no end after {self.most:g} s; the message may or may not have arrived")
        if isinstance(outcome[0], Exception):
            raise NotifyError(f"{place.shown}: not delivered: {type(outcome[0]).__name__}") from None
        if outcome[0] is not True:
            error = NotifyError(f"{place.shown}: not delivered: {_reason(told, place.secrets)}")
            error.wait = _asked_wait(told)
            raise error

    def _service(self, place: _Place, told: list[str]) -> NotifyBase:
        from apprise import Apprise as Library
        from apprise import AppriseAsset, OverflowMode
        from apprise.manager_plugins import NotificationManager

        scheme = place.url.partition("://")[0].lower()
        known = NotificationManager().schemas()  # type: ignore[no-untyped-call]
        if scheme not in known:
            raise NotifyError(f"{place.shown}: apprise knows no service {scheme!r}{nearest(scheme, known)}")
        with _listening(told):
            asset = AppriseAsset(app_id="Barograph", app_desc="Barograph", async_mode=False, storage_mode="memory")
            found = Library.instantiate(place.url, asset=asset)
        if found is None:
            reason = _reason(told, place.secrets)
            raise NotifyError(f"{place.shown}: not a URL that this service takes ({reason}); see docs/alerts.md")
        query = urlsplit(place.url).query
        if "cto=" not in query:
            # Mail has one time-out for all: a mail server may take its time before it says hello.
            found.socket_connect_timeout = self.read if scheme.startswith("mailto") else self.connect
        if "rto=" not in query:
            found.socket_read_timeout = self.read
        if "overflow=" not in query:
            # A long message comes in several parts; a text message, which costs money, is cut.
            found.overflow_mode = OverflowMode.SPLIT if found.body_maxlen >= _SMALL else OverflowMode.TRUNCATE
        return found


def apprise() -> Apprise:
    """Return the notifier with its usual time-outs."""
    return Apprise()


def check(url: str) -> None:
    """Raise `NotifyError` for a URL that cannot be used: unknown service, missing variable, missing parts.

    >>> check("discrod://1234/token")
    Traceback (most recent call last):
    barograph.errors.NotifyError: discrod://: apprise knows no service 'discrod'; did you mean 'discord'?
    """
    Apprise().check(url)


def _content(service: NotifyBase, message: Message) -> dict[str, Any]:
    """Return what apprise is called with; the key goes along as a header where there are headers."""
    from apprise import AppriseAttachment, NotifyFormat, NotifyType
    from apprise.attachment.memory import AttachMemory

    content: dict[str, Any] = {"title": message.title, "body": message.body, "body_format": NotifyFormat.TEXT}
    content["notify_type"] = NotifyType(_SEVERITY[message.severity])
    if message.picture and service.attachment_support:
        picture = AttachMemory(  # type: ignore[no-untyped-call]
            content=message.picture, name="regime.png", mimetype="image/png"
        )
        content["attach"] = AppriseAttachment(picture)
    headers = getattr(service, "headers", None)
    if isinstance(headers, dict):
        headers.setdefault("X-Barograph-Key", quote(message.key, safe="/:"))
    if service.__class__.__name__ == "NotifyJSON":
        # A webhook is read by a program: it gets the facts as they are, beside the words.
        service.payload_extras["barograph"] = dict(message.facts)  # type: ignore[attr-defined]
    return content


def _place(url: str) -> _Place:
    """Fill in the variables, and find out what may be said of the URL: its scheme, and its host if it has one."""
    values: list[str] = []
    whole = _NAMES.fullmatch(url) is not None

    def fill(match: re.Match[str]) -> str:
        name = match[1]
        value = os.environ.get(name, "")
        if not value:
            raise NotifyError(
                f"the environment variable {name} is not set, and an alert URL wants it; set or remove it"
            )
        values.append(value)
        password = not whole and url[: match.start()].endswith(":") and url[match.end() :].startswith("@")
        return quote(value, safe="") if password else value

    filled = _NAMES.sub(fill, url)
    scheme, found, _ = filled.partition("://")
    if not found or re.fullmatch(r"[A-Za-z][\w+.-]{0,30}", scheme) is None:
        raise NotifyError('an alert URL begins with a service and "://", as in mailtos://...; this one does not')
    parts = urlsplit(filled)
    host = _host(parts) if scheme.lower() in _HOSTED else ""
    return _Place(filled, f"{scheme}://{host}", _secrets(parts, values, host))


def _host(parts: Any) -> str:
    """Return the host, or nothing if what stands there is none."""
    try:
        name, port = parts.hostname or "", parts.port
    except ValueError:
        return ""
    if re.fullmatch(r"[\w.:-]+", name) is None:
        return ""
    return f"{name}:{port}" if port else name


def _secrets(parts: Any, values: list[str], host: str) -> tuple[str, ...]:
    """Return all that must not be said, longest first: variables, user, password, path and query, however spelled."""
    login, _, place = parts.netloc.rpartition("@")
    pieces = [*values, *login.split(":"), *parts.path.split("/"), login]
    options = [pair.partition("=") for pair in parts.query.split("&")]
    pieces += [value for name, _, value in options if name not in _HARMLESS] + [parts.fragment]
    pieces += [] if host else [place, *place.split(":")]
    plain = {spelled for piece in pieces for spelled in (piece, unquote(piece), quote(unquote(piece), safe=""))}
    coded = {b64encode(f"{before}{piece}".encode()).decode() for piece in plain for before in ("", "\0") if piece}
    return tuple(sorted((plain | coded) - {"", host}, key=lambda piece: (-len(piece), piece)))


_heard: ContextVar[list[str] | None] = ContextVar("barograph_heard", default=None)
_lock = threading.Lock()
_listeners = [0]
_levels: dict[str, int] = {}


class _Ear(logging.Filter):
    """Take a record of this delivery for its reason, and let it go no further; those of others pass."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Tell whether a record may go on."""
        heard = _heard.get()
        if heard is None:
            return True
        if record.name == "apprise":
            heard.append(record.getMessage())
        return False


_EAR: Final = _Ear()


@contextmanager
def _listening(told: list[str]) -> Iterator[None]:
    """Collect what apprise says within; several threads may listen at once."""
    token = _heard.set(told)
    with _lock:
        _listeners[0] += 1
        if _listeners[0] == 1:
            _open_ears()
    try:
        yield
    finally:
        _heard.reset(token)
        with _lock:
            _listeners[0] -= 1
            if _listeners[0] == 0:
                logging.getLogger("apprise").setLevel(_levels["apprise"])


def _open_ears() -> None:
    for name in _NOISY:
        logging.getLogger(name).addFilter(_EAR)
    logger = logging.getLogger("apprise")
    _levels["apprise"] = logger.level
    logger.setLevel(logging.DEBUG)


def _reason(told: list[str], secrets: tuple[str, ...]) -> str:
    """Return why a delivery failed, in the server's own words where there are any."""
    exceptions = [line for line in told if "Exception: " in line]
    plain = [line for line in told if not line.startswith("Response Details")]
    failures = [
        line for line in plain if re.search(r"error=\d+|fail|invalid|refused|could not|missing|error", line, re.I)
    ]
    chosen = (exceptions or failures or ["the service gave no reason"])[-1]
    text = chosen.rpartition("Exception: ")[2]
    return _stripped(_plainer(text), secrets)


def _asked_wait(told: list[str]) -> float:
    """Return how many seconds a server asks to be left alone, as Telegram and others say it; 0 where none does.

    >>> _asked_wait(["Too Many Requests: retry after 35, error=429.", '{"parameters":{"retry_after":36}}'])
    36.0
    >>> _asked_wait(['{"errcode":"M_LIMIT_EXCEEDED","retry_after_ms":2500}', "error=500"])
    2.5
    """
    found = [match for line in told for match in _RETRY_AFTER.finditer(line)]
    asked = max((float(match[2]) / (1000.0 if match[1] else 1.0) for match in found), default=0.0)
    return min(asked, _LONGEST_WAIT)


_RETRY_AFTER: Final = re.compile(
    r"retry[-_ ]?after(_?ms)?(?:seconds)?[\"'\\]*\s*[:=]?\s*[\"']?(\d{1,7}(?:\.\d+)?)", re.I
)


def _plainer(text: str) -> str:
    """Return a library's words as a person says them.

    >>> _plainer("{'bob@example.org': (550, b'5.1.1 no such user')}")
    '550 5.1.1 no such user'
    >>> _plainer("Failed to send JSON POST notification: Internal Server Error., error=500.")
    'HTTP 500'
    """
    if answer := re.search(r"\((\d{3}), b?(['\"])(.*?)\2", text):
        return f"{answer[1]} {answer[3]}".strip()
    if status := re.search(r"error=(\d{3})", text):
        return f"HTTP {status[1]}"
    for pattern, words in _WORDS.items():
        if re.search(pattern, text, re.I):
            return words
    return text


_WORDS: Final[Mapping[str, str]] = {
    r"read timed out": "the server took the message and gave no answer in time",
    r"timed out|timeout": "the server gave no answer in time",
    r"refused\b.*\[Errno 111\]|\[Errno 111\]|connection refused": "nobody listens there (connection refused)",
    r"name or service not known|failed to resolve|getaddrinfo|name resolution": "there is no such host",
    r"certificate": "its certificate cannot be trusted",
    r"connection reset|connection aborted|unexpectedly closed|remote end closed": "the server hung up",
    r"incompleteread|broken": "the answer was cut off",
    r"network is unreachable|no route": "the network cannot be reached",
}


def _stripped(text: str, secrets: tuple[str, ...]) -> str:
    """Leave out all that must not be said: secrets, other URLs and addresses, and what looks like a token.

    >>> _stripped("535 hunter2 is wrong for bob@example.org, see https://help.example/?u=bob", ("hunter2",))
    '535 ... is wrong for ..., see ...'
    """
    text = " ".join(text.split())
    if any(len(piece) < _SHORTEST and re.search(rf"(?<!\w){re.escape(piece)}(?!\w)", text) for piece in secrets):
        # A secret of a letter or two cannot be cut out of a sentence: then there is only the number.
        number = re.match(r"(HTTP )?\d{3}\b", text)
        return number[0] if number else "the reason cannot be told without a secret"
    for piece in secrets:
        if len(piece) >= _SHORTEST:
            text = re.sub(re.escape(piece), "...", text, flags=re.I)
    text = re.sub(r"\w[\w+.-]*://\S+|[^\s<>'\"]+@[^\s<>'\",;]+|(?=\S*\d)[\w+/=-]{20,}", "...", text)
    return text[:_LONGEST]
