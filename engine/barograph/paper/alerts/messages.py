"""What an alert says: one line that says it all, and a body that can be read in a mail, a chat and a text message.

Every kind has a template, a text file whose first line is the title. A user's folder may hold others of the same
names. A template is handed the alert's facts by name, and `deployment`, `kind`, `severity`, `key`, `ts`, and `more`:
those facts that are numbers or words and have no place of their own.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from barograph.config.paper import SEVERITIES
from barograph.paper.alerts.picture import picture
from barograph.paper.alerts.view import moment as instant
from barograph.paper.ports import Alert, Message

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["digest", "render", "sparkline"]

_OURS: Final = Path(__file__).parent / "templates"
_TITLE: Final = 100
# What a chat takes in one piece (Telegram: 4,096 characters), with room for the title, and what is listed in a digest.
_LENGTH: Final = 3600
_LISTED: Final = 2400
_BLOCKS: Final = "▁▂▃▄▅▆▇█"


def render(alert: Alert, deployment: str, templates: Path | None = None) -> Message:
    """Return an alert as a message; `templates` is a folder whose files stand in for ours. It never fails.

    A template of the user's that does not work is left out, and the body says so; an alert that lacks what our own
    template wants is told by its bare facts.

    >>> told = Alert("command:1", "command", "info", 0, {"text": "halted by the operator"})
    >>> print(render(told, "spy").title)
    halted by the operator · spy
    >>> print(render(told, "spy").body)
    Halted by the operator.
    <BLANKLINE>
    id: spy/command:1
    """
    told, trouble = "", ""
    for folder in ([] if templates is None else [Path(templates)]) + [_OURS]:
        try:
            told = _filled(alert, deployment, folder)
            break
        except Exception as error:  # Whatever a template does wrong, the alert goes out, and says what it was.
            trouble += f"\n(The template {alert.kind}.txt in {folder.name} does not work: {_line(error)})"
    title, _, body = (told or f"{alert.kind.replace('_', ' ')} · {deployment}\n{_bare(alert)}").partition("\n")
    key = f"{deployment}/{alert.key}"
    return Message(key, alert.kind, alert.severity, _short(title), _signed(body + trouble, key), _drawn(alert))


def digest(
    messages: Sequence[Message], deployment: str, name: str, others: Mapping[tuple[str, str], int] | None = None
) -> Message:
    """Return many messages as one that lists their titles and ids; as severe as the most severe of them.

    Those that are too many to be listed are `others`: how many there are of each (kind, severity). What is listed is
    cut, too, to what a chat takes in one piece.

    >>> one = render(Alert("command:1", "command", "info", 0, {"text": "halted"}), "spy")
    >>> print(digest([one, one], "spy", "ab12", {("late_cycle", "warning"): 4000}).body)
    4002 alerts came faster than alerts.at_most lets through:
    - halted · spy [spy/command:1]
    - halted · spy [spy/command:1]
    and 4000 more: 4000 late cycle (warning)
    <BLANKLINE>
    id: spy/digest:ab12
    """
    rest = Counter(others or {})
    lines = [f"- {message.title} [{message.key}]" for message in messages]
    while sum(map(len, lines)) > _LISTED:
        last = messages[len(lines) - 1]
        rest[last.kind, last.severity] += 1
        lines.pop()
    severities = [message.severity for message in messages] + [severity for _, severity in rest]
    severity = max(severities, key=SEVERITIES.index)
    total, more = len(lines) + rest.total(), ", ".join(_counted(rest))
    kinds = sorted({message.kind.replace("_", " ") for message in messages} | {k.replace("_", " ") for k, _ in rest})
    said = [f"{total} alerts came faster than alerts.at_most lets through:", *lines]
    said += [f"and {rest.total()} more: {more}"] if rest else []
    title = _short(f"{total} alerts: {', '.join(kinds)} · {deployment}")
    key = f"{deployment}/digest:{name}"
    return Message(key, "digest", severity, title, _signed("\n".join(said), key), b"")


def _counted(rest: Counter[tuple[str, str]]) -> list[str]:
    """Return how many of each kind there are, the most severe first."""
    order = sorted(rest.items(), key=lambda one: (-SEVERITIES.index(one[0][1]), -one[1], one[0][0]))
    return [f"{count} {kind.replace('_', ' ')} ({severity})" for (kind, severity), count in order]


def sparkline(path: Sequence[float]) -> str:
    """Return probabilities as a row of blocks.

    >>> sparkline([0.0, 0.2, 0.5, 1.0])
    '▁▂▅█'
    """
    return "".join(_BLOCKS[min(7, max(0, int(8.0 * p)))] for p in path)


def _filled(alert: Alert, deployment: str, folder: Path) -> str:
    if not folder.is_dir():
        raise FileNotFoundError("there is no such folder")
    if not (folder / f"{alert.kind}.txt").is_file():
        folder = _OURS
    about = {"deployment": deployment, "kind": alert.kind, "severity": alert.severity, "key": alert.key}
    more = {k: v for k, v in alert.facts.items() if k != "text" and not isinstance(v, dict | list) and v is not None}
    # What follows the first line feed is no title.
    facts = {k: " ".join(v.split()) if isinstance(v, str) else v for k, v in alert.facts.items()}
    template = _environment(folder).get_template(f"{alert.kind}.txt")
    told = template.render({**facts, **about, "ts": alert.ts, "more": more}).strip()
    if not told:
        raise ValueError("it says nothing")
    return told


def _environment(folder: Path) -> Environment:
    """Return where templates are read: a file that is changed is read again."""
    return _environments(str(folder))


@lru_cache(maxsize=16)
def _environments(folder: str) -> Environment:
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    found = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader([folder, str(_OURS)]),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= _FILTERS
    return found


def _line(error: Exception) -> str:
    number = getattr(error, "lineno", None)
    where = f"line {number}: " if number else ""
    return f"{where}{' '.join(str(error).split()) or type(error).__name__}"


def _short(title: str) -> str:
    title = " ".join(title.split())
    return title if len(title) <= _TITLE else f"{title[: _TITLE - 1].rstrip()}…"


def _signed(body: str, key: str) -> str:
    body = body.strip()
    if len(body) > _LENGTH:
        body = f"{body[:_LENGTH].rstrip()}… ({len(body) - _LENGTH:,} characters more)"
    return f"{body}\n\nid: {key}"


def _bare(alert: Alert) -> str:
    return f"{alert.kind.replace('_', ' ')} at {_moment(alert.ts)}: {json.dumps(alert.facts, default=str)}"


def _drawn(alert: Alert) -> bytes:
    path, threshold = alert.facts.get("path"), alert.facts.get("threshold")
    if alert.kind != "regime_change" or not path or threshold is None:
        return b""
    return picture(path, threshold)


def _moment(ts: int) -> str:
    return f"{instant(ts)[:16].replace('T', ' ')} UTC"


def _percent(share: float | None, digits: int = 0) -> str:
    """Return a share in per cent; what is nearly all is not rounded up to all."""
    if share is None:
        return "unknown"
    if digits == 0 and 0.99 < abs(share) < 1.0:
        return f"{math.copysign(math.floor(abs(share) * 1000.0) / 10.0, share):.1f} %"
    return f"{100.0 * share:.{digits}f} %"


def _signed_percent(share: float | None) -> str:
    return "unknown" if share is None else f"{100.0 * share:+.2f} %"


def _number(value: float | None, digits: int | None = None) -> str:
    """Return a number with its thousands apart: money to two places, or so many significant digits."""
    if value is None:
        return "unknown"
    if digits is None:
        return f"{value:,.2f}"
    return f"{float(f'{value:.{digits}g}'):,.10g}"


def _holdings(holdings: dict[str, float]) -> str:
    return ", ".join(f"{symbol} {_percent(weight)}" for symbol, weight in holdings.items()) or "nothing"


def _order(order: dict[str, Any]) -> str:
    prices = "".join(f", {word} {_number(order[word], 8)}" for word in ("limit", "stop") if order[word] is not None)
    size = f"{order['quantity']:+,.10g} units" if order["quantity"] is not None else ""
    if order["weight"] is not None:
        return f"{order['symbol']} to {_percent(order['weight'], 1)} of equity{prices}"
    return f"{order['symbol']} {order['kind'].replace('_', ' ')} {size}{prices}".rstrip()


def _fill(fill: dict[str, Any]) -> str:
    return f"{fill['symbol']} {fill['quantity']:+,.6g} at {_number(fill['price'], 8)}"


def _guard(row: dict[str, Any]) -> str:
    event: str = row["event"]
    words = {"guard": f"guard on: {row['reason']}", "released": f"guard off: {row['reason']}"}
    return words.get(event, event.replace("_", " "))


def _sentence(text: str) -> str:
    text = text.strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


_FILTERS: Final = {
    "percent": _percent,
    "signed": _signed_percent,
    "number": _number,
    "moment": _moment,
    "sparkline": sparkline,
    "holdings": _holdings,
    "order": _order,
    "fill": _fill,
    "guard": _guard,
    "sentence": _sentence,
}
