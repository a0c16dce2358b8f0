"""A search by Optuna: points are asked for in batches, and it is told their figures; for one seed the same ones."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

__all__ = ["NEEDS", "open_search"]

NEEDS: Final = ("optuna",)


def open_search(keys: Mapping[str, Any], seed: int, sampler: str) -> BySampler:
    """Return a search over keys: lists of values, or spans as [sweep] has them."""
    return BySampler(keys, seed, sampler)


class BySampler:
    """Optuna's ask and tell; a figure is made as large as can be."""

    def __init__(self, keys: Mapping[str, Any], seed: int, sampler: str) -> None:
        import optuna

        # Every trial of it would be a line on the error stream.
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._optuna, self._keys = optuna, dict(keys)
        self._over = {key: _distribution(optuna, values) for key, values in keys.items()}
        self._study = optuna.create_study(direction="maximize", sampler=_sampler(optuna, sampler, seed))
        self._asked: list[Any] = []

    def ask(self, count: int) -> list[tuple[Any, ...]]:
        """Return the values of the next points."""
        self._asked = [self._study.ask(self._over) for _ in range(count)]
        return [tuple(self._value(key, trial.params[key]) for key in self._keys) for trial in self._asked]

    def tell(self, figures: Sequence[float | None]) -> None:
        """Take the figures of the points asked for last; a point without one has failed."""
        failed = self._optuna.trial.TrialState.FAIL
        for trial, figure in zip(self._asked, figures, strict=True):
            self._study.tell(trial, figure, state=failed if figure is None else None)

    def _value(self, key: str, drawn: Any) -> Any:
        values = self._keys[key]
        if isinstance(values, list):
            return values[drawn]
        # As people write it, and as a grid has it.
        return drawn if isinstance(drawn, int) else float(f"{drawn:.12g}")


def _distribution(optuna: Any, values: Any) -> Any:
    """Return what Optuna draws from: places in a list, or numbers of a span."""
    if isinstance(values, list):
        return optuna.distributions.CategoricalDistribution(range(len(values)))
    low, high = sorted((values.first, values.last))
    whole = isinstance(low, int) and isinstance(high, int)
    kind = optuna.distributions.IntDistribution if whole else optuna.distributions.FloatDistribution
    return kind(low, high, log=values.scale == "log")


def _sampler(optuna: Any, name: str, seed: int) -> Any:
    # Points of one batch do not know each other's figures: the liar keeps them apart.
    made: dict[str, Callable[[], Any]] = {
        "tpe": lambda: optuna.samplers.TPESampler(seed=seed, constant_liar=True),
        "random": lambda: optuna.samplers.RandomSampler(seed=seed),
        "qmc": lambda: optuna.samplers.QMCSampler(seed=seed),
    }
    return made[name]()
