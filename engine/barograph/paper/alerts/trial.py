"""A test message to every recipient: whether they can be reached is known before it matters."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from barograph.errors import ConfigError, NotifyError
from barograph.paper.alerts.messages import render
from barograph.paper.ports import Alert, Notifier

if TYPE_CHECKING:
    from barograph.config.schema import Config

__all__ = ["send_trial"]


def send_trial(config: Config, notifier: Notifier, tell: Callable[[str], None]) -> None:
    """Send it; what cannot be delivered is told, and raised when all were tried."""
    people = config.paper.alerts.recipients()
    if not people:
        raise ConfigError("paper.alerts.to is empty: nobody would be told; add [[paper.alerts.to]] with a url")
    now = time.time_ns()
    alert = Alert(f"command:test:{now}", "command", "info", now, {"text": "This is a test: messages reach you."})
    failures = []
    for name, one in people.items():
        try:
            notifier.send(one.url, render(alert, config.name))
            tell(f"{name}: delivered")
        except NotifyError as error:
            failures.append(f"{name}: {error}")
    if failures:
        raise NotifyError("; ".join(failures))
