"""How torch trains a net: windows in batches, or the whole past in pieces, with a held-out loss that may choose."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.errors import ConfigError
from barograph.jit.ordered import total
from barograph.types import Floats
from barograph_models._classify.examples import examples, smote
from barograph_models._classify.labels import UNKNOWN
from barograph_models._classify.learning import Learned, Task
from barograph_models._fit.data import check_choice, check_counts, check_positive
from barograph_models._nets.modules import LSTM, Kind, torch_for

__all__ = ["Pieces", "Training", "alone", "checked", "cut", "train_carried", "train_windows"]

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
    """Let torch run on one thread of the processor, from a seed, always alike; afterwards it is as it was found.

    Whatever was asked of torch around it, such as `torch.inference_mode()` or another device, is not asked of a fit.
    """
    with contextlib.ExitStack() as after:
        _restore(torch, after)
        for own in (torch.inference_mode(False), torch.enable_grad(), torch.autocast("cpu", enabled=False)):
            after.enter_context(own)
        if torch.get_default_device().type != "cpu":
            after.enter_context(torch.device("cpu"))
        torch.set_num_threads(1)
        torch.use_deterministic_algorithms(True)
        torch.set_default_dtype(torch.float32)
        torch.set_float32_matmul_precision("highest")
        # `torch.manual_seed` would seed every device, and nobody could give their numbers back.
        torch.default_generator.manual_seed(seed)
        yield


def _restore(torch: Any, after: contextlib.ExitStack) -> None:
    """Have what is the whole process's set again to what it is now."""
    warned = torch.is_deterministic_algorithms_warn_only_enabled()
    after.callback(torch.use_deterministic_algorithms, torch.are_deterministic_algorithms_enabled(), warn_only=warned)
    after.callback(torch.set_num_threads, torch.get_num_threads())
    after.callback(torch.set_default_dtype, torch.get_default_dtype())
    after.callback(torch.set_float32_matmul_precision, torch.get_float32_matmul_precision())
    after.callback(torch.set_rng_state, torch.get_rng_state())


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
    """A sequence of rows cut into N pieces, X (N, piece, d); the classes of what is learned, and of what is held out.

    Both are (N, piece), -1 elsewhere.
    """

    X: Floats
    learned: NDArray[np.int64]
    held: NDArray[np.int64]


def cut(Z: Floats, learned: NDArray[np.int64], held: NDArray[np.int64], piece: int) -> Pieces:
    """Cut rows (T, d) and their classes (T,) into pieces of `piece`; the last is filled up with zeros.

    >>> cut(np.ones((5, 1)), np.zeros(5, dtype=np.int64), np.full(5, -1), 3).learned
    array([[ 0,  0,  0],
           [ 0,  0, -1]])
    """
    T, d = Z.shape
    count = -(-T // piece)
    X, of = np.zeros((count * piece, d)), np.full((2, count * piece), UNKNOWN)
    X[:T], of[0, :T], of[1, :T] = Z, learned, held
    return Pieces(X.reshape(count, piece, d), *of.reshape(2, count, piece))


def train_carried(sizes: Any, how: Training, task: Task) -> Learned:
    """Learn an LSTM that is carried on from row to row over all whole rows, as the filter does.

    Truncated back-propagation: a piece goes on from what the one before left when it was last seen, by weights a little
    older (Kapturowski et al. 2019); a quarter of them begin anew at each epoch. Raises `FitError` where torch is
    missing.
    """
    torch = torch_for(LSTM.name)
    taken = np.isfinite(task.Z).all(axis=1)
    learned, stop = (np.where(which, task.classes, UNKNOWN)[taken] for which in (task.learn, task.stop))
    pieces = cut(task.Z[taken], learned, stop, how.piece)
    with alone(torch, task.seed):
        net = LSTM.build(sizes, task.Z.shape[1], task.K)
        lost = torch.nn.CrossEntropyLoss(
            torch.tensor(task.weights, dtype=torch.float32), ignore_index=UNKNOWN, reduction="sum"
        )
        curve = _descend(torch, net, how, *_in_pieces(torch, net, pieces, lost, how.batch))
        return Learned(LSTM.own(sizes, net), curve)


def _in_pieces(torch: Any, net: Any, pieces: Pieces, lost: Any, batch: int) -> tuple[Any, Any]:
    """Return what goes once through all pieces and learns, and what goes once through those that are held out."""
    X, learned, stop = torch.tensor(pieces.X, dtype=torch.float32), *map(torch.tensor, pieces[1:])
    N, held_in = len(X), torch.tensor(np.flatnonzero((pieces.held != UNKNOWN).any(axis=1)))
    # What the cells held at the end of each piece; before the first, and in the last place, nothing.
    ends = torch.zeros(2, net["cells"].num_layers, N + 1, net["cells"].hidden_size)

    def loss_of(some: Any, begin: Any, Y: Any) -> tuple[Any, float]:
        """Return the summed loss of some pieces, and what it is to be divided by: the summed weight of their rows."""
        said, after = net["cells"](X[some], tuple(ends[:, :, begin]))
        ends[:, :, some] = torch.stack(after).detach()
        labels = Y[some].flatten()
        return lost(net["out"](net["drop"](said)).flatten(0, 1), labels), _weight(lost.weight, labels)

    def epoch(net: Any, step: Any) -> float:
        whole, rows = 0.0, 0.0
        fresh = torch.rand(N) < FRESH
        for some in torch.randperm(N).split(batch):
            loss, weight = loss_of(some, torch.where(fresh[some], N, (some - 1) % (N + 1)), learned)
            if weight > 0.0:
                step(loss / weight)
                whole, rows = whole + loss.item(), rows + weight
        return whole / rows

    def held(net: Any) -> float:
        losses = [loss_of(some, (some - 1) % (N + 1), stop) for some in held_in.split(_AT_ONCE)]
        whole, rows = 0.0, 0.0
        for loss, weight in losses:
            whole, rows = whole + loss.item(), rows + weight
        return whole / rows if rows > 0.0 else math.nan

    return epoch, held


def _weight(weights: Any, labels: Any) -> float:
    """Return the summed weight of the rows that have a class."""
    counts = labels[labels != UNKNOWN].bincount(minlength=len(weights))
    return float(total(weights.numpy() * counts.numpy()))
