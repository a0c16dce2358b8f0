"""Long short-term memory: over the last rows anew at each, or carried on from row to row."""

from __future__ import annotations

from functools import partial
from typing import Final, Literal

from barograph.errors import ConfigError
from barograph.regimes.fitted import Family, Model
from barograph_models._classify.labels import Labels
from barograph_models._classify.scoring import moments
from barograph_models._fit.data import check_counts
from barograph_models._fit.settings import checked
from barograph_models._nets.learned import net
from barograph_models._nets.modules import LSTM as TORCH
from barograph_models._nets.modules import LSTMSizes
from barograph_models._nets.recurrent import CARRIED_STEPS, LSTM_STEPS, LSTMParams
from barograph_models._nets.timing import seconds_carried
from barograph_models._nets.training import Training, train_carried, train_windows

__all__ = ["LSTM", "LSTM_CARRIED", "lstm"]

LSTM: Final = Family(f"{__name__}:LSTM", LSTMParams, *LSTM_STEPS, moments, shared=LSTMParams._fields[4:])
LSTM_CARRIED: Final = Family(
    f"{__name__}:LSTM_CARRIED", LSTMParams, *CARRIED_STEPS, moments, shared=LSTMParams._fields[4:]
)


@checked
def lstm(
    labels: Labels,
    window: int = 30,
    hidden: int = 64,
    layers: int = 2,
    dropout: float = 0.1,
    carried: bool = False,
    piece: int = 64,
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
    """`layers` layers of `hidden` cells of long short-term memory, and a linear layer on what the last one says.

    Gates ``(i, f, g, o) = w x + u h + b``; ``c = sigmoid(f) c + sigmoid(i) tanh(g)``, ``h = sigmoid(o) tanh(c)``; P =
    softmax(v h + a). It begins with empty cells at the oldest of the last `window` rows, scaled, anew at every bar; or,
    `carried`, at the first row that it sees, and never again: `window` then says nothing, and a bar takes 10 µs with
    two layers of 64 where a window of 60 takes 500. Learned by torch (extra `deep`) in float32, scored without it in
    float64.

    `epochs`, `batch`, `rate`, `clip`, `keep` and `dropout` say how it learns: docs/models.md has
    them, and docs/classifiers.md what all classifiers share. Carried, it learns from `piece` rows at once, each piece
    going on from the one before, and a step is of as many pieces as have `batch` rows.

    ``fit(window)`` takes rows (T, d), NaN where missing. It raises `FitError` for fewer than 1,000 labelled rows, or 20
    of a class, where torch is missing, and where what was learned tells nothing of held-out rows.

    S. Hochreiter & J. Schmidhuber, *Long Short-Term Memory*, Neural Computation 9 (1997).

    >>> import numpy as np
    >>> from barograph_models.gaussian_hmm import gaussian_hmm
    >>> from barograph_models.labels import labels_of
    >>> fitted = lstm(labels_of(gaussian_hmm(states=2)), hidden=4, carried=True).untrained(2)
    >>> fitted.filter_path(np.ones((9, 2))).probs.shape, fitted.params.recurrent.shape
    ((9, 2), (2, 4, 16))
    """
    check_counts("lstm", window=window, hidden=hidden, layers=layers, piece=piece)
    if not carried:
        sizes, how = LSTMSizes(window, hidden, layers, dropout), Training(epochs, batch, rate, clip, keep)
        train = partial(train_windows, TORCH, sizes, how, oversample)
        return net(TORCH, LSTM, sizes, how, train, labels, calibrate, weights, oversample, seed)
    if oversample != "none":
        told = "rows that go on from each other cannot be made up; use weights, or a window"
        raise ConfigError(f"lstm: oversample = {oversample!r} with carried: {told}")
    check_counts("lstm", batch=batch)
    sizes, how = (
        LSTMSizes(1, hidden, layers, dropout),
        Training(epochs, max(1, batch // piece), rate, clip, keep, piece),
    )
    learn = partial(train_carried, sizes, how)
    takes = partial(seconds_carried, sizes, how)
    return net(TORCH, LSTM_CARRIED, sizes, how, learn, labels, calibrate, weights, oversample, seed, takes)
