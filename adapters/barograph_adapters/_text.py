"""Texts for people and for configs: secrets out of the environment, secrets hidden, errors on one line."""

from __future__ import annotations

import os
import re

from barograph.errors import ConfigError

__all__ = ["hidden", "one_line", "revealed"]


def revealed(text: str, key: str) -> str:
    """Return a text with each ${NAME} replaced by the environment variable of that name.

    >>> revealed("no secret", "url")
    'no secret'

    Raises `ConfigError` naming the variable that is not set.
    """

    def value(match: re.Match[str]) -> str:
        if not os.environ.get(match[1]):
            raise ConfigError(f"{key}: the environment variable {match[1]} is not set; wanted it for {match[0]}")
        return os.environ[match[1]]

    return re.sub(r"\$\{(\w+)\}", value, text)


def hidden(text: str, *secrets: str) -> str:
    """Return a text with each secret replaced by stars.

    >>> hidden("no user 'me' with password hunter2", "hunter2")
    "no user 'me' with password ***"
    """
    for secret in sorted(filter(None, secrets), key=len, reverse=True):
        text = text.replace(secret, "***")
    return text


def one_line(error: object, width: int = 200) -> str:
    """Return what an error says, on one line that is not too long."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= width else f"{text[: width - 3]}..."
