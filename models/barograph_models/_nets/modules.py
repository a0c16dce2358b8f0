"""The same nets in torch, which trains them, and how their weights become plain arrays; what scores needs no torch.

A kind of net is a tuple of module functions over its sizes, so that a trainer made of it can be told from any other.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from barograph.jit.arithmetic import exp, log
from barograph.types import Floats
from barograph_models._classify.examples import needed

__all__ = [
    "CNN",
    "LSTM",
    "TRANSFORMER",
    "CNNSizes",
    "Kind",
    "LSTMSizes",
    "TransformerSizes",
    "blank",
    "positions",
    "torch_for",
]

LONGEST: Final = 10_000.0
"""The longest wave of the positions, over 2 pi, in rows (Vaswani et al. 2017, 3.5)."""


class Kind(NamedTuple):
    """What a trainer asks of a net of this name: each over the net's own sizes, with d features and K classes.

    ``build(sizes, d, K)`` gives a torch module, ``say(module, x)`` of windows (B, n, d) the logits (B, K), and
    ``own(sizes, module)`` the arrays after the common ones; ``like(sizes, d, K)`` gives such arrays, of zeros but for
    what is not learned.
    """

    name: str
    build: Callable[[Any, int, int], Any]
    say: Callable[[Any, Any], Any]
    own: Callable[[Any, Any], tuple[Floats, ...]]
    like: Callable[[Any, int, int], tuple[Floats, ...]]


class CNNSizes(NamedTuple):
    """Rows looked at, filters of each convolution, rows a filter spans, and the share dropped while learning."""

    window: int
    filters: int
    width: int
    dropout: float


class LSTMSizes(NamedTuple):
    """Rows looked at, cells of a layer, layers, and the share dropped while learning."""

    window: int
    hidden: int
    layers: int
    dropout: float


class TransformerSizes(NamedTuple):
    """Rows looked at, width of a token, layers, heads, width of the feed-forward net, the share dropped in learning."""

    window: int
    width: int
    layers: int
    heads: int
    feed: int
    dropout: float


def torch_for(name: str) -> Any:
    """Return torch. Raises `FitError` naming the model that wants it, and the extra that brings it."""
    return needed("torch", name, "deep")


def _array(weight: Any) -> Floats:
    found: NDArray[Any] = weight.detach().double().numpy()
    return np.ascontiguousarray(found)


def _turned(weight: Any) -> Floats:
    return np.ascontiguousarray(_array(weight).T)


def _build_cnn(sizes: CNNSizes, d: int, K: int) -> Any:
    nn, around = torch_for("cnn").nn, sizes.width // 2
    return nn.ModuleDict(
        {
            "first": nn.Conv1d(d, sizes.filters, sizes.width, padding=around),
            "second": nn.Conv1d(sizes.filters, sizes.filters, sizes.width, padding=around),
            "pool": nn.MaxPool1d(2),
            "average": nn.AdaptiveAvgPool1d(1),
            "drop": nn.Dropout(sizes.dropout),
            "out": nn.Linear(sizes.filters, K),
        }
    )


def _say_cnn(net: Any, x: Any) -> Any:
    one = net["pool"](net["first"](x.transpose(1, 2)).relu())
    two = net["pool"](net["second"](one).relu())
    return net["out"](net["drop"](net["average"](two)[..., 0]))


def _own_cnn(sizes: CNNSizes, net: Any) -> tuple[Floats, ...]:
    def laid(layer: Any) -> tuple[Floats, Floats]:
        w = _array(layer.weight)
        return np.ascontiguousarray(w.transpose(2, 1, 0).reshape(-1, w.shape[0])), _array(layer.bias)

    out = net["out"]
    window = np.array([float(sizes.window)])
    return (window, *laid(net["first"]), *laid(net["second"]), _turned(out.weight), _array(out.bias))


def _like_cnn(sizes: CNNSizes, d: int, K: int) -> tuple[Floats, ...]:
    F, width = sizes.filters, sizes.width
    shapes = ((width * d, F), (F,), (width * F, F), (F,), (F, K), (K,))
    return (np.array([float(sizes.window)]), *map(np.zeros, shapes))


def _build_lstm(sizes: LSTMSizes, d: int, K: int) -> Any:
    nn = torch_for("lstm").nn
    between = sizes.dropout if sizes.layers > 1 else 0.0
    return nn.ModuleDict(
        {
            "cells": nn.LSTM(d, sizes.hidden, sizes.layers, batch_first=True, dropout=between),
            "drop": nn.Dropout(sizes.dropout),
            "out": nn.Linear(sizes.hidden, K),
        }
    )


def _say_lstm(net: Any, x: Any) -> Any:
    return net["out"](net["drop"](net["cells"](x)[0][:, -1]))


def _own_lstm(sizes: LSTMSizes, net: Any) -> tuple[Floats, ...]:
    cells, out = net["cells"], net["out"]
    ins = [_turned(getattr(cells, f"weight_ih_l{k}")) for k in range(sizes.layers)]
    between = np.array(ins[1:]).reshape(sizes.layers - 1, sizes.hidden, 4 * sizes.hidden)
    again = np.array([_turned(getattr(cells, f"weight_hh_l{k}")) for k in range(sizes.layers)])
    biases = [_array(getattr(cells, f"bias_ih_l{k}")) + _array(getattr(cells, f"bias_hh_l{k}"))
              for k in range(sizes.layers)]  # fmt: skip
    window = np.array([float(sizes.window)])
    return (window, ins[0], between, again, np.array(biases), _turned(out.weight), _array(out.bias))


def _like_lstm(sizes: LSTMSizes, d: int, K: int) -> tuple[Floats, ...]:
    H, L = sizes.hidden, sizes.layers
    shapes: tuple[tuple[int, ...], ...] = ((d, 4 * H), (L - 1, H, 4 * H), (L, H, 4 * H), (L, 4 * H), (H, K), (K,))
    return (np.array([float(sizes.window)]), *map(np.zeros, shapes))


def positions(window: int, width: int) -> Floats:
    """Return where each of `window` rows stands, (window, width): waves of ever longer periods (Vaswani et al. 2017).

    ``sin(t / 10000**(2 i / width))`` in column 2 i, the cosine in 2 i + 1.

    >>> positions(2, 4).round(3)
    array([[0.   , 1.   , 0.   , 1.   ],
           [0.841, 0.54 , 0.01 , 1.   ]])
    """
    found = np.zeros((window, width))
    for j in range(0, width, 2):
        found[:, j], turned = _waves(exp(-log(LONGEST) * j / width), window)
        if j + 1 < width:
            found[:, j + 1] = turned
    return found


def _waves(step: float, count: int) -> tuple[Floats, Floats]:
    """Return sine and cosine of 0, step, 2 step, ..., by one turn after another: no library's last bit is in them."""
    sine, cosine = _sine_cosine(step)
    sines, cosines = np.zeros(count), np.ones(count)
    for t in range(1, count):
        sines[t] = sines[t - 1] * cosine + cosines[t - 1] * sine
        cosines[t] = cosines[t - 1] * cosine - sines[t - 1] * sine
    return sines, cosines


def _sine_cosine(x: float) -> tuple[float, float]:
    """Return sine and cosine of x in [0, 1], by their series."""
    sine, cosine, term = 0.0, 0.0, 1.0
    for n in range(24):
        signed = term if n % 4 < 2 else -term
        if n % 2:
            sine += signed
        else:
            cosine += signed
        term *= x / (n + 1)
    return sine, cosine


def _build_transformer(sizes: TransformerSizes, d: int, K: int) -> Any:
    torch = torch_for("transformer")
    nn = torch.nn
    layer = nn.TransformerEncoderLayer(sizes.width, sizes.heads, sizes.feed, sizes.dropout, batch_first=True)
    net = nn.ModuleDict(
        {
            "entry": nn.Linear(d, sizes.width),
            "layers": nn.TransformerEncoder(layer, sizes.layers, enable_nested_tensor=False),
            "drop": nn.Dropout(sizes.dropout),
            "out": nn.Linear(sizes.width, K),
        }
    )
    where = torch.tensor(positions(sizes.window, sizes.width), dtype=torch.get_default_dtype())
    net.register_buffer("positions", where)
    return net


def _say_transformer(net: Any, x: Any) -> Any:
    return net["out"](net["drop"](net["layers"](net["entry"](x) + net.positions)[:, -1]))


def _own_transformer(sizes: TransformerSizes, net: Any) -> tuple[Floats, ...]:
    layers, entry, out = net["layers"].layers, net["entry"], net["out"]

    def each(name: str, turn: bool = False) -> Floats:
        found = [layer.get_parameter(name) for layer in layers]
        return np.array([_turned(w) if turn else _array(w) for w in found])

    norms = [each(f"norm{n}.{part}") for n in (1, 2) for part in ("weight", "bias")]
    return (
        np.array([float(sizes.heads)]), positions(sizes.window, sizes.width), _turned(entry.weight), _array(entry.bias),
        each("self_attn.in_proj_weight", True), each("self_attn.in_proj_bias"),
        each("self_attn.out_proj.weight", True), each("self_attn.out_proj.bias"),
        each("linear1.weight", True), each("linear1.bias"), each("linear2.weight", True), each("linear2.bias"),
        np.stack(norms, axis=1), _turned(out.weight), _array(out.bias),
    )  # fmt: skip


def _like_transformer(sizes: TransformerSizes, d: int, K: int) -> tuple[Floats, ...]:
    D, L, F = sizes.width, sizes.layers, sizes.feed
    shapes: tuple[tuple[int, ...], ...] = ((d, D), (D,), (L, D, 3 * D), (L, 3 * D), (L, D, D), (L, D), (L, D, F),
                                           (L, F), (L, F, D), (L, D), (L, 4, D), (D, K), (K,))  # fmt: skip
    return (np.array([float(sizes.heads)]), positions(sizes.window, D), *map(np.zeros, shapes))


def blank(kind: Kind, sizes: Any, d: int, K: int) -> tuple[Floats, ...]:
    """Return a net's arrays with weights drawn by chance, evenly within one over the root of their inputs."""
    random = np.random.default_rng(0)

    def drawn(like: Floats) -> Floats:
        reach = 1.0 / math.sqrt(like.shape[-2] if like.ndim > 1 else 64.0)
        return like if like.any() else reach * (2.0 * random.random(like.shape) - 1.0)

    return tuple(drawn(like) for like in kind.like(sizes, d, K))


CNN: Final = Kind("cnn", _build_cnn, _say_cnn, _own_cnn, _like_cnn)
LSTM: Final = Kind("lstm", _build_lstm, _say_lstm, _own_lstm, _like_lstm)
TRANSFORMER: Final = Kind("transformer", _build_transformer, _say_transformer, _own_transformer, _like_transformer)
