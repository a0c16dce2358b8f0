"""What an alert says: one line that says it all, and a body that can be read in a mail, a chat and a text message.

Every kind has a template, a text file whose first line is the title. A user's folder may hold others of the same
names. A template is handed the alert's facts by name, and `deployment`, `kind`, `severity`, `key`, `ts`, and `more`:
those facts that are numbers or words and have no place of their own.

Every title ends with its moment, and every body says for which closes it is: in the time zone of whoever is told. Who
reads programs gets the facts beside the words, and the entry of the journal that they were written with.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from zoneinfo import ZoneInfo

from barograph.config.paper import SEVERITIES
from barograph.paper.alerts.picture import Shown, picture
from barograph.paper.alerts.view import moment as instant
from barograph.paper.ports import Alert, Message

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["clocked", "digest", "render", "sparkline"]

_OURS: Final = Path(__file__).parent / "templates"
_TITLE: Final = 100
# What a chat takes in one piece (Telegram: 4,096 characters), with room for the title, and what is listed in a digest.
_LENGTH: Final = 3600
_LISTED: Final = 2400
_BLOCKS: Final = "▁▂▃▄▅▆▇█"


def render(alert: Alert, deployment: str, templates: Path | None = None, zone: str = "UTC",
           entry: tuple[int, str] | None = None) -> Message:  # fmt: skip
    """Return an alert as a message; `templates` is a folder whose files stand in for ours. It never fails.

    Moments are told as the clocks of `zone` show them. `entry` is the number and the hash of the journal's entry.

    A template of the user's that does not work is left out, and the body says so; an alert that lacks what our own
    template wants is told by its bare facts.

    >>> told = Alert("command:1", "command", "info", 0, {"text": "halted by the operator"})
    >>> print(render(told, "spy").title)
    halted by the operator · spy · 1970-01-01 00:00
    >>> print(render(told, "spy", zone="Asia/Tokyo").body)
    Halted by the operator.
    <BLANKLINE>
    when: 1970-01-01 09:00 JST
    id: spy/command:1
    """
    told, trouble = "", ""
    for folder in ([] if templates is None else [Path(templates)]) + [_OURS]:
        try:
            told = _filled(alert, deployment, folder, zone)
            break
        except Exception as error:  # Whatever a template does wrong, the alert goes out, and says what it was.
            trouble += f"\n(The template {alert.kind}.txt in {folder.name} does not work: {_line(error)})"
    title, _, body = (told or f"{alert.kind.replace('_', ' ')} · {deployment}\n{_bare(alert)}").partition("\n")
    key, at, drawn = f"{deployment}/{alert.key}", clocked(alert.ts, zone), b""
    try:
        drawn = _drawn(alert, zone)
    except Exception as error:  # A picture that cannot be drawn keeps no message back.
        trouble += f"\n(Its picture cannot be drawn: {_line(error)})"
    body = _signed(body + trouble, _when(alert, zone), key)
    return Message(key, alert.kind, alert.severity, _short(title, at), body, drawn, _facts(alert, deployment, entry))


def digest(
    messages: Sequence[Message], deployment: str, name: str, others: Mapping[tuple[str, str], int] | None = None,
    zone: str = "UTC",
) -> Message:  # fmt: skip
    """Return many messages as one that lists their titles and ids; as severe as the most severe of them.

    Those that are too many to be listed are `others`: how many there are of each (kind, severity). What is listed is
    cut, too, to what a chat takes in one piece. The first picture that there is goes along.

    >>> one = render(Alert("command:1", "command", "info", 0, {"text": "halted"}), "spy")
    >>> print(digest([one, one], "spy", "ab12", {("late_cycle", "warning"): 4000}).body)
    4002 alerts came faster than alerts.at_most lets through:
    - halted · spy · 1970-01-01 00:00 [spy/command:1]
    - halted · spy · 1970-01-01 00:00 [spy/command:1]
    and 4000 more: 4000 late cycle (warning)
    <BLANKLINE>
    when: 1970-01-01 00:00 UTC
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
    moments = [message.facts["ts"] for message in messages]
    title = _short(f"{total} alerts: {', '.join(kinds)} · {deployment}", clocked(max(moments), zone))
    key = f"{deployment}/digest:{name}"
    body = _signed("\n".join(said), _span(min(moments), max(moments), zone), key)
    drawn = next((message.picture for message in messages if message.picture), b"")
    facts = {"deployment": deployment, "kind": "digest", "ts": max(moments), "alerts": [one.facts for one in messages]}
    return Message(key, "digest", severity, title, body, drawn, facts)


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


def clocked(ts: int, zone: str) -> str:
    """Return a moment, ns UTC, as the clocks of a zone show it.

    >>> clocked(1_719_864_000_000_000_000, "America/New_York")
    '2024-07-01 16:00'
    """
    return f"{datetime.fromtimestamp(ts // 1_000_000_000, ZoneInfo(zone)):%Y-%m-%d %H:%M}"


def _moment(ts: int, zone: str = "UTC") -> str:
    """Return a moment with its zone, as sentences say it."""
    return f"{clocked(ts, zone)} {datetime.fromtimestamp(ts // 1_000_000_000, ZoneInfo(zone)):%Z}"


def _span(first: int, last: int, zone: str) -> str:
    return _moment(last, zone) if first == last else f"{_moment(first, zone)} to {_moment(last, zone)}"


def _when(alert: Alert, zone: str) -> str:
    """Return for which closes an alert is: of an incident the first and the last that it was met at."""
    about = alert.facts.get("incident")
    if isinstance(about, dict) and {"first", "last"} <= about.keys():
        return _span(int(about["first"]), int(about["last"]), zone)
    return _moment(alert.ts, zone)


def _facts(alert: Alert, deployment: str, entry: tuple[int, str] | None) -> dict[str, Any]:
    """Return what a program is told: the alert as it was written, and where it stands in the journal."""
    about = {"deployment": deployment, "key": alert.key, "kind": alert.kind, "severity": alert.severity}
    journal = None if entry is None else {"entry": entry[0], "hash": entry[1]}
    return {**about, "ts": alert.ts, "at": instant(alert.ts), "journal": journal, "facts": alert.facts}


def _filled(alert: Alert, deployment: str, folder: Path, zone: str) -> str:
    if not folder.is_dir():
        raise FileNotFoundError("there is no such folder")
    if not (folder / f"{alert.kind}.txt").is_file():
        folder = _OURS
    about = {"deployment": deployment, "kind": alert.kind, "severity": alert.severity, "key": alert.key}
    more = {k: v for k, v in alert.facts.items() if k != "text" and not isinstance(v, dict | list) and v is not None}
    # What follows the first line feed is no title.
    facts = {k: " ".join(v.split()) if isinstance(v, str) else v for k, v in alert.facts.items()}
    template = _environments(str(folder), zone).get_template(f"{alert.kind}.txt")
    told = template.render({**facts, **about, "ts": alert.ts, "more": more}).strip()
    if not told:
        raise ValueError("it says nothing")
    return told


@lru_cache(maxsize=16)
def _environments(folder: str, zone: str) -> Environment:
    """Return where templates are read: a file that is changed is read again."""
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    found = ImmutableSandboxedEnvironment(
        loader=FileSystemLoader([folder, str(_OURS)]),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters |= {**_FILTERS, "moment": partial(_moment, zone=zone), "deal": partial(_deal, zone=zone)}
    return found


def _line(error: Exception) -> str:
    number = getattr(error, "lineno", None)
    where = f"line {number}: " if number else ""
    return f"{where}{' '.join(str(error).split()) or type(error).__name__}"


def _short(title: str, at: str) -> str:
    """Return a title on one line, with its moment at the end however long it is."""
    title, room = " ".join(title.split()), _TITLE - len(at) - 3
    return f"{title if len(title) <= room else f'{title[: room - 1].rstrip()}…'} · {at}"


def _signed(body: str, when: str, key: str) -> str:
    body = body.strip()
    if len(body) > _LENGTH:
        body = f"{body[:_LENGTH].rstrip()}… ({len(body) - _LENGTH:,} characters more)"
    return f"{body}\n\nwhen: {when}\nid: {key}"


def _bare(alert: Alert) -> str:
    return f"{alert.kind.replace('_', ' ')} at {_moment(alert.ts)}: {json.dumps(alert.facts, default=str)}"


def _drawn(alert: Alert, zone: str) -> bytes:
    facts = alert.facts
    if alert.kind != "regime_change" or not {"closes", "prices", "regimes", "names", "symbol"} <= facts.keys():
        return b""
    when = [clocked(ts, zone) for ts in facts["closes"]]
    # Of bars of a day the time says nothing.
    when = when if len({at[:10] for at in when}) < len(when) else [at[:10] for at in when]
    title = f"{facts['symbol']}: {facts['from_name']} to {facts['to_name']}, {clocked(alert.ts, zone)}"
    price = [math.nan if value is None else value for value in facts["prices"]]
    return picture(Shown(when, price, facts["regimes"], facts["names"], title))


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


def _deal(fill: dict[str, Any], zone: str) -> str:
    """Say what was done: "sold 500 SP500 at 1,981 on 2020-03-09 16:00 EDT"."""
    deed = "bought" if fill["quantity"] > 0.0 else "sold"
    why = "" if fill["reason"] == "as wanted" else f" ({fill['reason']})"
    size, price = _number(abs(fill["quantity"]), 8), _number(fill["price"], 8)
    return f"{deed} {size} {fill['symbol']} at {price} in the bar of {_moment(fill['ts'], zone)}{why}"


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
    "sparkline": sparkline,
    "holdings": _holdings,
    "order": _order,
    "fill": _fill,
    "guard": _guard,
    "sentence": _sentence,
}
