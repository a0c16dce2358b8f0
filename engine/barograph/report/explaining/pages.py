"""The page of explained fits: one below the other, and above them the table that sets several side by side."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from barograph.audit.explaining.cells import FEWEST, Map
from barograph.audit.explaining.explained import Explained, Scores
from barograph.report.explaining.contents import names_of
from barograph.report.explaining.figures import explained_figures
from barograph.report.explaining.runs import Told
from barograph.report.figures import LINES, Figure
from barograph.report.tables import Row, Table
from barograph.report.words import number, percent

__all__ = ["COMPARED", "JUDGED", "brief", "explained_page", "judged_table", "judged_words", "lined_up"]

COMPARED = ("model", "rows", "accuracy", "balanced accuracy", "macro-F1", "Brier", "log score", "calibration error",
            "always the majority")  # fmt: skip
JUDGED = ("fit", "held out", "balanced accuracy", "of the majority", "macro-F1", "Brier", "error before", "error after")


def explained_page(told: Sequence[Told]) -> tuple[dict[str, Figure], dict[str, Any]]:
    """Return the figures and the words of a page about fits, each with what to call it."""
    figures: dict[str, Figure] = {}
    for place, one in enumerate(told):
        figures |= explained_figures(one.found, place)
    models = [_words(one, place) for place, one in enumerate(told)]
    title = " · ".join(one.name for one in told)
    return figures, {"title": title, "models": models, "table": lined_up(told) if len(told) > 1 else None}


def lined_up(told: Sequence[Told]) -> Table:
    """Return several explained fits side by side, a row each; what was never judged has no figures."""
    rows = []
    for n, one in enumerate(told):
        scores = one.found.scores
        cells = ("–",) * (len(COMPARED) - 1) if scores is None else _overall(scores)
        rows.append(Row((one.name, *cells), colour=LINES[n % len(LINES)]))
    return Table(COMPARED, rows, texts=("model",))


def _overall(scores: Scores) -> tuple[str, ...]:
    of, always = scores.answers, scores.always
    small = (number(value, 3) for value in (of.macro_f1, of.brier, of.log_score, scores.calibrated.error))
    told = f"{percent(always.accuracy)}, macro-F1 {number(always.macro_f1, 3)}, Brier {number(always.brier, 3)}"
    return (number(of.rows, 0), percent(of.accuracy), percent(of.balanced_accuracy), *small, told)


def _words(told: Told, place: int) -> dict[str, Any]:
    found = told.found
    fitted, asked = found.fitted, found.asked
    return {
        "name": told.name,
        "every": judged_table(told.fits) if len(told.fits) > 1 else None,
        "place": place,
        "what": f"{fitted.name}, {fitted.regimes} classes, {len(fitted.features)} features, "
        f"fitted on {fitted.observations:,} rows",
        "notes": [*fitted.notes, *found.missing],
        "verdict": "" if found.scores is None else judged_words(found.scores),
        "classes": None if found.scores is None else _by_class(found),
        "asked": "" if asked is None else f"{asked.stretches:,} stretches of {asked.length:,} rows",
        "occlusion": "" if asked is None else _named(asked.occlusion, found),
        "saliency": "" if asked is None else _named(asked.saliency, found),
        "calibration": "" if found.scores is None else _calibration(found.scores),
        "profile": "" if asked is None else _profile(found),
    }


def judged_table(fits: Sequence[dict[str, Any]]) -> Table:
    """Return a row a fit of its held-out scores; `fits` hold `ts` and `scores`, as explain.json does."""
    rows = []
    for fit in fits:
        of = fit["scores"]
        if of is None:
            rows.append(Row((str(fit["ts"])[:10], *["–"] * 7)))
            continue
        errors = (of[f"reliability_{when}"]["expected_calibration_error"] for when in ("before", "after"))
        both = (percent(of["balanced_accuracy"]), percent(of["majority"]["balanced_accuracy"]))
        small = (number(of["macro_f1"], 3), number(of["brier"], 4), *map(percent, errors))
        rows.append(Row((str(fit["ts"])[:10], number(of["rows"], 0), *both, *small)))
    return Table(JUDGED, rows, texts=("fit",))


def judged_words(scores: Scores) -> str:
    """Say what a classifier is worth beside who always answers the most frequent class."""
    of, always = scores.answers, scores.always
    against = f"who always says the most frequent class {percent(always.balanced_accuracy)}"
    first = f"On {of.rows:,} held-out rows its balanced accuracy is {percent(of.balanced_accuracy)}, {against}"
    second = f"it is right in {percent(of.accuracy)}, they in {percent(always.accuracy)}"
    third = f"macro-F1 {number(of.macro_f1, 3)} and {number(always.macro_f1, 3)}"
    better = "better" if of.brier < always.brier else "no better"
    last = f"Its Brier score {number(of.brier, 4)} is {better} than {number(always.brier, 4)} of the classes’ shares"
    return f"{first}; {second}; {third}. {last}."


def brief(told: Told) -> list[str]:
    """Say in a few lines, for a terminal, what the page says of one fit."""
    found, words = told.found, _words(told, 0)
    lines = [f"{told.name}: {words['what']}"]
    lines += [words["verdict"], words["calibration"]] if found.scores is not None else []
    lines += [f"{which.capitalize()}: {words[which]}" for which in ("occlusion", "saliency") if words[which]]
    return [*lines, *(f"  {note}" for note in words["notes"])]


def _by_class(found: Explained) -> Table:
    assert found.scores is not None
    of = found.scores.answers
    each = zip(names_of(found.fitted), of.support.tolist(), of.precision, of.recall, of.f1, strict=True)
    rows = [Row((name, number(n, 0), percent(p), percent(r), number(f, 3))) for name, n, p, r, f in each]
    whole = ("all", number(of.rows, 0), "", percent(of.balanced_accuracy), number(of.macro_f1, 3))
    rows.append(Row(whole, mark="total"))
    return Table(("class", "rows", "precision", "recall", "F1"), rows, texts=("class",))


def _named(of: Map, found: Explained) -> str:
    if of.worth is None:
        return f"No cell is named: that wants {FEWEST} held-out rows whose class is known."
    if not of.named:
        return "No cell is named: none goes with the truth more than twice as far as chance would take all of them."
    cells = [f"{found.fitted.features[j]} {lag} bars ago" if lag else f"{found.fitted.features[j]} at the bar itself"
             for j, lag in of.named[:5]]  # fmt: skip
    more = f", and {len(of.named) - 5} more" if len(of.named) > 5 else ""
    return f"Named, in a frame: {'; '.join(cells)}{more}."


def _calibration(scores: Scores) -> str:
    before, after = scores.raw.error, scores.calibrated.error
    return f"Expected calibration error: {percent(before)} before, {percent(after)} after."


def _profile(found: Explained) -> str:
    assert found.asked is not None
    profile = found.asked.profile
    each = zip(names_of(found.fitted), profile.share.tolist(), strict=True)
    shares = ", ".join(f"{name} {percent(share)}" for name, share in each)
    whose = "the rows that it answers so" if profile.learned is None else "the rows that the fit has as such"
    return f"The mean of each feature over {whose}, in deviations from its mean over all. Answered: {shares}."
