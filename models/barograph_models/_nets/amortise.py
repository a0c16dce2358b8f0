"""Train the weights of `amortised` anew: ``python -m barograph_models._nets.amortise OUT`` (two minutes, torch).

It draws worlds from the declared prior, ever new ones, and learns to tell their regimes from returns alone. No market
is ever seen. The same seed on the same kind of machine gives the same weights.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from barograph.regimes.saving import write
from barograph.types import Floats
from barograph_models._nets.modules import LSTM, LSTMSizes, torch_for
from barograph_models._nets.training import alone
from barograph_models._nets.worlds import INPUTS, MEMORY, PRIOR, inputs_of, worlds

__all__ = ["FIELDS", "SIZES", "Schedule", "learn", "main", "packed"]

FIELDS: Final = ("entry", "between", "recurrent", "bias", "out", "out_bias")
SIZES: Final = LSTMSizes(window=1, hidden=32, layers=1, dropout=0.0)
_YOUNG: Final = 50
"""Returns at the beginning of a world of which nothing is learned: nobody could tell."""


class Schedule(NamedTuple):
    """So many steps of `batch` worlds of `bars` returns, learned in pieces of `piece`; Adam's rate falls to nothing."""

    steps: int = 2_200
    batch: int = 16
    bars: int = 1_500
    piece: int = 250
    rate: float = 5e-3
    seed: int = 0


def learn(how: Schedule) -> tuple[Floats, ...]:
    """Return the weights, in the order of `FIELDS`. Raises `FitError` where torch is missing."""
    torch = torch_for("amortised")
    with alone(torch, how.seed):
        net = LSTM.build(SIZES, INPUTS, 2)
        by = torch.optim.Adam(net.parameters(), how.rate)
        for step in range(how.steps):
            for group in by.param_groups:
                group["lr"] = how.rate * (1.0 - step / how.steps)
            # Seeds of their own: what is drawn to score the weights is drawn from lower ones.
            _learn_worlds(torch, net, by, how, seed=1_000_000 * (how.seed + 1) + step)
        return LSTM.own(SIZES, net)[1:]


def _learn_worlds(torch: Any, net: Any, by: Any, how: Schedule, seed: int) -> None:
    """Go once through new worlds, piece after piece, the cells carried on."""
    drawn, lost = worlds(how.batch, how.bars, seed), torch.nn.CrossEntropyLoss()
    X, Y = torch.tensor(inputs_of(drawn.returns), dtype=torch.float32), torch.tensor(drawn.regimes)
    carried = None
    for first in range(0, how.bars, how.piece):
        said, carried = net["cells"](X[:, first : first + how.piece], carried)
        carried = tuple(cells.detach() for cells in carried)
        young = _YOUNG if first == 0 else 0
        logits, classes = net["out"](said[:, young:]), Y[:, first + young : first + how.piece]
        by.zero_grad()
        lost(logits.flatten(0, 1), classes.flatten()).backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        by.step()


def packed(weights: tuple[Floats, ...], how: Schedule) -> bytes:
    """Return the file: a zip of plain arrays that numpy reads without pickle, and of what they were learned from."""
    about = {"made by": "python -m barograph_models._nets.amortise", "prior": PRIOR, "memory": MEMORY,
             "schedule": how._asdict()}  # fmt: skip
    whole = io.BytesIO()
    with zipfile.ZipFile(whole, "w") as file:
        members = {"about.json": json.dumps(about, indent=1).encode()}
        for name, weight in zip(FIELDS, weights, strict=True):
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, weight, allow_pickle=False)
            members[f"{name}.npy"] = buffer.getvalue()
        for name, body in members.items():
            # A fixed date: otherwise the same weights saved twice would differ.
            file.writestr(zipfile.ZipInfo(name, date_time=(1980, 1, 1, 0, 0, 0)), body)
    return whole.getvalue()


def main() -> None:
    """Train, write the file, and print its digest, which stands in `barograph_models.amortised`."""
    default = Schedule()
    parser = argparse.ArgumentParser(
        prog="amortise", description="Train the weights of `amortised` on simulated worlds."
    )
    parser.add_argument("out", type=Path, help="the file to write, such as amortised.npz")
    parser.add_argument("--steps", type=int, default=default.steps, help="of the optimiser's, each on new worlds")
    parser.add_argument("--seed", type=int, default=default.seed)
    asked = parser.parse_args()
    how = default._replace(steps=asked.steps, seed=asked.seed)
    data = packed(learn(how), how)
    write(asked.out, data)
    print(hashlib.sha256(data).hexdigest())


if __name__ == "__main__":
    main()
