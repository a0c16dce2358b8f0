"""The file a fit is kept in: a zip of a JSON header and plain arrays, no pickle."""

from __future__ import annotations

import importlib
import io
import json
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, cast

import numpy as np

from barograph.errors import FitError, as_written
from barograph.regimes.family import Family
from barograph.regimes.judged import gathered
from barograph.types import Floats

__all__ = ["Modules", "packed", "read", "unpacked", "write"]

FORMAT: Final = "barograph.fitted"
VERSION: Final = 2
# What the header holds beside the arrays; format 1 had neither degeneracies nor labels.
_HELD_BEFORE: Final = ("observations", "free_parameters", "completed", "converged", "seed", "features", "dropped")
_HELD: Final = (*_HELD_BEFORE, "degeneracies", "labels")

Modules = Callable[[str], Any]
"""What finds a module by the name that a saved fit holds."""


def write(path: Path, data: bytes) -> None:
    """Write a file whole or not at all."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.write_bytes(data)
    fresh.replace(path)


def read(path: str | Path) -> bytes:
    """Return a file's bytes. Raises `FitError` naming it."""
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise FitError(f"{path}: cannot be read: {error.strerror or error}") from error


def packed(fitted: Any) -> bytes:
    """Return the bytes of a fit: the same for the same fit."""
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as file:
        _put(file, "header.json", json.dumps(_header(fitted), indent=1).encode())
        for name, leaf in _leaves(fitted).items():
            _put(file, *_member(name, leaf))
    return whole.getvalue()


def _leaves(fitted: Any) -> dict[str, Any]:
    path = {} if fitted.log_likelihood is None else {"log_likelihood": fitted.log_likelihood}
    path |= {f"params.{n}": a for n, a in zip(fitted.params._fields, fitted.params, strict=True)}
    # Of classifiers alone: the bytes of any other fit are those of before.
    return path | ({} if fitted.judged is None else {f"judged.{n}": a for n, a in fitted.judged._asdict().items()})


def _member(name: str, leaf: Any) -> tuple[str, bytes]:
    if isinstance(leaf, bytes):
        return f"{name}.bin", leaf
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, leaf, allow_pickle=False)
    return f"{name}.npy", buffer.getvalue()


def _header(fitted: Any) -> dict[str, Any]:
    held = {name: getattr(fitted, name) for name in _HELD}
    made = {"format": FORMAT, "version": VERSION, "arithmetic": fitted.arithmetic}
    held["seed"] = None if fitted.seed is None else int(fitted.seed)  # NumPy's whole numbers are none of JSON's
    # Said of panels alone: the bytes of any other fit are those of before there were panels.
    held |= {"symbols": fitted.symbols} if fitted.symbols else {}
    held |= {"notes": fitted.notes} if fitted.notes else {}
    return {**made, "family": as_written(fitted.family.name), "fields": fitted.params._fields} | held


def unpacked(data: bytes, path: str | Path, modules: Modules | None, kept: bool) -> dict[str, Any]:
    """Return the fields of the fit that `packed` gave; raises `FitError` in one line, naming `path`."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as file:
            header = json.loads(file.read("header.json"))
            _check_header(path, header, kept)
            held = set(file.namelist())
            leaves = [_get(file, f"params.{n}", held) for n in header["fields"]]
            path_of_fit = _get(file, "log_likelihood", held) if "log_likelihood.npy" in held else None
            answers = gathered(lambda name, kind: _get(file, name, held, kind), held)
    except (zipfile.BadZipFile, KeyError, ValueError, EOFError) as error:
        raise FitError(f"{path}: not a whole fitted model ({error}); fit and save it again") from error
    family = _family(path, header["family"], header["fields"], modules or _imported)
    told = {name: header.get(name, ()) for name in _HELD}
    # Fits that do not say so were made by the processor's own library.
    return {**told, "family": family, "params": family.params(*leaves), "log_likelihood": path_of_fit,
            "arithmetic": header.get("arithmetic", 1), "symbols": header.get("symbols", ()),
            "notes": header.get("notes", ()), "judged": answers}  # fmt: skip


def _put(file: zipfile.ZipFile, name: str, body: bytes) -> None:
    # A fixed date: otherwise the same fit saved twice would differ.
    file.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), body)


def _get(file: zipfile.ZipFile, name: str, held: set[str], kind: Any = np.float64) -> Any:
    if f"{name}.bin" in held:
        return file.read(f"{name}.bin")
    array = np.lib.format.read_array(io.BytesIO(file.read(f"{name}.npy")), allow_pickle=False)
    if array.dtype != kind:
        raise ValueError(f"{name} holds {array.dtype}, not {np.dtype(kind)}")
    return cast(Floats, array)


def _check_header(path: str | Path, header: Any, kept: bool) -> None:
    if not isinstance(header, dict) or header.get("format") != FORMAT:
        raise FitError(f"{path}: not a fitted model (its header does not say {FORMAT!r})")
    found = header.get("version")
    if found != VERSION and not (kept and found == VERSION - 1):
        told = f"format version {found}, this barograph reads {VERSION}"
        raise FitError(f"{path}: {told}; make it anew with `barograph fit CONFIG -o FILE`")
    wanted = _HELD if found == VERSION else _HELD_BEFORE
    missing = [name for name in ("family", "fields", *wanted) if name not in header]
    if missing:
        raise FitError(f"{path}: its header lacks {', '.join(missing)}; fit and save it again")


def _family(path: str | Path, name: str, fields: list[str], modules: Modules) -> Family:
    module, _, constant = name.partition(":")
    try:
        family = getattr(modules(module), constant)
    except (ImportError, AttributeError, ValueError) as error:
        told = f"its model {name!r} cannot be imported ({as_written(str(error))})"
        raise FitError(f"{path}: {told}; install the package it is in") from error
    if not isinstance(family, Family) or list(getattr(family.params, "_fields", ())) != fields:
        raise FitError(f"{path}: {name!r} is not the model this file was saved from; fit and save it again")
    return family


def _imported(name: str) -> Any:
    """Import a module; one that no path leads to may be loaded already, from the folder of a config."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        loaded = [module for known, module in sys.modules.items() if as_written(known) == name]
        if len(loaded) != 1:
            raise
        return loaded[0]
