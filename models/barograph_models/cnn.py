"""A convolutional net over the last rows: what shapes have they?"""

from __future__ import annotations

from functools import partial
from typing import Final, Literal

from barograph.errors import ConfigError
from barograph.regimes.fitted import Family, Model
from barograph_models._classify.labels import Labels
from barograph_models._classify.scoring import moments
from barograph_models._fit.data import check_counts
from barograph_models._nets.convolution import CNN_STEPS, CNNParams
from barograph_models._nets.learned import net
from barograph_models._nets.modules import CNN as TORCH
from barograph_models._nets.modules import CNNSizes
from barograph_models._nets.training import Training, train_windows

__all__ = ["CNN", "cnn"]

CNN: Final = Family(f"{__name__}:CNN", CNNParams, *CNN_STEPS, moments, shared=CNNParams._fields[4:])


def cnn(
    labels: Labels,
    window: int = 30,
    filters: int = 64,
    width: int = 3,
    dropout: float = 0.1,
    epochs: int = 15,
    batch: int = 64,
    rate: float = 1e-3,
    clip: float = 1.0,
    keep: Literal["best", "last"] = "best",
    calibrate: Literal["temperature", "isotonic", "none"] = "temperature",
    weights: Literal["none", "root", "balanced"] = "none",
    oversample: Literal["none", "smote"] = "none",
    seed: int = 0,
) -> Model:
    """Two convolutions over the last `window` rows, scaled, rectified and pooled; their mean; a linear layer.

    ``h1 = pool(relu(w1 * x + b1))``, ``h2 = pool(relu(w2 * h1 + b2))``, P = softmax(v mean(h2) + c): `filters` filters
    that span `width` rows, zeros before and after, the larger of every two rows kept. Learned by torch (extra `deep`)
    in float32, scored without it in float64: a window of 60 rows takes 35 µs.

    `epochs`, `batch`, `rate`, `clip`, `keep` and `dropout` say how it learns: docs/models.md has
    them, and docs/classifiers.md what all classifiers share.

    ``fit(window)`` takes rows (T, d), NaN where missing. It raises `FitError` for fewer than 1,000 labelled rows, or 20
    of a class, where torch is missing, and where what was learned tells nothing of held-out rows.

    Y. LeCun et al., *Gradient-Based Learning Applied to Document Recognition*, Proc. IEEE 86 (1998).

    >>> import numpy as np
    >>> from barograph_models.gaussian_hmm import gaussian_hmm
    >>> from barograph_models.labels import labels_of
    >>> fitted = cnn(labels_of(gaussian_hmm(states=2)), window=8, filters=4).untrained(2)
    >>> fitted.filter_path(np.ones((9, 2))).probs.shape, fitted.params.first.shape
    ((9, 2), (6, 4))
    """
    check_counts("cnn", filters=filters, width=width)
    if window < 4 or width % 2 == 0:
        raise ConfigError(f"cnn: window = {window!r}, width = {width!r}; wanted 4 rows at least, and an odd width")
    sizes, how = CNNSizes(window, filters, width, dropout), Training(epochs, batch, rate, clip, keep)
    train = partial(train_windows, TORCH, sizes, how, oversample)
    return net(TORCH, CNN, sizes, how, train, labels, calibrate, weights, oversample, seed)
