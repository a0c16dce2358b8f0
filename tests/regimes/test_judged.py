"""A classifier's answers on rows that it did not learn from are kept with its fit, to the bit; other fits know none."""

from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from barograph.errors import FitError
from barograph.regimes.fitted import Fitted, Model
from barograph.regimes.judged import Judged
from barograph_models.gaussian_hmm import gaussian_hmm

random = np.random.default_rng(3)
X = random.standard_normal((300, 2)) * np.repeat([1.0, 4.0, 1.0], 100)[:, None]
PLAIN = gaussian_hmm(2, starts=2).fit(X)
HALF = np.full((3, 2), 0.5)
ANSWERS = Judged([7, 8, 12], [1, 2, 3], [0, 1, 1], HALF, [[0.4, 0.6]] * 3, [[1.0, 1.1], [0.9, 1.0]])  # type: ignore[arg-type]


def test_answers_are_saved_to_the_bit_and_cannot_be_written(tmp_path: Path) -> None:
    fitted = replace(PLAIN, judged=ANSWERS)
    fitted.save(tmp_path / "a.npz")
    again = Fitted.load(tmp_path / "a.npz")
    assert again.to_bytes() == fitted.to_bytes()
    assert again.judged is not None
    assert fitted.judged is not None
    for name, one, other in zip(Judged._fields, fitted.judged, again.judged, strict=True):
        assert (one.dtype, one.shape, one.tobytes()) == (other.dtype, other.shape, other.tobytes()), name
        assert not other.flags.writeable, name
    assert again.named(("return", "level")).judged is not None


def test_a_fit_without_them_is_the_file_of_before(tmp_path: Path) -> None:
    PLAIN.save(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz") as file:
        assert not [name for name in file.namelist() if "judged" in name]
        assert b"judged" not in file.read("header.json")
    assert Fitted.load(tmp_path / "a.npz").judged is None
    assert replace(PLAIN, judged=ANSWERS).params.means.tobytes() == PLAIN.params.means.tobytes()


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"classes": [0, 1]}, "judged: 3 bars, 3 times, 2 classes"),
        ({"classes": [0, 1, 2]}, "classes 0..2; wanted 0..1"),
        ({"raw": np.full((3, 3), 0.3)}, "probabilities (3, 3) and (3, 2)"),
        ({"curve": np.zeros(4)}, "a curve of shape (4,)"),
    ],
)
def test_answers_that_do_not_belong_together_are_refused(changes: Any, wanted: str) -> None:
    with pytest.raises(FitError) as caught:
        replace(PLAIN, judged=ANSWERS._replace(**changes))
    assert wanted in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_of_odd_answers_is_refused_in_one_line(tmp_path: Path) -> None:
    replace(PLAIN, judged=ANSWERS).save(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "a.npz") as file:
        held = {name: file.read(name) for name in file.namelist()}
    for name, other in (("classes", "raw"), ("bars", "curve")):
        with zipfile.ZipFile(tmp_path / "b.npz", "w") as file:
            for member, body in (held | {f"judged.{name}.npy": held[f"judged.{other}.npy"]}).items():
                file.writestr(member, body)
        with pytest.raises(FitError, match=r"b\.npz: not a whole fitted model .*judged") as caught:
            Fitted.load(tmp_path / "b.npz")
        assert "\n" not in str(caught.value)


def test_a_model_may_give_a_fit_of_random_weights() -> None:
    one = Model(lambda _: PLAIN, 2, "a", settings=(1,), untrained=lambda _: PLAIN)
    assert one.untrained is not None
    assert one.untrained(2) is PLAIN
    assert "untrained" not in repr(one)
    assert Model(one.learn, 2, "a", settings=(1,)) == one
    assert Model(one.learn, 2, "a").untrained is None
