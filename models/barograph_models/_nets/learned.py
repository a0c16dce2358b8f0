"""A net as a classifier: what all three have in common beside their kernels."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, Final

from barograph.regimes.family import Family
from barograph.regimes.fitted import Model
from barograph_models._classify.labels import Labels
from barograph_models._classify.learning import Classifier, Learned, Task, classifier
from barograph_models._classify.settings import check_shared
from barograph_models._nets.modules import Kind, blank
from barograph_models._nets.timing import seconds_of_windows
from barograph_models._nets.training import Training, checked

__all__ = ["LEAST", "net"]

LEAST: Final = 1_000
"""Labelled rows that a net is learned from: of 280 one made a constant answer."""


def net(
    kind: Kind, family: Family, sizes: Any, how: Training, train: Callable[[Task], Learned], labels: Labels,
    calibrate: str, weights: str, oversample: str, seed: int,
    takes: Callable[[int, int, int], float] | None = None,
) -> Model:  # fmt: skip
    """Return the model; a tenth of the rows is held out, chooses the epoch, and is what it is judged and calibrated on.

    ``takes(K, rows, d)`` are about the seconds of a fit, where it does not learn from windows.
    Raises `ConfigError` for settings that cannot be meant.
    """
    check_shared(kind.name, labels, sizes.window, calibrate, weights, oversample, seed)
    checked(kind.name, how, sizes.dropout)
    made = f"weights are of one seed, {seed}: another makes others, and so does another kind of processor"
    what = Classifier(
        kind.name, family, train, partial(blank, kind, sizes), sizes.window, LEAST, once=True, calibrate=calibrate,
        weights=weights, seed=seed, instead=", or take logistic or forest, which learn from 200", notes=(made,),
        takes=takes or partial(seconds_of_windows, kind, sizes, how),
    )  # fmt: skip
    return classifier(what, labels)
