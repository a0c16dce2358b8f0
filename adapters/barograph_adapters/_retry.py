"""Asking again: a few tries, each after a longer wait, no two processes at the same moment."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from typing import TypeVar

import tenacity

from barograph.errors import FeedError

__all__ = ["BusyError", "retried"]

Answer = TypeVar("Answer")

_LOG = logging.getLogger(__name__)


class BusyError(FeedError):
    """A source that wants to be left alone for `wait` seconds (HTTP 429, a limit a day)."""

    def after(self, seconds: float) -> BusyError:
        """Return the same error with the wait that the source asked for."""
        self.wait = seconds
        return self


def retried(
    call: Callable[[], Answer],
    source: str,
    tries: int = 3,
    first: float = 0.5,
    longest: float = 30.0,
    sleep: Callable[[float], None] = time.sleep,
    jitter: Callable[[], float] = random.random,
) -> Answer:
    """Return what `call` answers, trying again after a `FeedError`, `tries` times in all.

    Before try n + 1 it waits d (1 + jitter()) / 2 seconds, d = min(longest, first 2^(n-1)): at least half of d, so that
    the source can breathe, and spread over the rest, so that many clients do not come back at once. A `BusyError` is
    given the wait it asks for, and is not tried again when that is more than `longest`.

    >>> waits, answers = [], iter([FeedError("no answer"), FeedError("no answer"), 7])
    >>> def call():
    ...     answer = next(answers)
    ...     if isinstance(answer, FeedError):
    ...         raise answer
    ...     return answer
    >>> retried(call, "source", sleep=waits.append, jitter=lambda: 1.0), waits
    (7, [0.5, 1.0])

    Raises the last `FeedError`, saying how often it was tried; any other error at once.
    """

    def wait(state: tenacity.RetryCallState) -> float:
        usual = min(longest, first * 2.0 ** (state.attempt_number - 1)) * 0.5 * (1.0 + jitter())
        return max(usual, _asked(state))

    def told(state: tenacity.RetryCallState) -> None:
        _LOG.info("%s: try %d of %d: %s", source, state.attempt_number, tries, _failure(state))

    policy = tenacity.Retrying(
        retry=tenacity.retry_if_exception(lambda error: isinstance(error, FeedError) and _short(error, longest)),
        stop=tenacity.stop_after_attempt(tries),
        wait=wait,
        sleep=sleep,
        before_sleep=told,
        retry_error_callback=lambda state: _give_up(state, tries),
    )
    return policy(call)


def _failure(state: tenacity.RetryCallState) -> BaseException | None:
    return None if state.outcome is None else state.outcome.exception()


def _short(error: BaseException, longest: float) -> bool:
    return not isinstance(error, BusyError) or error.wait <= longest


def _asked(state: tenacity.RetryCallState) -> float:
    error = _failure(state)
    return error.wait if isinstance(error, BusyError) else 0.0


def _give_up(state: tenacity.RetryCallState, tries: int) -> None:
    error = _failure(state)
    failed = FeedError(f"{error}" if tries == 1 else f"{error} (tried {tries} times)")
    failed.wait = _asked(state)
    raise failed from error
