"""A Transformer over the last rows: which of them matter to which?"""

from __future__ import annotations

from functools import partial
from typing import Final, Literal

from barograph.errors import ConfigError
from barograph.regimes.fitted import Family, Model
from barograph_models._classify.labels import Labels
from barograph_models._classify.scoring import moments
from barograph_models._fit.data import check_counts
from barograph_models._fit.settings import checked
from barograph_models._nets.attention import TRANSFORMER_STEPS, TransformerParams
from barograph_models._nets.learned import net
from barograph_models._nets.modules import TRANSFORMER as TORCH
from barograph_models._nets.modules import TransformerSizes
from barograph_models._nets.training import Training, train_windows

__all__ = ["TRANSFORMER", "transformer"]

TRANSFORMER: Final = Family(
    f"{__name__}:TRANSFORMER", TransformerParams, *TRANSFORMER_STEPS, moments, shared=TransformerParams._fields[4:]
)


@checked
def transformer(
    labels: Labels,
    window: int = 60,
    width: int = 64,
    layers: int = 2,
    heads: int = 4,
    feed: int = 128,
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
    """A Transformer's encoder over the last `window` rows, scaled, of which the last token is read.

    ``z = w x + b + position``, then `layers` times ``z = norm(z + attention(z))``, ``z = norm(z + v relu(u z))``; P =
    softmax(c z_last). A token is `width` numbers, its position waves of sines and cosines, attention has `heads` heads
    of ``softmax(q k / sqrt(width / heads)) v``, u is `feed` wide. Learned by torch (extra `deep`) in float32, scored
    without it in float64: as it is by default, a bar takes 0.4 ms
    with six features and three classes, which have 67,587 weights.

    `epochs`, `batch`, `rate`, `clip`, `keep` and `dropout` say how it learns: docs/models.md has
    them, and docs/classifiers.md what all classifiers share.

    ``fit(window)`` takes rows (T, d), NaN where missing. It raises `FitError` for fewer than 1,000 labelled rows, or 20
    of a class, where torch is missing, and where what was learned tells nothing of held-out rows.

    A. Vaswani et al., *Attention Is All You Need*, NeurIPS 2017.

    >>> import numpy as np
    >>> from barograph_models.gaussian_hmm import gaussian_hmm
    >>> from barograph_models.labels import labels_of
    >>> model = transformer(labels_of(gaussian_hmm(states=2)), window=6, width=8, layers=1, heads=2, feed=4)
    >>> fitted = model.untrained(2)
    >>> fitted.filter_path(np.ones((9, 2))).probs.shape, fitted.params.look.shape
    ((9, 2), (1, 8, 24))
    """
    check_counts("transformer", width=width, layers=layers, heads=heads, feed=feed)
    if width % heads:
        raise ConfigError(f"transformer: width = {width!r} and heads = {heads!r}; wanted a width that they divide")
    sizes, how = (
        TransformerSizes(window, width, layers, heads, feed, dropout),
        Training(epochs, batch, rate, clip, keep),
    )
    train = partial(train_windows, TORCH, sizes, how, oversample)
    return net(TORCH, TRANSFORMER, sizes, how, train, labels, calibrate, weights, oversample, seed)
