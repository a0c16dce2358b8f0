"""Files that people's own code opens: Python tells of each, through its audit hook, and the stack says from where."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final, NamedTuple

from barograph.audit.holdings import is_peoples

__all__ = ["Opened", "parquet_through", "watching"]

# Code, and what a compiler keeps: read by whoever imports, and not for what is in it.
_SYSTEM: Final = ("/proc/", "/sys/", "/dev/")
_CODE: Final = (".py", ".pyc", ".so", ".pyd", ".kernel", ".toml")
# Who is beyond these has begun the audit, and reads nothing in it.
_BEGIN: Final = ("barograph.audit.", "barograph.cli.")
_LOAD: Final = ("barograph.config.build", "load_history")
_LOADERS: Final = ("barograph_adapters.", "barograph_strategies.", "barograph_models.")


class Opened(NamedTuple):
    """A file that was read: where in people's code ("" where a loader of ours read it), and the code that did.

    `bars` says that it was read while the config's bars were loaded: what is in it has come through them.
    """

    path: str
    where: str
    codes: tuple[CodeType, ...] = ()
    bars: bool = False


@contextmanager
def watching() -> Iterator[list[Opened]]:
    """Yield a list that files are added to as they are opened for reading, until the block ends.

    What C code opens by itself tells Python nothing, and is not seen; of pyarrow Parquet is, as pandas reads it so.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "labels.csv"
    >>> _ = path.write_text("label")
    >>> with watching() as opened:
    ...     _ = path.read_text()
    >>> [Path(one.path).name for one in opened]
    ['labels.csv']
    """
    _install()
    found: list[Opened] = []
    _listeners.append(found)
    undo = parquet_through(_tell)
    try:
        yield found
    finally:
        undo()
        _listeners[:] = [one for one in _listeners if one is not found]


_listeners: list[list[Opened]] = []
_installed: list[bool] = []


def _install() -> None:
    # A hook stays for the life of the process; between audits it hears and does nothing.
    if not _installed:
        sys.addaudithook(_hear)
        _installed.append(True)


def parquet_through(way: Callable[[Any], Any]) -> Callable[[], None]:
    """Send whatever names a Parquet file through a function, before pyarrow opens it; return what ends that."""
    import pyarrow.parquet as arrow

    plain = arrow.read_table

    def read_table(source: Any, *args: Any, **named: Any) -> Any:
        return plain(way(source), *args, **named)

    def undo() -> None:
        arrow.read_table = plain

    arrow.read_table = read_table
    return undo


def _tell(source: Any) -> Any:
    _hear("open", (source, "r", 0))
    return source


def _hear(event: str, arguments: tuple[Any, ...]) -> None:
    if event not in ("open", "sqlite3.connect") or not _listeners:
        return
    path, mode, flags = arguments if event == "open" else (arguments[0], "r", 0)
    writes = any(c in mode for c in "wax") if isinstance(mode, str) else bool(flags & (os.O_WRONLY | os.O_CREAT))
    if writes or not isinstance(path, bytes | str | os.PathLike):
        return
    name = os.path.abspath(os.fsdecode(path))
    if name.endswith(_CODE) or name.startswith(_SYSTEM) or os.path.isdir(name):
        return
    frames = _callers(sys._getframe(1))
    if frames:
        own = [frame for frame in frames if is_peoples(frame.f_code.co_filename)]
        where = f"{Path(own[0].f_code.co_filename).name}, line {own[0].f_lineno}" if own else ""
        codes = tuple(frame.f_code for frame in own)
        # What a module reads when it is imported is there for all that is in it.
        bars = _loading(frames[-1]) and all(code.co_name != "<module>" for code in codes)
        one = Opened(name, where, codes, bars)
        for listener in _listeners:
            listener.append(one)


def _callers(frame: FrameType | None) -> list[FrameType]:
    """Return the frames of people's own code and of our loaders, innermost first, up to whoever began the audit."""
    found: list[FrameType] = []
    while frame is not None and frame.f_code.co_filename == __file__:
        frame = frame.f_back
    while frame is not None and not _is_in(frame, _BEGIN):
        file = frame.f_code.co_filename
        if not found and file.startswith("<frozen importlib"):
            # Something is imported: what that reads is code, and what it is made of.
            break
        if is_peoples(file) or _is_in(frame, _LOADERS):
            found.append(frame)
        frame = frame.f_back
    return found


def _loading(frame: FrameType | None) -> bool:
    """Whether a call comes from the loading of a config's bars."""
    while frame is not None and not _is_in(frame, _BEGIN):
        if frame.f_code.co_name == _LOAD[1] and _is_in(frame, _LOAD[:1]):
            return True
        frame = frame.f_back
    return False


def _is_in(frame: FrameType, homes: tuple[str, ...]) -> bool:
    home = str(frame.f_globals.get("__name__"))
    return home.startswith(homes) and not is_peoples(frame.f_code.co_filename)
