"""The edge to ccxt: open an exchange so that it says nothing in logs and takes nothing but JSON; tell its errors.

ccxt returns a text that is not JSON as if it were an answer, and then reads candles out of its letters: a truncated
answer and a web page become "no bars". Here both are errors. It also logs the headers of every request, keys included,
at level DEBUG: its logger is put out.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote, urlsplit

from barograph.errors import ConfigError, DataError, FeedError, nearest, with_extra
from barograph_adapters._retry import BusyError
from barograph_adapters._text import revealed

__all__ = ["MISREAD", "answered", "busy", "host", "host_of", "library", "market", "opened", "plain", "told"]

MISREAD: Final = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)
"""What ccxt raises, beside its own errors, when it meets JSON of another shape than it expects."""

_SILENT: Final = logging.Logger("barograph.ccxt")
_SILENT.disabled = True
_CREDENTIALS: Final = ("apiKey", "secret", "password", "uid", "login", "privateKey", "walletAddress", "token", "twofa")

# No ban is obeyed for longer without being heard again.
_LONGEST: Final = 31 * 86_400.0

Answer = TypeVar("Answer")


def library(pro: bool = False) -> Any:
    """Return ccxt, or its websocket side; raises `DataError` with the command that installs it."""
    try:
        import ccxt
        import ccxt.pro
    except ImportError:
        raise DataError(f"exchanges are reached through ccxt; {with_extra('live')}") from None
    return ccxt.pro if pro else ccxt


def opened(name: str, options: Mapping[str, Any], timeout: float, pro: bool = False) -> Any:
    """Return one of ccxt's exchanges, keyless; `options` are merged into its own, as ccxt's constructor does.

    ${NAME} in the options' texts is an environment variable. Raises `ConfigError` when ccxt knows no such exchange,
    and when a key or secret stands among the options.
    """
    known = library().exchanges
    if name not in known:
        raise ConfigError(f"name = {name!r}: ccxt knows no such exchange{nearest(name, known)}")
    found = [key for key in _CREDENTIALS if key in options]
    if found:
        raise ConfigError(f"{name}: options.{found[0]}: no keys among the options; take it out of the file")
    if not hasattr(library(pro), name):
        raise ConfigError(f"{name}: ccxt has no websockets of this exchange; use barograph_adapters.feeds.exchange")
    waits = {"enableRateLimit": True, "timeout": int(1000 * timeout)}
    made = getattr(library(pro), name)({**waits, **_revealed(options, f"{name}: options")})
    made.verbose, made.logger = False, _SILENT
    made.fetch = _only_json_later(made.fetch) if pro else _only_json(made.fetch)
    return made


def _revealed(tree: Any, key: str) -> Any:
    if isinstance(tree, Mapping):
        return {name: _revealed(value, f"{key}.{name}") for name, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [_revealed(value, key) for value in tree]
    return revealed(tree, key) if isinstance(tree, str) else tree


def _only_json(fetch: Callable[..., Any]) -> Callable[..., Any]:
    def fetched(*request: Any, **named: Any) -> Any:
        return _json(fetch(*request, **named))

    return fetched


def _only_json_later(fetch: Callable[..., Any]) -> Callable[..., Any]:
    async def fetched(*request: Any, **named: Any) -> Any:
        return _json(await fetch(*request, **named))

    return fetched


def _json(answer: Any) -> Any:
    if not isinstance(answer, dict | list):
        start = " ".join(str(answer).split())[:40]
        raise library().BadResponse(f"the answer is no whole JSON; it begins {start!r}")
    return answer


def plain(text: object, secrets: Sequence[str] = ()) -> str:
    """Return a message as one line without secrets, queries of URLs and passwords in URLs.

    >>> plain("binance GET https://me:pw@api/x?timestamp=1&signature=ab 500 <html>\\n oops key=K1", ["K1"])
    'binance GET https://api/x 500 <html> oops key=***'
    """
    line = " ".join(str(text).split())
    for secret in secrets:
        for form in {secret, quote(secret, safe="")} - {""}:
            line = line.replace(form, "***")
    return re.sub(r"\?\S*", "", re.sub(r"//[^/@\s]*@", "//", line))[:240]


def told(source: str, error: BaseException, secrets: Sequence[str] = ()) -> str:
    """Return one line that says what an exchange did wrong."""
    text = plain(error, secrets).removeprefix(f"{source} ")
    return f"{source}: {type(error).__name__}: {text}" if text else f"{source}: {type(error).__name__}"


def busy(exchange: Any, error: object = "", longest: float = _LONGEST) -> float:
    """Return the seconds that an exchange asked to be left alone in its last answer; 1 when it did not say.

    It says so in a header, in seconds or as a date, or in words: Binance's "banned until" a moment in ms.
    """
    found = str((getattr(exchange, "last_response_headers", None) or {}).get("Retry-After", ""))
    if re.fullmatch(r"\d{1,9}(\.\d+)?", found):
        return min(longest, float(found))
    now, until = time.time(), re.search(r"banned until (\d{10,13})\b", str(error))
    if until:
        return min(longest, max(1.0, float(until[1]) / (1000.0 if len(until[1]) > 10 else 1.0) - now))
    try:
        return min(longest, max(1.0, parsedate_to_datetime(found).timestamp() - now))
    except ValueError:  # neither seconds nor a date: it did not say
        return 1.0


def answered(source: str, exchange: Any, call: Callable[[], Answer]) -> Answer:
    """Return what a call to an exchange answers.

    Raises `FeedError` for what fails for now (`BusyError` when it is asked too often), and `ConfigError` for what the
    exchange will never do.
    """
    ccxt = library()
    try:
        return call()
    except (ccxt.RateLimitExceeded, ccxt.DDoSProtection) as error:
        raise BusyError(told(source, error)).after(busy(exchange, error)) from None
    except (ccxt.NotSupported, ccxt.BadSymbol) as error:
        raise ConfigError(told(source, error)) from None
    except (ccxt.BaseError, *MISREAD, OSError) as error:
        raise FeedError(told(source, error)) from None


def market(source: str, exchange: Any, symbol: str) -> dict[str, Any]:
    """Return what a loaded exchange says of a market; raises `ConfigError` naming the nearest ones."""
    if symbol not in exchange.markets:
        near = nearest(symbol, exchange.markets) or f"; it has {', '.join(list(exchange.markets)[:5])} and others"
        raise ConfigError(f"{source}: no market {symbol!r}{near}")
    found: dict[str, Any] = exchange.markets[symbol]
    return found


def host_of(exchange: Any) -> str:
    """Return who an exchange's public answers come from: a ban counts for all that is asked there."""
    found = exchange.urls.get("api", "")
    while isinstance(found, Mapping):
        found = found.get("public") or next(iter(found.values()), "")
    return host(str(found))


def host(url: str) -> str:
    """Return the host and port of a URL.

    >>> host("https://me:pw@api.example.com:8443/v3"), host("wss://x.example.com/ws")
    ('api.example.com:8443', 'x.example.com')
    """
    return urlsplit(url).netloc.rpartition("@")[2].lower()
