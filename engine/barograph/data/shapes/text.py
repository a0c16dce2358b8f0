"""Bytes of a text file become UTF-8 with plain ends of lines, whatever they were written in."""

from __future__ import annotations

import codecs
from typing import Final, NamedTuple

from barograph.errors import DataError

__all__ = ["Text", "text_of", "whole_lines"]

_MARKED: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SAMPLE: Final = 4096
_PAGE: Final = (b"<!doctype html", b"<html", b"<?xml")


class Text(NamedTuple):
    """A text as UTF-8 with ends of lines that are line feeds, and the encoding in which it was written."""

    content: bytes
    encoding: str


def text_of(raw: bytes, told: str | None = None) -> Text:
    r"""Return bytes as text: `told` is their encoding, else that of their mark, UTF-16 by its zeros, or UTF-8.

    >>> text_of("Data;Último\r".encode("utf-16")).content.decode()
    'Data;Último\n'

    Raises `DataError` for what is empty, a web page, no text at all, or in no encoding that can be told.
    """
    if not raw.strip():
        raise DataError("it is empty; wanted a header line and one bar")
    encoding = told or _encoding(raw)
    # Most files are plain, and a look at their bytes is ten times as quick as reading them as text.
    content = raw if encoding == "utf-8" and raw.isascii() else _decoded(raw, encoding).encode()
    if b"\0" in content[:_SAMPLE]:
        raise DataError("it is no text; wanted CSV, Parquet, feather, Excel or JSON, also packed")
    if content[:64].lstrip().lower().startswith(_PAGE):
        raise DataError("it is a web page and no table; get the file afresh (a source may want a key)")
    # Windows writes so what was ended twice: it is one end.
    content = content.replace(b"\r\r\n", b"\n") if b"\r\r\n" in content else content
    return Text(content.replace(b"\r", b"\n") if b"\r" in content and b"\n" not in content else content, encoding)


def _encoding(raw: bytes) -> str:
    for mark, name in _MARKED:
        if raw.startswith(mark):
            return name
    sample = raw[:_SAMPLE]
    if sample[1::2].count(0) > len(sample) // 3:
        return "utf-16-le"
    return "utf-16-be" if sample[::2].count(0) > len(sample) // 3 else "utf-8"


def _decoded(raw: bytes, encoding: str) -> str:
    try:
        # A file that grows may end in the middle of a letter of two bytes.
        return raw[: len(raw) // 2 * 2].decode(encoding) if encoding.startswith("utf-16") else raw.decode(encoding)
    except LookupError:
        raise DataError(f"encoding = {encoding!r} is unknown; wanted one like 'utf-8', 'cp1252' or 'utf-16'") from None
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise DataError(
            f"byte 0x{raw[error.start]:02x} in line {line} is no {encoding.upper()}; say encoding = 'cp1252' (Western "
            f"Europe) or that in which it was saved"
        ) from None


def whole_lines(text: Text) -> Text:
    """Return a text up to its last end of line: somebody may be writing the rest."""
    return text._replace(content=text.content[: text.content.rfind(b"\n") + 1])
