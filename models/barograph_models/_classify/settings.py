"""Settings that all classifiers take alike, checked."""

from __future__ import annotations

from typing import Any, Final

from barograph.errors import ConfigError
from barograph_models._classify.calibration import CALIBRATIONS
from barograph_models._classify.labels import Labels
from barograph_models._fit.data import check_choice, check_counts

__all__ = ["OVERSAMPLING", "WEIGHTS", "check_shared"]

WEIGHTS: Final = ("none", "root", "balanced")
OVERSAMPLING: Final = ("none", "smote")


def check_shared(
    name: str, labels: Any, window: int, calibrate: str, weights: str, oversample: str = "none", seed: int = 0
) -> None:
    """Raise `ConfigError` naming the first setting that cannot be meant."""
    if not isinstance(labels, Labels):
        told = f"labels = {labels!r}; wanted label_file(...) or labels_of(...) of barograph_models.labels"
        raise ConfigError(f"{name}: {told}")
    check_counts(name, window=window)
    if not 0 <= seed < 2**32:
        raise ConfigError(f"{name}: seed = {seed!r}; wanted a whole number from 0 and below 2**32")
    check_choice(name, "calibrate", calibrate, CALIBRATIONS)
    check_choice(name, "weights", weights, WEIGHTS)
    check_choice(name, "oversample", oversample, OVERSAMPLING)
    if weights != "none" and oversample != "none":
        raise ConfigError(f"{name}: weights and oversample both mend rare classes; wanted one of them")
