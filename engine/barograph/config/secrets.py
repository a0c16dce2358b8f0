"""Masks what nobody else shall read: passwords, keys and tokens, wherever they stand in a config."""

from __future__ import annotations

import re
from typing import Any, Final

__all__ = ["redacted"]

_MASK: Final = "***"
_NAMED: Final = re.compile(r"(^|_)(key|keys|secret|token|password|passwd|passphrase|pwd|credentials)$", re.IGNORECASE)
_CAMEL: Final = re.compile(r"(?<=[a-z])(?=[A-Z])")
_IN_URL: Final = re.compile(r"(\w[\w+.-]*://)([^/@\s]*)@")
_IN_QUERY: Final = re.compile(r"([?&;][^=&\s]*(?:key|secret|token|password|pwd)[^=&\s]*=)[^&\s]+", re.IGNORECASE)
_VARIABLE: Final = re.compile(r"^\$\{\w+\}$")


def redacted(tree: Any, name: str = "") -> Any:
    """Return a config, or a text, with its secrets masked; the name of an environment variable is no secret.

    >>> redacted({"url": "postgresql://me:hunter2@db/paper", "apiKey": "abc", "key": "${STOOQ_KEY}"})
    {'url': 'postgresql://***@db/paper', 'apiKey': '***', 'key': '${STOOQ_KEY}'}
    >>> redacted("json://host/bars?symbol=SPY&api_key=abc")
    'json://host/bars?symbol=SPY&api_key=***'
    """
    if isinstance(tree, dict):
        return {key: redacted(value, str(key)) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [redacted(value, name) for value in tree]
    if not isinstance(tree, str) or _VARIABLE.match(tree):
        return tree
    if _NAMED.search(_CAMEL.sub("_", name)):
        return _MASK
    return _IN_QUERY.sub(rf"\1{_MASK}", _IN_URL.sub(rf"\1{_MASK}@", tree))
