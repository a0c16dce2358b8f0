"""Compiled code on disk: one file a fingerprint and signature, written whole or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import pickle
import tempfile
import time
from pathlib import Path
from typing import Any, Final, NamedTuple

from numba.core import caching, compiler, serialize
from numba.core.runtime import rtsys

from barograph.errors import ConfigError
from barograph.jit.fingerprint import Marked, Unfingerprintable, digest, layout, unchanged

__all__ = ["Cache", "cache_folder", "cache_limit", "keep_apart", "prune"]

# Megabytes. What ships takes six; every edit of a strategy leaves a tenth of one behind.
_LIMIT: Final = "500"
# Seconds: nobody takes as long to write a file.
_ABANDONED: Final = 3600.0


def cache_folder() -> Path:
    """Where compiled code is kept: ``BAROGRAPH_CACHE``, or the user's cache folder."""
    chosen = os.environ.get("BAROGRAPH_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "barograph"


def cache_limit() -> float:
    """How many bytes it may take: ``BAROGRAPH_CACHE_LIMIT`` megabytes, or 500; raises `ConfigError`."""
    told = os.environ.get("BAROGRAPH_CACHE_LIMIT") or _LIMIT
    with contextlib.suppress(ValueError):
        if float(told) > 0.0:
            return 1e6 * float(told)
    raise ConfigError(f"BAROGRAPH_CACHE_LIMIT is {told!r}; wanted a number of megabytes above 0, as in 500")


def prune(folder: Path, limit: float) -> None:
    """Delete what was not used for longest until the files take no more than nine tenths of `limit` bytes.

    Below the limit nothing is deleted. What a deleted file held is compiled again when it is wanted. What a process
    left that was killed while it wrote goes after an hour.
    """
    found = []
    for left in folder.glob(".new-*"):
        with contextlib.suppress(FileNotFoundError):
            if left.stat().st_mtime < time.time() - _ABANDONED:
                left.unlink()
    for file in folder.glob("*.kernel"):
        # Another process may prune at the same moment.
        with contextlib.suppress(FileNotFoundError):
            told = file.stat()
            found.append((told.st_mtime_ns, told.st_size, file))
    size = sum(one[1] for one in found)
    if size <= limit:
        return
    for _, taken, file in sorted(found):
        if size <= 0.9 * limit:
            return
        file.unlink(missing_ok=True)
        size -= taken


class _Apart(NamedTuple):
    """A shared kernel's machine code: what it calls of its kind, its cache file, and the result that keeps it alive."""

    needs: tuple[str, ...]
    file: str
    result: Any


# Symbols of shared kernels that this process has, compiled or loaded.
_apart: dict[str, _Apart] = {}


def keep_apart(dispatcher: Any) -> None:
    """Let callers find this function by its symbol, not by a copy of its code.

    numba copies what is called into every caller and optimises the copy, level upon level: with the table of orders
    three quarters of a minute were spent on optimising the same code again.
    """
    compile_one = dispatcher.compile

    def compile_apart(signature: Any) -> Any:
        entry = compile_one(signature)
        for _, implementation in dispatcher.targetctx._defns[entry].versions:
            implementation.libs = ()
        for result in dispatcher.overloads.values():
            _remember(result, "")
        return entry

    dispatcher.compile = compile_apart


def _remember(result: Any, file: str) -> None:
    symbol = result.fndesc.llvm_func_name
    if symbol not in _apart or file:
        _apart[symbol] = _Apart(_needs(result.library), file, result)


def _needs(library: Any) -> tuple[str, ...]:
    """Return the symbols of shared kernels that a library calls."""
    return tuple(f.name for f in library._get_module_for_linking().functions if f.is_declaration and f.name in _apart)


def _with_all(symbols: tuple[str, ...]) -> dict[str, str]:
    """Return these symbols and all that they need in turn, what is needed first, each with its file."""
    found: dict[str, str] = {}
    for symbol in symbols:
        found.update(_with_all(_apart[symbol].needs))
        found[symbol] = _apart[symbol].file
    return found


# What a cache file holds; another number, another file name.
_FORMAT = 3


class Cache(caching._Cache):  # type: ignore[misc]
    """One file a (fingerprint, argument types) pair, written whole or not at all."""

    def __init__(self, owner: Marked) -> None:
        self._owner = owner

    @property
    def cache_path(self) -> str:
        """Say where the files are."""
        return str(cache_folder())

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the result for a signature, or None where it is not to be had."""
        # The allocator's symbols are all that loaded code asks for. numba would fill its registries of what can be
        # compiled (a third of a second in every process); whatever is compiled fills them itself.
        rtsys.initialize(target_context)
        try:
            file = self._file(sig).name
        except Unfingerprintable:
            return None
        return self._loaded(file, target_context)

    def _loaded(self, file: str, target_context: Any) -> Any:
        """Load a result and, before it, the shared kernels it calls; None where any of it is not to be had."""
        kept = next((a.result for a in _apart.values() if a.file == file), None)
        if kept is not None:
            # How long it took to compile is not told twice: numba takes a second telling for a fault.
            return kept._replace(metadata=None)
        try:
            data = (cache_folder() / file).read_bytes()
        except OSError:
            return None
        # Used now: `prune` begins with what was not. A cache that cannot be written to is not pruned either.
        with contextlib.suppress(OSError):
            os.utime(cache_folder() / file)
        # A file cut short by a full disk or a crash is compiled again, not trusted: its digest does not fit.
        told, body = data[:32], data[32:]
        if hashlib.sha256(body).digest() != told:
            return None
        needs, apart, parts = pickle.loads(body)
        for symbol, where in needs.items():
            # Another process may have written that file anew, under a symbol of its own.
            if symbol not in _apart and (self._loaded(where, target_context) is None or symbol not in _apart):
                return None
        result = compiler.CompileResult._rebuild(target_context, *parts)
        if apart:
            _remember(result, file)
        return result

    def save_overload(self, sig: Any, data: Any) -> None:
        """Keep a result whose code stands alone and is still what the mark says."""
        if data.lifted or not _stands_alone(data.library) or not unchanged(self._owner):
            return
        needs = _with_all(_needs(data.library))
        try:
            layout(data.signature.return_type)
            file, apart = self._file(sig), not self._owner.door
            if all(needs.values()):
                _write_whole(file, serialize.dumps((needs, apart, data._reduce())))
                if apart:
                    _remember(data, file.name)
                prune(file.parent, cache_limit())
        except Unfingerprintable:
            return
        except OSError as error:
            # A read-only home must not stop a run; the price is compiling again next time.
            _say_unkept(error)

    def _file(self, sig: Any) -> Path:
        args = sig if isinstance(sig, tuple) else sig.args
        told = digest(repr((_FORMAT, *(layout(a) for a in args))))
        return cache_folder() / f"{self._owner.__name__}-{self._owner.mark}-{told}.kernel"

    def enable(self) -> None:
        """Nothing to switch on."""

    def disable(self) -> None:
        """Nothing to switch off."""

    def flush(self) -> None:
        """Nothing to forget: the key holds all that matters."""


# Folders of which it was said that nothing can be kept there.
_said: set[str] = set()


def _say_unkept(error: OSError) -> None:
    """Say that compiled code cannot be kept: once a process, not for each of a hundred kernels."""
    folder = str(cache_folder())
    if folder not in _said:
        _said.add(folder)
        told = "compiled code cannot be kept in %s (%s), so every process compiles it again; set BAROGRAPH_CACHE to a "
        logging.getLogger("barograph").warning(told + "folder that can be written to", folder, error.strerror)


def _stands_alone(library: Any) -> bool:
    """Whether the code holds no address of this process, and no call left open (recursion): both crash the next one."""
    names = (g.name for g in library._final_module.global_variables)
    return not library.has_dynamic_globals and not any(name.startswith(".numba.unresolved$") for name in names)


def _write_whole(file: Path, body: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=file.parent, prefix=".new-")
    try:
        with os.fdopen(handle, "wb") as new:
            new.write(hashlib.sha256(body).digest() + body)
        os.replace(name, file)
    except BaseException:
        os.unlink(name)
        raise
