"""What a run folder keeps of its fits, and what is written of an explained one."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from barograph.audit.explaining.explained import explain
from barograph.errors import DataError
from barograph.loop.result import Learned
from barograph.regimes.judged import Judged
from barograph.report import explain_report
from barograph.report.explaining.contents import plain_numbers
from barograph.report.explaining.kept import fits_kept, in_force
from barograph.report.explaining.runs import Told
from barograph.report.explaining.section import pooled
from barograph_models.gaussian_hmm import gaussian_hmm

random = np.random.default_rng(3)
X = random.standard_normal((400, 1)) * np.repeat([1.0, 4.0], 200)[:, None]
FITTED = gaussian_hmm(2, starts=1).fit(X)


def _run(*refused: str, model: Any = None) -> Any:
    fits = tuple(Learned(n, 0, n, FITTED, None, refused=why) for n, why in enumerate(refused))
    return cast(Any, SimpleNamespace(fits=fits, machine=SimpleNamespace(model=model)))


def test_fits_that_were_refused_are_not_kept_and_numbers_are_those_of_the_file() -> None:
    assert sorted(in_force(_run("", "turned down", ""))) == [0, 2]
    assert in_force(_run(model=FITTED)) == {0: FITTED}
    assert in_force(_run()) == {}


def test_a_folder_without_fits_is_refused_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="holds no fits to explain") as caught:
        fits_kept(tmp_path)
    assert "\n" not in str(caught.value)


def test_what_is_written_is_json_without_a_number_that_is_none(tmp_path: Path) -> None:
    odd = Judged(*(np.zeros(2, dtype=np.int64) for _ in range(3)), *[np.eye(2)] * 2, np.array([[1.0, np.nan]]))
    found = explain(FITTED, X, count=30)
    found = found._replace(fitted=FITTED.__class__(**{**FITTED.__dict__, "judged": odd}))
    numbers, page = explain_report([Told("a", found), Told("<b>", explain(FITTED, None))], tmp_path)
    told = json.loads(numbers.read_text(encoding="utf-8"))
    assert told["models"][0]["curve"] == [[1.0, None]]
    assert told["models"][1]["asked"] is None
    text = page.read_text(encoding="utf-8")
    assert "&lt;b&gt;" in text
    assert "NaN" not in numbers.read_text(encoding="utf-8")


def test_tables_of_several_fits_are_one_by_rows() -> None:
    one, other = [[0.55, 0.5, 10.0], [0.95, 1.0, 30.0]], [[0.97, 0.9, 10.0]]
    assert pooled([one, other]).tolist() == pytest.approx(np.array([[0.55, 0.5, 10.0], [0.955, 0.975, 40.0]]))
    assert pooled([]).shape == (0, 3)


def test_numbers_that_are_none_are_null_at_any_depth() -> None:
    assert plain_numbers([{"a": (np.float64("nan"), np.int64(3))}, None, "x"]) == [{"a": [None, 3]}, None, "x"]
