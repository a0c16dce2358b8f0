"""What the guard of classifiers does with windows of 1,000 bars: honest labels are kept, labels of nothing are refused.

Honest labels are the true regimes of the daily world with two; "each bar's own" are the same, mixed up bar by bar; "of
another path" last as long and speak of another world. Windows that hold fewer than 20 bars of a class are left out.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

import barograph as bg
from barograph.data.synthetic import SCENARIOS, draw
from barograph.errors import FitError
from barograph_models._classify.blocks import FEWEST
from barograph_models._classify.labels import Labels
from barograph_models.forest import forest
from barograph_models.logistic import logistic

BARS: Final = 1_000
WARM: Final = 20
MODELS: Final = {"forest": forest, "logistic": logistic}


def seen(returns: Any) -> Any:
    """Return what a volatility classifier looks at: the return, and the deviations of the last 5 and 20 bars."""
    squares = np.cumsum(np.concatenate([[0.0], returns**2]))
    rows = [np.sqrt((squares[n:] - squares[:-n]) / n)[WARM - n + 1 :] for n in (5, WARM)]
    return np.column_stack([returns[WARM:], *rows])


def cases(windows: int, seed: int) -> Iterator[tuple[str, Any, Any]]:
    """Yield a name, the rows, and their labels."""
    random = np.random.default_rng(seed)
    paths, regimes = draw(SCENARIOS["daily2"], BARS + WARM, seed=seed, paths=windows)
    _, others = draw(SCENARIOS["daily2"], BARS + WARM, seed=seed + 1, paths=windows)
    for path, truth, other in zip(paths, regimes[:, WARM:], others[:, WARM:], strict=True):
        labels = {"honest": truth, "each bar's own": random.permutation(truth), "of another path": other}
        for name, of in labels.items():
            if np.bincount(of, minlength=2).min() >= FEWEST:
                yield name, seen(path), of


def judged(model: Any, X: Any, classes: Any) -> str:
    """Return what becomes of a fit."""
    labels = Labels(lambda window: classes[: len(window.rows)], ("calm", "wild"), 0, "given", None)
    try:
        fitted = model(labels).fit(bg.window(X))
    except FitError:
        return "refused"
    return "kept" if fitted.judged is not None else "kept, could not be judged"


def counts(model: Any, windows: int, seed: int) -> dict[str, Counter[str]]:
    """Return how often what became of fits with which labels."""
    found: dict[str, Counter[str]] = {}
    for name, X, classes in cases(windows, seed):
        found.setdefault(name, Counter())[judged(model, X, classes)] += 1
    return found


def main() -> None:
    """Print a table; exit 1 where more than 2 % of the honest are refused, or less than 98 % of what is nothing."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--windows", type=int, default=200)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--model", choices=MODELS, default="forest")
    asked = parser.parse_args()
    found = counts(MODELS[asked.model], asked.windows, asked.seed)
    for name, of in found.items():
        print(f"{name:<16} {of.total():>4} windows: " + ", ".join(f"{n} {what}" for what, n in sorted(of.items())))
    honest, nothing = found["honest"], found["each bar's own"]
    if honest["refused"] > 0.02 * honest.total() or nothing["refused"] < 0.98 * nothing.total():
        raise SystemExit(1)


if __name__ == "__main__":
    main()
