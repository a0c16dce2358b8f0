"""A tiny picture of a probability's path, as PNG: no drawing library, a few kilobytes, the same bytes every time."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["HEIGHT", "WIDTH", "picture", "png"]

WIDTH, HEIGHT = 480, 160
_MARGIN: Final = 12
# White, grid, area, line, threshold.
_PALETTE: Final = bytes.fromhex("ffffffe4e7ebc9ddf21f5fa8c0392b")
_PAPER, _GRID, _AREA, _LINE, _LIMIT = range(5)


def picture(path: Sequence[float], threshold: float) -> bytes:
    """Draw probabilities from left to right, 0 at the bottom and 1 at the top, and the threshold as a dashed line.

    >>> picture([0.1, 0.4, 0.9], threshold=0.7)[:8]
    b'\\x89PNG\\r\\n\\x1a\\n'
    """
    canvas = np.full((HEIGHT, WIDTH), _PAPER, dtype=np.uint8)
    columns = np.arange(_MARGIN, WIDTH - _MARGIN)
    values = np.clip(np.asarray(path, dtype=np.float64), 0.0, 1.0)
    heights = _row(np.interp(columns, np.linspace(columns[0], columns[-1], len(values)), values))
    for level in (0.0, 0.25, 0.5, 0.75, 1.0):
        canvas[_row(level), columns] = _GRID
    bottom = _row(0.0)
    for column, height, before in zip(columns, heights, np.append(heights[:1], heights[:-1]), strict=True):
        canvas[height:bottom, column] = _AREA
        canvas[min(height, before) - 1 : max(height, before) + 1, column] = _LINE
    canvas[_row(threshold), columns[columns % 10 < 6]] = _LIMIT
    return png(canvas)


def _row(probability: Any) -> Any:
    inside = HEIGHT - 2 * _MARGIN - 1
    return np.asarray(HEIGHT - 1 - _MARGIN - np.rint(inside * np.asarray(probability))).astype(np.int64)


def png(canvas: NDArray[np.uint8]) -> bytes:
    """Encode indices into the palette (rows, columns) as PNG (ISO/IEC 15948), colour type 3, no filter."""
    rows, columns = canvas.shape
    header = struct.pack(">IIBBBBB", columns, rows, 8, 3, 0, 0, 0)
    lines = np.hstack([np.zeros((rows, 1), dtype=np.uint8), canvas]).tobytes()
    body = _chunk(b"IHDR", header) + _chunk(b"PLTE", _PALETTE) + _chunk(b"IDAT", zlib.compress(lines, 9))
    return b"\x89PNG\r\n\x1a\n" + body + _chunk(b"IEND", b"")


def _chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
