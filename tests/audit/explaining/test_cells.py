"""What an answer hangs on: a planted cause is named by feature and lag, and nothing else; a random net names none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from barograph.audit.explaining.asking import LAGS, Asker, length_of, stretches
from barograph.audit.explaining.cells import ENOUGH, Map, occlusion, saliency, shifted
from barograph.errors import PartError
from barograph_models.delay import delay
from barograph_models.dwell import dwell
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.logistic import logistic
from barograph_models.neural_hmm import neural_hmm
from barograph_models.student_panel import student_panel
from tests.kit.windowed import LENGTH, learned_net, random_net
from tests.models.test_classifiers import given

FEATURES, LAG, CAUSE = 4, 7, 2
MAPS = (occlusion, saliency)
random = np.random.default_rng(11)
X = random.standard_normal((4000, FEATURES))
# The class of a bar hangs on one feature, seven bars ago.
Y = np.zeros(len(X), dtype=np.int64)
Y[LAG:] = X[:-LAG, CAUSE] > 0.5


def _rows(first: int, last: int, count: int = 200) -> Any:
    return stretches(X, np.linspace(first, last - 1, count).astype(np.int64), LENGTH)


def _asked(of: Callable[..., Map], fitted: Any, classes: Any = Y) -> Map:
    rows, bars = _rows(2000, 4000)
    return of(Asker(fitted, len(rows)), rows, np.zeros(FEATURES), classes[bars])


@pytest.fixture(scope="module")
def learned() -> Any:
    return learned_net(X[:2000], Y[:2000])


@pytest.mark.parametrize("of", MAPS)
def test_a_planted_cause_is_named_by_feature_and_lag_and_nothing_else(of: Any, learned: Any) -> None:
    found = _asked(of, learned)
    assert found.named == ((CAUSE, LAG),)
    assert divmod(int(found.size.argmax()), LENGTH) == (CAUSE, LAG)
    assert found.worth is not None
    assert found.worth[CAUSE, LAG] > 1.2 * found.limit


@pytest.mark.parametrize("of", MAPS)
def test_a_learned_net_asked_about_other_labels_names_nothing(of: Any, learned: Any) -> None:
    assert _asked(of, learned, (random.random(len(X)) < 0.3).astype(np.int64)).named == ()


def _named(nets: int) -> dict[str, int]:
    return {of.__name__: sum(bool(_asked(of, random_net(n, FEATURES)).named) for n in range(nets)) for of in MAPS}


def test_a_random_net_names_none() -> None:
    assert max(_named(20).values()) <= 1


@pytest.mark.long
def test_of_a_hundred_random_nets_95_name_none() -> None:
    assert max(_named(100).values()) <= 5


def test_more_rows_make_the_limit_no_lower() -> None:
    limits = []
    for count in (ENOUGH, 4 * ENOUGH):
        rows, bars = _rows(100, 4000, count)
        limits.append(occlusion(Asker(random_net(3, FEATURES), count), rows, np.zeros(FEATURES), Y[bars]).limit)
    assert limits[1] == pytest.approx(limits[0], rel=0.4)


def test_without_classes_there_is_a_map_and_no_name(learned: Any) -> None:
    rows, _ = _rows(2000, 4000, 30)
    found = occlusion(Asker(learned, 30), rows, np.zeros(FEATURES))
    assert (found.worth, found.named) == (None, ())
    assert divmod(int(found.size.argmax()), LENGTH) == (CAUSE, LAG)
    few = occlusion(Asker(learned, 30), rows, np.zeros(FEATURES), np.zeros(30, dtype=np.int64))
    assert few.named == ()


def test_the_slope_is_that_of_the_filter() -> None:
    fitted, (rows, _) = random_net(1, FEATURES), _rows(100, 4000, 5)
    found = saliency(Asker(fitted, 5), rows, np.zeros(FEATURES), reach=0.001)
    # By hand, of one cell: softmax(V' tanh(W' x)) has a derivative on paper.
    W, V = np.asarray(fitted.params.W), np.asarray(fitted.params.V)
    cell, sizes = (LENGTH - 1 - 4) * FEATURES + 1, []
    for row in rows.reshape(5, -1):
        h = np.tanh(row @ W)
        z = np.exp(h @ V)
        p, inner = z / z.sum(), ((1 - h**2) * W[cell]) @ V
        slope = p * (inner - p @ inner)
        sizes.append(abs(slope[p.argmax()] * row[cell]))
    assert found.size[1, 4] == pytest.approx(np.mean(sizes), rel=1e-5)


@pytest.mark.parametrize("which", ["net", "hmm"])
def test_many_stretches_at_once_are_each_alone_to_the_bit(which: str) -> None:
    fitted = random_net(0, FEATURES) if which == "net" else gaussian_hmm(2, starts=1).fit(X[:500])
    length = length_of(fitted)
    assert length == (LENGTH if which == "net" else LAGS)
    rows, _ = stretches(X, np.arange(100, 130, 5), length)
    alone = np.array([fitted.filter_path(of).probs[-1] for of in rows])
    ask = Asker(fitted, len(rows))
    assert ask(rows).tobytes() == alone.tobytes()
    # Each question begins where the filter begins, and not where the last one ended.
    short = rows[:, -2:]
    assert ask(short).tobytes() == np.array([fitted.filter_path(of).probs[-1] for of in short]).tobytes()


def test_a_window_is_of_whole_rows() -> None:
    holed = X[:300].copy()
    holed[[150, 160], [0, 3]] = np.nan
    fitted = random_net(0, FEATURES)
    rows, bars = stretches(holed, np.arange(300), LENGTH)
    assert set(bars.tolist()) == set(range(LENGTH - 1, 300)) - {150, 160}
    path = fitted.filter_path(holed).probs[bars]
    assert Asker(fitted, len(rows))(rows).tobytes() == path.tobytes()


def test_shifts_keep_what_follows_what_and_leave_the_nearest_out() -> None:
    rows = np.arange(100.0)
    found = shifted(rows)
    assert len(found) == 91
    assert all(np.array_equal(np.sort(of), rows) and np.abs(of - rows).min() >= 5 for of in found)


def test_rows_of_other_features_and_panels_are_refused_in_one_line() -> None:
    with pytest.raises(PartError, match=r"rows of shape \(3, 5, 2\); wanted \(3, n, 4\) of x0, x1, x2, x3"):
        Asker(random_net(0, FEATURES), 3)(np.zeros((3, 5, 2)))
    panel = student_panel(2, starts=1).fit({"A": X[:300, :1], "B": X[300:600, :1] * 2.0})
    with pytest.raises(PartError, match="is of several assets; ask the fit of one"):
        Asker(panel, 3)


def test_a_model_over_a_window_model_is_asked_over_its_window_and_what_it_is_late() -> None:
    classes = (X[:1500, 0] > 0.0).astype(np.int64)
    inner = logistic(given(classes), window=5)
    assert length_of(inner.fit(X[:1500])) == 5
    assert length_of(neural_hmm(inner).fit(X[:1500])) == 5
    assert length_of(dwell(neural_hmm(inner)).fit(X[:1500])) == 5
    late = delay(inner, 3).fit(X[:1500])
    assert length_of(late) == 5 + len(late.family.init(late.params).ring)
