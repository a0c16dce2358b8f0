"""Classifiers: what they owe beyond any model, that they are the library's own, that they learn no later label."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import barograph as bg
from barograph.audit.lookahead import audit
from barograph.data.synthetic import SCENARIOS, draw, simulate
from barograph.errors import BarographError, FitError
from barograph.features import log_return, rolling_volatility
from barograph.regimes.fitted import Fitted, Model
from barograph.regimes.judged import UNJUDGED
from barograph.regimes.saving import packed
from barograph.testing import check_model
from barograph.testing.parts import check_machine
from barograph_models._classify.blocks import blocks
from barograph_models._classify.calibration import calibrated, calibration
from barograph_models._classify.examples import examples
from barograph_models._classify.guards import balanced, macro_f1
from barograph_models._classify.labels import Labels
from barograph_models._classify.learning import Learned, Task, classifier
from barograph_models.forest import forest
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.kmeans import kmeans
from barograph_models.labels import label_file, labels_of
from barograph_models.logistic import logistic
from barograph_strategies.regime_filter import regime_filter
from tests.campaigns.guards import counts

HELD = {"width", "probabilities", "future", "steps", "saving", "missing bars", "scale", "shapes", "degeneracies",
        "mixture", "unseen bars"}  # fmt: skip
MAKES: dict[str, Callable[..., Model]] = {"logistic": logistic, "forest": partial(forest, trees=10)}
DAY = 86_400_000_000_000


def given(classes: Any, names: tuple[str, ...] = ("calm", "wild"), purge: int = 0) -> Labels:
    """Return labels that are known, row by row."""
    whole = np.asarray(classes, dtype=np.int64)
    return Labels(lambda seen: whole[: len(seen.rows)], names, purge, "given", None)


def seen(returns: Any) -> Any:
    """Return what a volatility classifier looks at: each return, and the deviation of the last twenty."""
    spread = pd.Series(returns).rolling(20).std(ddof=0).to_numpy()
    return np.column_stack([returns, spread])[20:]


def world(bars: int = 1020, seed: int = 4) -> tuple[Any, NDArray[np.int64]]:
    """Return rows and their true regimes, of a path that holds both."""
    returns, regimes = draw(SCENARIOS["daily2"], bars, seed=seed)
    return seen(returns[0]), regimes[0][20:]


@pytest.mark.parametrize("name", MAKES)
@pytest.mark.parametrize("window", [1, 5])
def test_the_laws_of_a_model(name: str, window: int) -> None:
    model = MAKES[name](labels_of(gaussian_hmm(states=2, starts=2)), window=window)
    assert set(check_model(model, world()[0]).held) == HELD


def library(name: str, task: Task, window: int) -> Any:
    """Return scikit-learn's own, fitted to the same examples."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression

    inputs, classes = examples(task, window, task.learn)
    made = (
        LogisticRegression(max_iter=1000)
        if name == "logistic"
        else RandomForestClassifier(10, max_depth=8, max_leaf_nodes=64, min_samples_leaf=5, random_state=0, n_jobs=1)
    )
    # Weights of one draw other rows than no weights do.
    return made.fit(inputs.reshape(len(inputs), -1), classes, sample_weight=np.ones(len(classes)))


@pytest.mark.parametrize("name", MAKES)
@pytest.mark.parametrize(("window", "K"), [(1, 2), (4, 2), (3, 3)])
def test_scored_as_the_library_scores(name: str, window: int, K: int) -> None:
    """On 1,000 rows, some of them missing, which are skipped by both."""
    random = np.random.default_rng(1)
    classes = np.repeat(random.integers(0, K, 60), 20)
    X = np.column_stack([random.standard_normal(1200) * (1.0 + classes), random.standard_normal(1200) + classes])
    X[random.random(1200) < 0.05, 1] = np.nan
    fitted = MAKES[name](given(classes, tuple("abc"[:K])), window=window, calibrate="none").fit(X)
    Z = (X - fitted.params.centre) * fitted.params.shrink
    whole = np.isfinite(X).all(axis=1)
    rows = whole & (np.cumsum(whole) >= window)
    task = Task(Z, classes, rows, rows, K, np.ones(K), 0)
    inputs, _ = examples(task, window, rows)
    wanted = library(name, task, window).predict_proba(inputs.reshape(len(inputs), -1))
    assert len(wanted) > 1000
    np.testing.assert_allclose(fitted.filter_path(X).probs[rows], wanted, rtol=0, atol=1e-12)


@pytest.mark.parametrize("name", MAKES)
def test_a_row_that_is_missing_moves_the_belief_as_the_classes_move(name: str) -> None:
    X, truth = world()
    fitted = MAKES[name](given(truth)).fit(X)
    X[500] = np.nan
    beliefs = fitted.filter_path(X)
    np.testing.assert_allclose(beliefs.probs[500], beliefs.probs[499] @ fitted.params.transition, atol=1e-15)
    assert beliefs.logpdf[500] == 0.0


def test_before_the_window_is_full_the_belief_is_the_share_of_the_classes() -> None:
    X, truth = world()
    fitted = logistic(given(truth), window=30).fit(X)
    assert (fitted.filter_path(X).probs[:29] == fitted.params.start).all()
    assert not (fitted.filter_path(X).probs[29] == fitted.params.start).all()


@pytest.mark.parametrize("name", MAKES)
def test_a_saved_fit_scores_without_the_library(name: str, tmp_path: Path) -> None:
    X, truth = world()
    fitted = MAKES[name](given(truth), window=3).fit(X)
    fitted.save(tmp_path / "fit.npz")
    np.save(tmp_path / "X.npy", X)
    code = (
        "import sys\nsys.modules['sklearn'] = sys.modules['torch'] = None\n"
        "import numpy as np\nfrom barograph.regimes.fitted import Fitted\n"
        f"fitted = Fitted.load({str(tmp_path / 'fit.npz')!r})\n"
        f"sys.stdout.write(fitted.filter_path(np.load({str(tmp_path / 'X.npy')!r})).probs.tobytes().hex())"
    )
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert bytes.fromhex(done.stdout) == fitted.filter_path(X).probs.tobytes()


@pytest.mark.parametrize("name", MAKES)
def test_without_the_library_learning_says_what_to_install(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    X, truth = world()
    for module in ("sklearn", "sklearn.ensemble", "sklearn.linear_model"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(FitError, match=rf"^{name}: learning needs scikit-learn.*barograph\[classifiers\]$"):
        MAKES[name](given(truth)).fit(X)


@pytest.mark.parametrize("name", MAKES)
@pytest.mark.parametrize(
    "labels",
    [
        labels_of(kmeans(states=2, starts=2)),
        labels_of(gaussian_hmm(states=2, starts=2), when="ahead", horizon=5),
        labels_of(gaussian_hmm(states=2, starts=2), when="smooth", horizon=10),
    ],
    ids=lambda labels: labels.made.split()[-1] + str(labels.purge),
)
def test_the_audit_is_exactly_zero(name: str, labels: Labels) -> None:
    history = simulate(SCENARIOS["daily2"], bars=700, seed=3).history
    found = audit(machine(MAKES[name](labels)), history, cuts=2)
    assert found.clean
    assert found.leaks == ()


def machine(model: Model) -> bg.Machine:
    features = [log_return(), rolling_volatility(20)]
    return bg.Machine(regime_filter(calm=0), features, model, fit=bg.Fit(window=500, every=80))


@pytest.mark.parametrize("name", MAKES)
def test_scan_is_replay_is_live_is_resumed(name: str) -> None:
    history = simulate(SCENARIOS["daily2"], bars=620, seed=3).history
    check_machine(machine(MAKES[name](labels_of(gaussian_hmm(states=2, starts=2)), window=3)), history, cuts=[570])


def dated(tmp_path: Path, classes: Any, first: str = "2015-01-01") -> tuple[Path, Any]:
    """Return a file of labels, a row a day, and the closes of these days."""
    days = pd.date_range(first, periods=len(classes), freq="D", tz="UTC")
    file = tmp_path / "labels.csv"
    names = np.array(["", "calm", "wild"])[np.asarray(classes) + 1]
    pd.DataFrame({"Date": days.strftime("%Y-%m-%d"), "regime": names}).to_csv(file, index=False)
    return file, days.as_unit("ns").asi8 + 20 * DAY // 24


@pytest.mark.parametrize("purge", [0, 1, 7])
def test_a_label_that_was_not_known_moves_no_fit(purge: int, tmp_path: Path) -> None:
    X, truth = world()
    file, ts = dated(tmp_path, truth)
    honest = forest(label_file(file, known_after=purge), trees=5).fit(bg.window(X, ts=ts))
    later = truth.copy()
    later[len(later) - purge :] = 1 - later[len(later) - purge :]
    file, _ = dated(tmp_path, later)
    changed = forest(label_file(file, known_after=purge), trees=5).fit(bg.window(X, ts=ts))
    assert packed(honest) == packed(changed)
    # The last one that was known does move it: the law can fail.
    later[len(later) - purge - 1] = 1 - later[len(later) - purge - 1]
    file, _ = dated(tmp_path, later)
    assert packed(forest(label_file(file, known_after=purge), trees=5).fit(bg.window(X, ts=ts))) != packed(honest)


def test_a_file_is_told_as_not_audited(tmp_path: Path) -> None:
    X, truth = world()
    file, ts = dated(tmp_path, truth)
    fitted = logistic(label_file(file, known_after=5)).fit(bg.window(X, ts=ts))
    assert "labels are of labels.csv, known 5 bars later: made elsewhere, not audited" in fitted.notes
    assert fitted.labels == ("calm", "wild")
    assert fitted.observations == len(X) - 5


def test_labels_of_kmeans_are_marked() -> None:
    assert labels_of(kmeans(states=2)).made == "labels are what kmeans says of the same rows: no truth"


def test_times_match_closes_and_dates_match_days(tmp_path: Path) -> None:
    X, truth = world()
    _, ts = dated(tmp_path, truth)
    tell = [label_file(_of_times(tmp_path, ts, truth), known_after=1), label_file(dated(tmp_path, truth)[0], 1)]
    for labels in tell:
        assert (labels.tell(bg.window(X, ts=ts)) == truth).all()
    # A close at midnight ends the day before; a zone moves the day.
    midnight = ts + DAY // 6
    assert (tell[1].tell(bg.window(X, ts=midnight)) == truth).all()
    tokyo = label_file(dated(tmp_path, truth)[0], 1, time_zone="Asia/Tokyo")
    assert (tokyo.tell(bg.window(X[1:], ts=ts[:-1])) == truth[1:]).all()


@pytest.mark.parametrize("purge", [0, 1, 3])
def test_what_is_said_of_a_day_is_not_known_within_it(purge: int, tmp_path: Path) -> None:
    """Of bars shorter than a day: four a day, seen in the middle of the fifth."""
    file, _ = dated(tmp_path, [0, 1, 0, 1, 0])
    ts = np.arange(18) * (DAY // 4) + pd.Timestamp("2015-01-01").value + DAY // 8
    labels = label_file(file, known_after=purge)
    told = labels.tell(bg.window(np.zeros((18, 1)), ts=ts))
    wanted = np.array([0] * 4 + [1] * 4 + [0] * 4 + [1] * 4 + [-1] * 2)
    # The fourth day was over at bar 15, and bars 16 and 17 are those that have closed since.
    if purge == 3:
        wanted[12:16] = -1
    assert told.tolist() == wanted.tolist()


def test_dates_that_are_no_closes_are_refused(tmp_path: Path) -> None:
    """Of a frame whose index are days: the bar of a midnight is of the day before, and Mondays would have none."""
    days = pd.bdate_range("2015-01-01", periods=300)
    file = tmp_path / "labels.csv"
    pd.DataFrame({"Date": days.strftime("%Y-%m-%d"), "regime": np.arange(300) // 40 % 2}).to_csv(file, index=False)
    labels, X = label_file(file, known_after=0), np.zeros((300, 1))
    with pytest.raises(FitError, match=r"300 rows stamped at midnight are days of the file, .* add the hour at which"):
        labels.tell(bg.window(pd.DataFrame(X, index=days)))
    assert (labels.tell(bg.window(pd.DataFrame(X, index=days + pd.Timedelta("16h")))) == np.arange(300) // 40 % 2).all()


def test_numbers_are_named_and_ordered_as_numbers(tmp_path: Path) -> None:
    days = pd.date_range("2015-01-01", periods=4)
    pd.DataFrame({"Date": days, "regime": pd.array([10, 2, None, 1], "Int64")}).to_parquet(tmp_path / "l.parquet")
    (tmp_path / "l.csv").write_text("Date,regime\n2015-01-01,10\n2015-01-02,2.0\n2015-01-03,\n2015-01-04,1\n")
    for name in ("l.parquet", "l.csv"):
        assert label_file(tmp_path / name, 1).classes == ("1", "2", "10")
    pd.DataFrame({"Date": [days[0], pd.NaT], "regime": [1, 2]}).to_parquet(tmp_path / "l.parquet")
    with pytest.raises(BarographError, match=r"row 2: no time; wanted one in each row"):
        label_file(tmp_path / "l.parquet", 1)


def _of_times(tmp_path: Path, ts: Any, classes: Any) -> Path:
    file = tmp_path / "times.parquet"
    pd.DataFrame({"Date": pd.to_datetime(ts, utc=True), "regime": np.array(["calm", "wild"])[classes]}).to_parquet(file)
    return file


@pytest.mark.parametrize(
    "cell", ["", " ", "NA", "nan", "NaN", "null", "NULL", "none", "None", "N/A", "n/a", "#N/A", "<NA>"]
)
def test_what_stands_for_nothing_is_no_class(cell: str, tmp_path: Path) -> None:
    """In a CSV such a cell is a text: as a class it would be learned."""
    file = tmp_path / "odd.csv"
    file.write_text(f"Date,regime\n2015-01-01,calm\n2015-01-02,{cell}\n2015-01-03,wild\n2015-01-04,{cell}\n")
    labels = label_file(file, known_after=0)
    assert labels.classes == ("calm", "wild")
    assert labels.made.endswith("not audited; 2 of its 4 rows say none")
    days = pd.date_range("2015-01-01 16:00", periods=4)
    assert labels.tell(bg.window(pd.DataFrame(np.zeros((4, 1)), index=days))).tolist() == [0, -1, 1, -1]
    if cell.strip():
        named = label_file(file, known_after=0, classes=("calm", "wild", cell))
        assert named.classes[2] == cell
        assert "say none" not in named.made


BAD_FILES = {
    "Date,regime\n2024-01-02,calm\n2024-01-02,wild\n": r"row 2: the same time as row 1",
    "Date,regime\n2024-01-02,calm\n2024-13-02,wild\n": r"row 2: '2024-13-02'",
    "Date,regime\n01/02/2024,calm\n02/03/2024,wild\n": r"day first",
    "Day,regime\n2024-01-02,calm\n": r"no column 'Date'; found Day, regime",
    "Date,regime\n2024-01-02,calm\n2024-01-03,calm\n": r"has 1 classes; wanted two at least",
    "Date,regime\n": r"has 0 classes",
    "Date,regime\n2024-01-02,a\n2024-01-03T21:00,b\n": r"row 1: '2024-01-02' is a date, and other rows are times",
    "": r"cannot be read \(No columns to parse from file\); wanted a header",
}


@pytest.mark.parametrize("text", BAD_FILES)
def test_a_bad_file_is_one_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.csv"
    file.write_text(text)
    with pytest.raises(BarographError, match=BAD_FILES[text]) as raised:
        label_file(file, known_after=1)
    assert "\n" not in str(raised.value)


BAD_SETTINGS: dict[str, tuple[Callable[[Path], Any], str]] = {
    "no labels": (lambda _file: logistic(None), "wanted label_file"),  # type: ignore[arg-type]
    "window": (lambda _file: forest(labels_of(kmeans(2)), window=0), "forest: window = 0"),
    "calibrate": (lambda _file: forest(labels_of(kmeans(2)), calibrate="temprature"), "did you mean 'temperature'"),  # type: ignore[arg-type]
    "both": (lambda _file: forest(labels_of(kmeans(2)), weights="root", oversample="smote"), "wanted one of them"),
    "horizon": (lambda _file: labels_of(kmeans(2), when="ahead"), "wanted a whole number of bars, at least 1"),
    "now": (lambda _file: labels_of(kmeans(2), horizon=3), "horizon = 3 with when = 'now'; wanted 0"),
    "hindsight": (
        lambda _file: labels_of(logistic(labels_of(kmeans(2))), when="smooth", horizon=5),
        "labels_of: when = 'smooth': logistic tells no path in hindsight; wanted now, ahead, or a model that does",
    ),
    "known": (lambda _file: label_file(_file, known_after=-1), "known_after = -1"),
    "zone": (lambda _file: label_file(_file, 1, time_zone="Mars"), "time_zone = 'Mars' is none"),
    "class": (lambda _file: label_file(_file, 1, classes=("calm", "wide")), "row 2: the class 'wild'; wanted one of"),
    "seed": (lambda _file: forest(labels_of(kmeans(2)), seed=-1), "forest: seed = -1; wanted a whole number from 0"),
    "twice": (lambda file: label_file(file, 1, classes=("calm", "calm", "wild")), "has one twice"),
    "text": (lambda file: label_file(file, 1, classes="calm"), "wanted several names"),  # type: ignore[arg-type]
    "model": (lambda _file: labels_of("hmm"), "labels_of: model = 'hmm'; wanted a model"),  # type: ignore[arg-type]
    "continent": (lambda file: label_file(file, 1, time_zone="America"), "time_zone = 'America' is none"),
    "file": (lambda _file: label_file(_file.with_name("no.csv"), 1), "no file"),
}


@pytest.mark.parametrize("name", BAD_SETTINGS)
def test_a_bad_setting_is_one_line(name: str, tmp_path: Path) -> None:
    make, told = BAD_SETTINGS[name]
    file, _ = dated(tmp_path, [0, 1, 0])
    with pytest.raises(BarographError) as raised:
        make(file)
    assert told in str(raised.value)
    assert "\n" not in str(raised.value)


def test_rows_that_cannot_be_learned_from_are_refused(tmp_path: Path) -> None:
    X, truth = world()
    with pytest.raises(FitError, match=r"^logistic: 150 labelled rows are known, it needs 200: lengthen the window"):
        logistic(given(truth)).fit(X[:150])
    few = np.zeros(len(X), int)
    few[100:119] = 1
    with pytest.raises(FitError, match=r"^forest: 19 of 1000 labelled rows are of 'wild'; wanted 20 at least"):
        forest(given(few), trees=5).fit(X)
    file, _ = dated(tmp_path, truth)
    with pytest.raises(FitError, match=r"the rows have no dates"):
        logistic(label_file(file, 1)).fit(X)
    with pytest.raises(FitError, match=r"none is of the rows from 1990-.*; the file has 2015-01-01 to 2017-"):
        logistic(label_file(file, 1)).fit(bg.window(X, ts=dated(tmp_path, truth, "1990-01-01")[1]))
    X[10, 1] = np.inf
    with pytest.raises(FitError, match=r"feature 1 is infinite in row 10"):
        logistic(given(truth)).fit(X)


def test_rare_classes_are_told() -> None:
    X, _ = world()
    rare = np.zeros(len(X), int)
    rare[300:345] = 1
    X[rare == 1] *= 5.0
    assert "45 rows are of 'wild'" in logistic(given(rare)).fit(X).notes


def constant(share: float) -> Model:
    """Return a classifier that answers its first class at every bar, of labels that are it in `share` of the rows."""
    what, labels = logistic(given(np.arange(1000) % 100 >= 100 * share)).learn.args  # type: ignore[attr-defined]
    train = lambda _: Learned((np.zeros((1, 2, 2)), np.array([1.0, 0.0])), np.zeros((0, 2)))  # noqa: E731
    return classifier(what._replace(train=train), labels)


def test_a_constant_answer_is_refused_with_its_macro_f1() -> None:
    """85 % accuracy and macro-F1 .46: what a published classifier was."""
    X, _ = world()
    with pytest.raises(FitError, match=r"answers one class in 100\.0% .* in 85\.0% \(.*macro-F1 0\.459.*not used$"):
        constant(0.85).fit(X)
    assert macro_f1(np.zeros(1000, int), np.arange(1000) % 100 >= 85, 2) == pytest.approx(0.85 / 1.85)


def test_a_refit_that_is_refused_leaves_the_model_in_force() -> None:
    """The labels stop meaning anything half-way; the run goes on with what was learned before, and tells."""
    history = simulate(SCENARIOS["daily2"], bars=1500, seed=3).history
    random = np.random.default_rng(0)

    def tell(seen: Any) -> Any:
        calm = (np.abs(seen.rows[:, 1]) < np.nanmedian(seen.rows[:, 1])).astype(np.int64)
        return calm if seen.ts[-1] < history.ts[900] else random.integers(0, 2, len(seen.rows))

    labels = Labels(tell, ("wild", "calm"), 0, "given", None)
    run = bg.scan(replace(machine(logistic(labels)), fit=bg.Fit(window=500, every=200)), history)
    assert run.fits[0].refused == ""
    assert "not used" in run.fits[-1].refused
    assert run.fits[-1].fitted is run.fits[-2].fitted


@pytest.mark.parametrize("name", MAKES)
def test_the_guard_keeps_what_is_honest_and_refuses_what_hangs_on_nothing(name: str) -> None:
    """Of a few windows; by the hundred it is `make soak`'s."""
    found = counts(MAKES[name], 4, seed=1)
    assert found["honest"]["refused"] == 0
    assert found["honest"].total() > 2
    assert found["each bar's own"] == {"refused": found["honest"].total()}


def test_what_cannot_be_judged_is_kept_and_told() -> None:
    """One short stretch of a class: held out, too little of it is left to learn from."""
    X, _ = world()
    once = np.zeros(len(X), int)
    once[420:445] = 1
    X[once == 1] *= 5.0
    fitted = logistic(given(once)).fit(X)
    assert fitted.judged is None
    assert any(note.startswith(UNJUDGED) for note in fitted.notes)


def test_moves_are_counted_over_rows_without_a_label() -> None:
    X, truth = world()
    dense, sparse = logistic(given(truth)).fit(X), logistic(given(np.where(np.arange(len(X)) % 4, -1, truth))).fit(X)
    np.testing.assert_allclose(sparse.params.transition, dense.params.transition, atol=0.01)
    X[::2] = np.nan
    np.testing.assert_allclose(logistic(given(truth)).fit(X).params.transition, dense.params.transition, atol=0.01)


def test_labels_that_come_again_are_not_refused_for_it() -> None:
    truth = np.arange(1000) // 20 % 2
    X = np.column_stack([np.random.default_rng(0).standard_normal(1000), truth + 0.0])
    assert logistic(given(truth)).fit(X).params.temperature[0] >= 1.0


def test_blocks_are_purged() -> None:
    classes = np.tile([0, 1], 500)
    found = blocks(classes, np.ones(1000, bool), 2, 10, purge=7)
    assert len(found) == 10
    for block in found:
        first, last = np.flatnonzero(block.held)[[0, -1]]
        assert not block.learn[max(0, first - 7) : last + 8].any()
        assert block.learn.sum() == 1000 - 100 - (7 if first == 0 or last == 999 else 14)


def test_balanced_accuracy_by_hand() -> None:
    classes = np.repeat([0, 1], [80, 20])
    assert balanced(np.zeros(100, int), classes, 2) == (0.5, 2)
    assert balanced(classes, classes, 2) == (1.0, 2)
    # A class of nineteen rows is not judged.
    assert balanced(np.zeros(119, int), np.concatenate([classes, np.full(19, 2)]), 3) == (0.5, 2)


@pytest.mark.parametrize("temperature", [0.5, 2.0])
def test_a_temperature_is_found_again(temperature: float) -> None:
    """Answers that are too sure by a known power: the power is what is learned, and undoes it."""
    random = np.random.default_rng(0)
    true = random.dirichlet([1.0, 1.0, 1.0], 20_000)
    classes = (true.cumsum(axis=1) > random.random((20_000, 1))).argmax(axis=1)
    told = true**temperature
    told /= told.sum(axis=1)[:, None]
    found = calibration("temperature", told, classes)
    assert found.temperature[0] == pytest.approx(temperature, rel=0.05)
    np.testing.assert_allclose(calibrated(told, found), true, atol=0.02)


def test_isotonic_mends_what_no_temperature_can() -> None:
    """Answers that are biased, not too sure."""
    random = np.random.default_rng(0)
    true = random.random(20_000)
    classes = (random.random(20_000) < true).astype(int)
    told = np.column_stack([1.0 - true**3, true**3])
    brier = {how: np.mean((calibrated(told, calibration(how, told, classes))[:, 1] - true) ** 2)
             for how in ("none", "temperature", "isotonic")}  # fmt: skip
    assert brier["isotonic"] < 1e-3 < brier["temperature"]


@pytest.mark.parametrize("how", ["temperature", "isotonic"])
def test_the_step_calibrates_as_the_table_was(how: Any) -> None:
    X, truth = world()
    fitted, raw = (forest(given(truth), trees=10, calibrate=kind).fit(X) for kind in (how, "none"))
    wanted = calibrated(raw.filter_path(X).probs, calibration(how, fitted.judged.raw, fitted.judged.classes))  # type: ignore[union-attr]
    np.testing.assert_allclose(fitted.filter_path(X).probs, wanted, atol=1e-9)


def test_judged_rows_are_calibrated_by_others() -> None:
    """One row's truth changes what is said of other blocks, not of its own."""
    X, truth = world()
    fitted = logistic(given(truth)).fit(X)
    assert fitted.judged is not None
    assert len(fitted.judged.bars) == 1000
    assert (fitted.judged.classes == truth).all()
    alone = {float(t) for block in np.array_split(np.arange(1000), 10)
             for t in [_power(fitted.judged.raw[block], fitted.judged.probs[block])]}  # fmt: skip
    assert len(alone) == 10


def _power(raw: Any, probs: Any) -> Any:
    row = int(np.argmin(np.abs(raw[:, 0] - 0.7)))
    odds = [np.log(p[row, 0] / p[row, 1]) for p in (probs, raw)]
    return round(odds[0] / odds[1], 12)


def test_class_weights_raise_what_is_rare() -> None:
    X, truth = world()
    answers = {how: logistic(given(truth), weights=how, calibrate="none").fit(X).filter_path(X).probs[:, 1].mean()
               for how in ("none", "root", "balanced")}  # type: ignore[arg-type]  # fmt: skip
    assert answers["none"] < answers["root"] < answers["balanced"]


def test_an_untrained_fit_filters() -> None:
    for make in MAKES.values():
        blank = make(labels_of(gaussian_hmm(states=2))).untrained(3)  # type: ignore[misc]
        assert isinstance(blank, Fitted)
        assert np.isfinite(blank.filter_path(np.zeros((5, 3))).probs).all()


def test_runs_of_one_process_learn_the_same_fit_once() -> None:
    one, other = (forest(labels_of(gaussian_hmm(states=2)), trees=7) for _ in range(2))
    assert one.settings == other.settings
    assert one.settings != forest(labels_of(gaussian_hmm(states=2)), trees=8).settings
