"""A file on this machine becomes a frame: what it is, and in what it is packed, is told by its content."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Collection
from pathlib import Path
from typing import Final, NamedTuple

import pandas as pd

from barograph.data.shapes.frames import tidied
from barograph.data.shapes.layout import Layout
from barograph.data.shapes.marks import SPACES
from barograph.data.shapes.tabled import frame_of_json, frame_of_rows, frame_of_text
from barograph.data.shapes.text import text_of, whole_lines
from barograph.data.table import Reading
from barograph.errors import DataError, with_extra

__all__ = ["ENDINGS", "Asked", "Opened", "opened", "symbol_of"]

ENDINGS: Final = (".csv", ".tsv", ".txt", ".prn", ".parquet", ".pq", ".feather", ".arrow", ".xlsx", ".xls", ".ods",
                  ".json", ".jsonl", ".ndjson")  # fmt: skip
"""What files of bars are called; each may be packed."""
_PACKED: Final = (".gz", ".bz2", ".xz", ".zst", ".zip")
_SHEET: Final = ("xl/workbook.xml", "xl/workbook.bin", "content.xml")
_CLASSIC: Final = b"\xd0\xcf\x11\xe0"


class Asked(NamedTuple):
    """What is told about how a file is written; None is for the file to show."""

    separator: str | None = None
    encoding: str | None = None
    header: bool | None = None
    sheet: str | None = None
    times: Collection[str] = ()
    growing: bool = False


class Opened(NamedTuple):
    """A frame, how it is to be read, what kind of file it was in words, and for a text how it is laid out."""

    frame: pd.DataFrame
    how: Reading
    kind: str
    layout: Layout | None = None


def symbol_of(path: Path) -> str:
    """Return the name of the asset that a file is called by.

    >>> symbol_of(Path("BRK.B.csv.gz")), symbol_of(Path("EURUSD")), symbol_of(Path("a.b.PARQUET"))
    ('BRK.B', 'EURUSD', 'a.b')
    """
    name = path.name
    for endings in (_PACKED, ENDINGS):
        found = next((end for end in endings if name.lower().endswith(end) and len(name) > len(end)), "")
        name = name[: len(name) - len(found)]
    return name


def opened(path: Path, how: Reading, asked: Asked) -> Opened | None:
    """Open a file of bars; None when it is `growing` and has nothing whole yet.

    Raises `DataError`, one line naming the file, for what cannot be read.
    """
    if path.is_dir():
        inside = sorted(one.name for one in path.iterdir() if one.is_file())[:3]
        told = f", such as {', '.join(inside)}" if inside else ""
        raise DataError(f"{path}: is a folder; wanted a file in it{told} (a folder that grows is a feed of [paper])")
    if not path.is_file():
        raise DataError(f"{path}: no such file")
    try:
        return _opened(path.read_bytes(), how, asked, path)
    except (EOFError, zlib.error, zipfile.BadZipFile, lzma.LZMAError) as error:
        if asked.growing:
            return None
        raise DataError(f"{path}: cannot be read: it is packed and not whole ({error})") from error
    except (DataError, ValueError, OSError, pd.errors.ParserWarning) as error:
        raise DataError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error


def _opened(raw: bytes, how: Reading, asked: Asked, path: Path) -> Opened | None:
    if (raw.startswith(b"PK\x03\x04") and _is_sheet(raw)) or raw.startswith(_CLASSIC):
        return _sheet(raw, how, asked)
    raw, packed = _unpacked(raw)
    if raw.startswith((b"PAR1", b"ARROW1", b"FEA1")) or (path.suffix.lower() in (".parquet", ".pq") and not packed):
        return _columns(raw, how, packed, asked.growing)
    return _text(raw, how, asked, packed, path)


def _is_sheet(raw: bytes) -> bool:
    return any(name in _SHEET for name in zipfile.ZipFile(io.BytesIO(raw)).namelist())


def _unpacked(raw: bytes) -> tuple[bytes, str]:
    if raw.startswith(b"\x1f\x8b"):
        return gzip.decompress(raw), "gzip, "
    if raw.startswith(b"BZh"):
        return bz2.decompress(raw), "bzip2, "
    if raw.startswith(b"\xfd7zXZ\0"):
        return lzma.decompress(raw), "xz, "
    if raw.startswith(b"\x28\xb5\x2f\xfd"):
        import pyarrow as pa

        return bytes(pa.CompressedInputStream(pa.BufferReader(raw), "zstd").read()), "zstd, "
    return (_from_zip(raw), "zip, ") if raw.startswith(b"PK\x03\x04") else (raw, "")


def _from_zip(raw: bytes) -> bytes:
    archive = zipfile.ZipFile(io.BytesIO(raw))
    names = [one for one in archive.namelist() if not one.endswith("/") and not one.startswith("__MACOSX")]
    bars = [one for one in names if one.lower().endswith(ENDINGS)] if len(names) > 1 else names
    if len(bars) != 1:
        raise DataError(f"it packs {len(names)} files ({', '.join(names[:3])}); wanted one: unpack them")
    return archive.read(bars[0])


def _columns(raw: bytes, how: Reading, packed: str, growing: bool) -> Opened | None:
    import pyarrow as pa

    kind = "feather" if raw.startswith((b"ARROW1", b"FEA1")) else "Parquet"
    try:
        read = pd.read_feather if kind == "feather" else pd.read_parquet
        frame = read(io.BytesIO(raw))
    except (ValueError, OSError, pa.ArrowException):
        if growing:
            return None
        raise
    frame, lengths = tidied(frame)
    return Opened(frame, how._replace(lengths=lengths), f"{packed}{kind}")


def _sheet(raw: bytes, how: Reading, asked: Asked) -> Opened:
    try:
        from python_calamine import CalamineError, CalamineWorkbook
    except ImportError:
        raise DataError(f"it is an Excel file, which the extra 'excel' reads: {with_extra('excel')}") from None
    try:
        book = CalamineWorkbook.from_filelike(io.BytesIO(raw))
    except CalamineError as error:
        raise DataError(str(error)) from error
    sheets = {name: book.get_sheet_by_name(name).to_python() for name in book.sheet_names}
    full = [name for name, rows in sheets.items() if rows]
    if asked.sheet is None and len(full) != 1:
        raise DataError(f"it has the sheets {', '.join(full) or 'none'}; choose one with sheet=")
    name = full[0] if asked.sheet is None else asked.sheet
    if name not in sheets:
        raise DataError(f"it has no sheet {name!r}; it has {', '.join(sheets)}")
    frame, before = frame_of_rows(sheets[name], asked.header)
    return Opened(frame, how._replace(first_row=before + 1), f"Excel, sheet {name!r}")


def _is_whole(content: bytes) -> bool:
    """Tell whether JSON is whole as it stands: its last line may have no end."""
    try:
        frame_of_json(content)
    except DataError:
        return False
    return True


def _text(raw: bytes, how: Reading, asked: Asked, packed: str, path: Path) -> Opened | None:
    if asked.growing and not packed and not raw.strip():
        return None
    text = text_of(raw, asked.encoding)
    is_json = text.content.lstrip()[:1] in (b"{", b"[")
    if asked.growing and not packed and not (is_json and _is_whole(text.content)):
        text = whole_lines(text)
        if not text.content.strip():
            return None
    if is_json:
        return Opened(frame_of_json(text.content), how, f"{packed}JSON")
    kind = f"{packed}text in {text.encoding.upper()}"
    foreign = how.decimal not in (None, ".") or how.thousands is not None
    # Where lines are being added, pandas would see other ones.
    place = path if text.content is raw and not packed and not asked.growing else None
    frame, layout = frame_of_text(text.content, asked.separator, asked.header, asked.times, foreign, place)
    how = how._replace(place="line", first_row=layout.first + 1)
    if how.decimal is None and how.thousands is None and layout.separator == "," and b'"' not in text.content:
        # Where commas part the cells, and nothing is in quotation marks, no number has one: only spaces part thousands.
        how = how._replace(decimal=".", thousands=SPACES)
    return Opened(frame, how, kind, layout)
