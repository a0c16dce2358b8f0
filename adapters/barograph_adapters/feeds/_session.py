"""The HTTP session that is lent to yfinance: it cannot wait for ever, and remembers what Yahoo's server answered."""

from __future__ import annotations

import time
from email.utils import parsedate_to_datetime
from typing import Any

from curl_cffi.requests import Response, Session

__all__ = ["BoundedSession"]


class BoundedSession(Session[Response]):
    """A browser's session whose requests take `limit` seconds each, and `budget` together since the last `begin`.

    yfinance itself waits up to half a minute for each cookie. `status` and `now` (ns UTC) are those of the last answer
    with prices, 0 when there was none.
    """

    def __init__(self, limit: float, budget: float) -> None:
        super().__init__(impersonate="chrome")
        self.limit, self.budget = limit, budget
        self.begin()

    def begin(self) -> None:
        """Forget the last answer and start the clock."""
        self.status, self.now = 0, 0
        self.wait = 0.0
        self.deadline = time.monotonic() + self.budget

    def request(self, method: Any, url: str, **options: Any) -> Response:  # type: ignore[override]
        """Send a request; raises `TimeoutError` when the budget is spent."""
        left = self.deadline - time.monotonic()
        if left <= 0.0:
            raise TimeoutError(f"no time left of {self.budget:g} s")
        options["timeout"] = min(self.limit, left)
        answer = super().request(method, url, **options)
        if "/v8/finance/chart/" in url:
            self._remember(answer)
        return answer

    def _remember(self, answer: Response) -> None:
        self.status = answer.status_code
        self.wait = _seconds(answer.headers.get("Retry-After"))
        date = answer.headers.get("Date")
        self.now = 0 if date is None else _moment(date)


def _moment(date: str) -> int:
    try:
        return int(parsedate_to_datetime(date).timestamp()) * 1_000_000_000
    except ValueError:  # a date nobody can read says nothing about the time
        return 0


def _seconds(text: str | None) -> float:
    return float(text) if text is not None and text.isdigit() else 0.0
