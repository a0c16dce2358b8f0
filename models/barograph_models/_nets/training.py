"""How torch trains a net: windows in batches, or the whole past in pieces, with a held-out loss that may choose."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import ConfigError
from barograph.types import Floats
from barograph_models._classify.examples import examples, smote
from barograph_models._classify.labels import UNKNOWN
from barograph_models._classify.learning import Learned, Task
from barograph_models._fit.data import check_choice, check_counts, check_positive
from barograph_models._nets.modules import LSTM, Kind, torch_for

__all__ = ["Pieces", "Training", "alone", "checked", "cut", "learn_pieces", "train_carried", "train_windows"]

FRESH: Final = 0.25
"""The share of pieces that begin with empty cells, as a filter does; the others go on from the piece before."""
_AT_ONCE: Final = 512  # windows that are scored together: more would want more memory, and are no faster


class Training(NamedTuple):
    """How long and how boldly: Adam's `rate` falls on a straight line to nothing over the epochs.

    `batch` windows, or pieces of `piece` rows, make a step; gradients longer than `clip` are shortened to it; `keep`
    is the epoch that is kept, "best" by the loss of what was held out, or "last".
    """

    epochs: int
    batch: int
    rate: float
    clip: float
    keep: str
    piece: int = 250


def checked(name: str, how: Training, dropout: float) -> Training:
    """Return settings that can be meant. Raises `ConfigError` naming the first that cannot."""
    check_counts(name, epochs=how.epochs, batch=how.batch, piece=how.piece)
    check_positive(name, rate=how.rate, clip=how.clip)
    check_choice(name, "keep", how.keep, ("best", "last"))
    if not 0.0 <= dropout < 1.0:
        raise ConfigError(f"{name}: dropout = {dropout!r}, a share from 0 on and below 1 is wanted")
    return how


@contextlib.contextmanager
def alone(torch: Any, seed: int) -> Iterator[None]:
    """Let torch run on one thread, from a seed, always alike; afterwards it is as it was found."""
    threads, random, kind = torch.get_num_threads(), torch.get_rng_state(), torch.get_default_dtype()
    strict, warned = torch.are_deterministic_algorithms_enabled(), torch.is_deterministic_algorithms_warn_only_enabled()
    learned = torch.is_grad_enabled()
    try:
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)
        torch.set_default_dtype(torch.float32)
        torch.set_grad_enabled(True)
        torch.manual_seed(seed)
        yield
    finally:
        torch.set_grad_enabled(learned)
        torch.set_default_dtype(kind)
        torch.use_deterministic_algorithms(strict, warn_only=warned)
        torch.set_rng_state(random)
        torch.set_num_threads(threads)


def _descend(torch: Any, net: Any, how: Training, epoch: Callable[[Any, Any], float], held: Any) -> Floats:
    """Go through the epochs, and leave the net as it was after the one that is kept; return the losses, (epochs, 2).

    ``epoch(net, step)`` goes once through what is learned, calling ``step(loss)``, and returns its mean loss;
    ``held(net)`` is the loss of what was held out, NaN where nothing was: then the last epoch is kept.
    """
    by = torch.optim.Adam(net.parameters(), how.rate)

    def step(loss: Any) -> None:
        by.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), how.clip)
        by.step()

    curve, least, kept = np.full((how.epochs, 2), np.nan), math.inf, None
    for e in range(how.epochs):
        for group in by.param_groups:
            group["lr"] = how.rate * (1.0 - e / how.epochs)
        net.train()
        curve[e, 0] = epoch(net, step)
        net.eval()
        with torch.no_grad():
            curve[e, 1] = held(net)
        if how.keep == "best" and curve[e, 1] < least:
            least, kept = curve[e, 1], {name: w.clone() for name, w in net.state_dict().items()}
    if kept is not None:
        net.load_state_dict(kept)
    return curve


def train_windows(kind: Kind, sizes: Any, how: Training, oversample: str, task: Task) -> Learned:
    """Learn the class of each row that may be learned from the window that ends with it.

    Raises `FitError` where torch, or what oversamples, is missing.
    """
    torch, shape = torch_for(kind.name), (-1, sizes.window, task.Z.shape[1])
    inputs, classes = examples(task, sizes.window, task.learn)
    if oversample == "smote":
        inputs, classes = smote(kind.name, inputs.reshape(len(inputs), -1), classes, task.seed)
    with alone(torch, task.seed):
        net = kind.build(sizes, task.Z.shape[1], task.K)
        lost = torch.nn.CrossEntropyLoss(torch.tensor(task.weights, dtype=torch.float32))

        def of(rows: Any, labels: Any) -> tuple[Any, Any]:
            return torch.tensor(rows.reshape(shape), dtype=torch.float32), torch.tensor(labels)

        X, Y = of(inputs, classes)
        held_X, held_Y = of(*examples(task, sizes.window, task.stop))

        def epoch(net: Any, step: Any) -> float:
            whole = 0.0
            for some in torch.randperm(len(X)).split(how.batch):
                loss = lost(kind.say(net, X[some]), Y[some])
                step(loss)
                whole += loss.item() * len(some)
            return whole / len(X)

        def held(net: Any) -> float:
            if len(held_X) == 0:
                return math.nan
            logits = [kind.say(net, some) for some in held_X.split(_AT_ONCE)]
            return float(lost(torch.cat(logits), held_Y).item())

        curve = _descend(torch, net, how, epoch, held)
        return Learned(kind.own(sizes, net), curve)


class Pieces(NamedTuple):
    """Sequences cut into pieces: rows (N, piece, d), classes (N, piece), -1 where not learned, and whose end each piece
    goes on from, (N,), N where it is the beginning of a sequence.
    """

    X: Floats
    Y: NDArray[np.int64]
    before: NDArray[np.int64]


def cut(X: Floats, Y: NDArray[np.int64], piece: int) -> Pieces:
    """Cut sequences X (S, T, d) and Y (S, T) into pieces of `piece` rows; the last of each is filled up with zeros.

    >>> cut(np.ones((2, 5, 1)), np.zeros((2, 5), dtype=np.int64), 3).before
    array([4, 0, 4, 2])
    """
    S, T, d = X.shape
    count = -(-T // piece)
    rows, classes = np.zeros((S, count * piece, d)), np.full((S, count * piece), UNKNOWN)
    rows[:, :T], classes[:, :T] = X, Y
    before = np.arange(S * count) - 1
    before[::count] = S * count
    return Pieces(rows.reshape(-1, piece, d), classes.reshape(-1, piece), before)


def learn_pieces(torch: Any, net: Any, pieces: Pieces, weights: Floats, how: Training, held: Any) -> Floats:
    """Train an LSTM that is carried on, by truncated back-propagation; return the curve.

    A piece goes on from what the one before left when it was last seen, by weights a little older (Kapturowski et al.
    2019); a quarter of them begin anew at each epoch, as every filter does.
    """
    lost = torch.nn.CrossEntropyLoss(torch.tensor(weights, dtype=torch.float32), ignore_index=UNKNOWN)
    X, Y = torch.tensor(pieces.X, dtype=torch.float32), torch.tensor(pieces.Y)
    before, none, cells = torch.tensor(pieces.before), len(pieces.X), net["cells"]
    # What the cells held at the end of each piece; nothing in the last place.
    ends = torch.zeros(2, cells.num_layers, none + 1, cells.hidden_size)

    def epoch(net: Any, step: Any) -> float:
        whole, rows = 0.0, 0
        begin = torch.where(torch.rand(none) < FRESH, none, before)
        for some in torch.randperm(none).split(how.batch):
            said, after = cells(X[some], tuple(ends[:, :, begin[some]]))
            ends[:, :, some] = torch.stack(after).detach()
            labelled = int((Y[some] != UNKNOWN).count_nonzero())
            if labelled:
                loss = lost(net["out"](net["drop"](said)).flatten(0, 1), Y[some].flatten())
                step(loss)
                whole, rows = whole + loss.item() * labelled, rows + labelled
        return whole / rows

    return _descend(torch, net, how, epoch, held)


def train_carried(sizes: Any, how: Training, task: Task) -> Learned:
    """Learn an LSTM that is carried on from row to row over all whole rows, as the filter does.

    Raises `FitError` where torch is missing.
    """
    torch = torch_for(LSTM.name)
    taken = np.isfinite(task.Z).all(axis=1)
    rows, classes = task.Z[taken], task.classes[taken]
    learned, stop = (np.where(which[taken], classes, UNKNOWN) for which in (task.learn, task.stop))
    with alone(torch, task.seed):
        net = LSTM.build(sizes, task.Z.shape[1], task.K)
        lost = torch.nn.CrossEntropyLoss(torch.tensor(task.weights, dtype=torch.float32), ignore_index=UNKNOWN)
        whole, held_Y = torch.tensor(rows[None], dtype=torch.float32), torch.tensor(stop)

        def held(net: Any) -> float:
            if not (stop != UNKNOWN).any():
                return math.nan
            return float(lost(net["out"](net["cells"](whole)[0][0]), held_Y).item())

        pieces = cut(rows[None], learned[None], how.piece)
        curve = learn_pieces(torch, net, pieces, task.weights, how, held)
        return Learned(LSTM.own(sizes, net), curve)
