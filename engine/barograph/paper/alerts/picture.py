"""The picture of a regime change: the price of the last closes, shaded by the regime that was believed, as PNG.

Pillow draws it, with the font that it brings along: some ten kilobytes, and the same bytes every time for one release.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

__all__ = ["HEIGHT", "WIDTH", "Shown", "picture"]

WIDTH, HEIGHT = 640, 320
# Room for prices on the left, the title above and dates below.
_LEFT, _TOP, _RIGHT, _BOTTOM = 64, 30, 10, 26
_PAPER, _INK, _FAINT, _LINE = "#ffffff", "#333a41", "#d7dce1", "#1f2a33"
# One a regime, in the order of volatility; beyond them again from the first.
_SHADES: Final = ("#dcebdd", "#f6d9d5", "#f3ebcd", "#d9e4f2", "#e7dcf0", "#d5eeee")
_SMALL, _LARGE = 12, 14
_TICKS: Final = 4


class Shown(NamedTuple):
    """What is drawn, oldest first: closes as text, prices (NaN where unknown), regimes by number.

    `names` are those of the regimes, `title` says which asset and when.
    """

    when: Sequence[str]
    price: Sequence[float]
    regime: Sequence[int]
    names: Sequence[str]
    title: str


def picture(shown: Shown) -> bytes:
    """Draw the price from left to right over the believed regimes, with dates below and prices at the left.

    >>> picture(Shown(["1 Mar", "2 Mar"], [100.0, 90.0], [0, 1], ["calm", "wild"], "SPY"))[:8]
    b'\\x89PNG\\r\\n\\x1a\\n'
    """
    from PIL import Image, ImageDraw

    image = Image.new("RGB", (WIDTH, HEIGHT), _PAPER)
    draw = ImageDraw.Draw(image)
    price = np.asarray(shown.price, dtype=np.float64)
    known = price[np.isfinite(price)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    room = 0.05 * (high - low) or 0.01 * abs(high) or 1.0
    frame = _Frame(len(price), low - room, high + room)
    _shade(draw, frame, shown)
    _scales(draw, frame, shown)
    _line(draw, frame, price)
    _legend(draw, shown)
    out = io.BytesIO()
    image.quantize(64).save(out, "PNG", optimize=True)
    return out.getvalue()


class _Frame(NamedTuple):
    """How closes and prices lie on the picture."""

    closes: int
    low: float
    high: float

    def x(self, n: float) -> float:
        """Return where the n-th close lies."""
        return _LEFT + (WIDTH - _LEFT - _RIGHT) * (n + 0.5) / self.closes

    def y(self, price: float) -> float:
        """Return where a price lies."""
        return _TOP + (HEIGHT - _TOP - _BOTTOM) * (self.high - price) / (self.high - self.low)


def _font(size: int) -> Any:
    from PIL import ImageFont

    return ImageFont.load_default(size)


def _shade(draw: ImageDraw, frame: _Frame, shown: Shown) -> None:
    at = 0
    for regime, same in groupby(shown.regime):
        count = len(list(same))
        if regime >= 0:
            corners = (frame.x(at - 0.5), _TOP, frame.x(at + count - 0.5), HEIGHT - _BOTTOM)
            draw.rectangle(corners, fill=_SHADES[regime % len(_SHADES)])
        at += count


def _scales(draw: ImageDraw, frame: _Frame, shown: Shown) -> None:
    small = _font(_SMALL)
    for tick in np.linspace(frame.low, frame.high, _TICKS + 2)[1:-1].tolist():
        y = frame.y(tick)
        draw.line((_LEFT, y, WIDTH - _RIGHT, y), fill=_FAINT)
        draw.text((_LEFT - 6, y), _price(tick, frame), fill=_INK, font=small, anchor="rm")
    draw.line((_LEFT, _TOP, _LEFT, HEIGHT - _BOTTOM, WIDTH - _RIGHT, HEIGHT - _BOTTOM), fill=_INK)
    last = frame.closes - 1
    for n, anchor in ((0, "la"), (last // 2, "ma"), (last, "ra")):
        x = {"la": _LEFT, "ma": frame.x(n), "ra": WIDTH - _RIGHT}[anchor]
        if n or anchor == "la":
            draw.text((x, HEIGHT - _BOTTOM + 6), shown.when[n], fill=_INK, font=small, anchor=anchor)


def _price(value: float, frame: _Frame) -> str:
    """Return a price with as many digits as tell the ticks apart."""
    apart = (frame.high - frame.low) / (_TICKS + 1)
    # The power of ten stands in what is written; a logarithm is a processor's choice.
    digits = max(0, min(8, 1 - int(f"{apart:e}".partition("e")[2])))
    return f"{value:,.{digits}f}"


def _line(draw: ImageDraw, frame: _Frame, price: Any) -> None:
    points = [(frame.x(n), frame.y(p)) if np.isfinite(p) else None for n, p in enumerate(price.tolist())]
    for there, same in groupby(points, lambda point: point is not None):
        part = [point for point in same if point is not None]
        if there and len(part) == 1:
            x, y = part[0]
            draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=_LINE)
        elif there:
            draw.line(part, fill=_LINE, width=2, joint="curve")


def _legend(draw: ImageDraw, shown: Shown) -> None:
    draw.text((10, 8), shown.title, fill=_INK, font=_font(_LARGE), anchor="la")
    x, small = float(WIDTH - _RIGHT), _font(_SMALL)
    for regime in sorted({regime for regime in shown.regime if regime >= 0}, reverse=True):
        x -= draw.textlength(shown.names[regime], font=small)
        draw.text((x, 9), shown.names[regime], fill=_INK, font=small, anchor="la")
        x -= 18
        draw.rectangle((x, 9, x + 12, 21), fill=_SHADES[regime % len(_SHADES)], outline=_INK)
        x -= 12
