"""Files cut at a moment: what is kept, of which formats, and what is left whole."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from barograph.audit.opened import Opened
from barograph.audit.source import again, cut_copy
from barograph.testing import some_bars
from tests.audit.leaks import CLEAN, planted
from tests.cli.test_cli import barograph

DAYS = pd.date_range("2020-01-01", periods=30, tz="UTC")
CUT = int((DAYS[19] + pd.Timedelta(hours=21)).value)
"""The close of the twentieth day."""
MIDNIGHT = int(DAYS[20].value)
"""The same day, where it closes at midnight."""


def kept(folder: Path, name: str, content: str | bytes, moment: int = CUT) -> list[str] | None:
    """Return the lines that are left of a text file, or None where it was not cut."""
    path, copy = folder / name, folder / "copy"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    if not cut_copy(path, copy, moment, 20, 30):
        return None
    raw = copy.read_bytes()
    return (gzip.decompress(raw) if name.endswith(".gz") else raw).decode().splitlines()


def text(form: str, mark: str = ",", head: str = "when") -> str:
    rows = [f"{k}{mark}{day.strftime(form)}{mark}a word, or two" for k, day in enumerate(DAYS)]
    return "\n".join([f"row{mark}{head}{mark}said", *rows]).replace("a word, or two", '"a word, or two"') + "\n"


@pytest.mark.parametrize("moment", [CUT, MIDNIGHT])
@pytest.mark.parametrize(
    ("form", "mark"),
    [("%Y-%m-%d", ","), ("%d.%m.%Y", ";"), ("%m/%d/%Y", "\t"), ("%Y%m%d", ","), ("%Y-%m-%d 00:00", ",")],
)
def test_text_ends_with_the_day_of_the_cut(tmp_path: Path, form: str, mark: str, moment: int) -> None:
    whole = text(form, mark)
    assert kept(tmp_path, "a.csv", whole, moment) == whole.splitlines()[:21]


def test_a_time_of_day_counts(tmp_path: Path) -> None:
    rows = [f"{CUT // 10**9 + k},{k}" for k in range(-3, 3)]
    assert kept(tmp_path, "a.csv", "\n".join(["timestamp,x", *rows])) == ["timestamp,x", *rows[:4]]
    hours = [f"2020-01-20 {hour}:00,{hour}" for hour in range(18, 24)]
    assert kept(tmp_path, "a.csv", "\n".join(["when,x", *hours])) == ["when,x", *hours[:4]]


def test_gzipped_text_is_cut_and_packed_again(tmp_path: Path) -> None:
    whole = text("%Y-%m-%d")
    assert kept(tmp_path, "a.csv.gz", gzip.compress(whole.encode())) == whole.splitlines()[:21]


def test_without_times_a_row_for_every_bar_is_cut_by_rows(tmp_path: Path) -> None:
    numbers = [str(k / 7) for k in range(30)]
    assert kept(tmp_path, "a.txt", "\n".join(numbers)) == numbers[:20]
    assert kept(tmp_path, "a.txt", "\n".join(["label", *numbers])) == ["label", *numbers[:20]]
    assert kept(tmp_path, "a.txt", "\n".join(numbers[:17])) is None


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("kept_as", [lambda d: d, lambda d: d.tz_localize(None), lambda d: d.astype(str)])
def test_parquet_is_cut_by_its_times(tmp_path: Path, index: bool, kept_as: Any) -> None:
    frame = pd.DataFrame({"when": kept_as(DAYS), "x": np.arange(30.0)})
    (frame.set_index("when") if index else frame).to_parquet(tmp_path / "a.parquet")
    assert cut_copy(tmp_path / "a.parquet", tmp_path / "copy", CUT, 20, 30)
    assert pd.read_parquet(tmp_path / "copy")["x"].tolist() == list(range(20))


def test_parquet_and_arrays_without_times_are_cut_by_rows(tmp_path: Path) -> None:
    pd.DataFrame({"x": np.arange(30.0)}).to_parquet(tmp_path / "a.parquet")
    np.save(tmp_path / "a.npy", np.arange(30))
    np.save(tmp_path / "short.npy", np.arange(29))
    assert cut_copy(tmp_path / "a.parquet", tmp_path / "copy", CUT, 20, 30)
    assert len(pd.read_parquet(tmp_path / "copy")) == 20
    assert cut_copy(tmp_path / "a.npy", tmp_path / "copy.npy", CUT, 20, 30)
    assert np.load(tmp_path / "copy.npy").tolist() == list(range(20))
    assert not cut_copy(tmp_path / "short.npy", tmp_path / "copy", CUT, 20, 30)


@pytest.mark.parametrize(
    ("name", "content"), [("a.pickle", b"x"), ("a.csv", b""), ("a.npy", b"no"), ("a.parquet", b"")]
)
def test_what_cannot_be_read_is_left_whole(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    assert not cut_copy(tmp_path / name, tmp_path / "copy", CUT, 20, 30)


REDIRECTED = """
import sys
from pathlib import Path
from typing import Any
from barograph.audit.redirect import redirect
whole, copy = sys.argv[1:]
redirect({whole: copy})
import gzip, numpy as np, os, pandas as pd
os.chdir(Path(whole).parent)
name = Path(whole).name
read = [open(whole).read(), open(name).read(), Path(name).read_text(), Path(whole).read_bytes().decode()]
read += [pd.read_csv(name, header=None).iloc[0, 0], np.loadtxt(name, dtype=str).item()]
read += [np.memmap(name, "S5")[0].decode()]
assert [str(r).strip() for r in read] == ["short"] * 7, read
assert open(os.fsencode(whole)).read() == "short"
open(whole, "a").write("er")
assert open(copy).read() == "short"
"""


def test_a_file_is_its_copy_however_python_opens_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("whole")
    (tmp_path / "copy").write_text("short")
    done = subprocess.run(
        [sys.executable, "-c", REDIRECTED, str(tmp_path / "a.csv"), str(tmp_path / "copy")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.csv").read_text() == "wholeer"


def test_a_source_that_cannot_be_cut_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.pickle").write_bytes(b"x")
    found = again(tmp_path / "c.toml", [], [Opened(str(tmp_path / "a.pickle"), "mine.py, line 3")], some_bars(), 5)
    assert found.problem == "none of the files that it read can be cut"
    assert [one.where for one in found.whole] == ["mine.py, line 3"]


def test_a_module_that_needs_its_whole_file_is_told(tmp_path: Path) -> None:
    clean = next(iter(CLEAN.values()))
    checked = clean._replace(module=clean.module + "\nassert len(pd.read_csv(BARS)) == 300, 'too few'\n")
    done = barograph("audit", planted(tmp_path, checked), "--cuts", "1")
    assert done.returncode == 0, done.stderr
    assert "  the source: not rerun on a cut one: PartError" in done.stdout
    assert "AssertionError: too few (mine.py, line" in done.stdout
    assert "2 things it could not look into" in done.stdout
