"""How long a fit will take on this machine: told before it begins, from a few steps on made-up rows."""

from __future__ import annotations

import math
import time
from typing import Any, Final

from barograph_models._nets.modules import LSTM, Kind, torch_for
from barograph_models._nets.training import Training, alone

__all__ = ["seconds_carried", "seconds_of_windows"]

_STEPS: Final = 3


def seconds_of_windows(kind: Kind, sizes: Any, how: Training, K: int, rows: int, features: int) -> float:
    """Return about how many seconds it takes to learn from so many windows; raises `FitError` without torch."""
    shape = (how.batch, sizes.window, features)
    return how.epochs * math.ceil(rows / how.batch) * _step(kind, sizes, shape, K, lambda net, x: kind.say(net, x))


def seconds_carried(sizes: Any, how: Training, K: int, rows: int, features: int) -> float:
    """Return the same of an LSTM that is carried on from row to row."""
    shape = (how.batch, how.piece, features)
    steps = how.epochs * math.ceil(rows / (how.batch * how.piece))
    return steps * _step(LSTM, sizes, shape, K, lambda net, x: net["out"](net["cells"](x)[0]).flatten(0, 1))


def _step(kind: Kind, sizes: Any, shape: tuple[int, int, int], K: int, say: Any) -> float:
    """Return the seconds of the quickest of a few steps: forward, backward, and Adam's."""
    torch = torch_for(kind.name)
    with alone(torch, 0):
        net, x = kind.build(sizes, shape[2], K), torch.zeros(shape)
        by, lost, took = torch.optim.Adam(net.parameters()), torch.nn.CrossEntropyLoss(), math.inf
        for _ in range(_STEPS):
            began = time.perf_counter()
            by.zero_grad()
            logits = say(net, x)
            lost(logits, torch.zeros(len(logits), dtype=torch.int64)).backward()
            by.step()
            took = min(took, time.perf_counter() - began)
    return took
