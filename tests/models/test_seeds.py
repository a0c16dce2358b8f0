"""A seed that nothing can be drawn from is one line when a model is made, whatever the model."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import barograph_models
from barograph.errors import ConfigError
from barograph.regimes.fitted import Fitted
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.labels import labels_of

LABELS = labels_of(gaussian_hmm(states=2))


def _factories() -> dict[str, Callable[..., Any]]:
    """Return every factory of a model that takes a seed, by its name."""
    found = {}
    for module in pkgutil.iter_modules(barograph_models.__path__):
        made = getattr(importlib.import_module(f"barograph_models.{module.name}"), module.name, None)
        if callable(made) and "seed" in inspect.signature(made).parameters:
            found[module.name] = made
    return found


FACTORIES = _factories()


def _made(factory: Callable[..., Any], seed: Any) -> Any:
    wants = inspect.signature(factory).parameters
    return factory(**{"labels": LABELS} if "labels" in wants else {}, seed=seed)


def test_those_that_take_one_are_all_asked() -> None:
    assert {"gaussian_hmm", "student_hmm", "kmeans", "forest", "transformer", "panel_mixture"} <= set(FACTORIES)
    assert len(FACTORIES) >= 17


@pytest.mark.parametrize("name", FACTORIES)
@pytest.mark.parametrize("seed", [-1, 2**64, 1.0, 0.5, True, "a", None, float("nan")], ids=repr)
def test_a_seed_that_is_none_is_one_line(name: str, seed: Any) -> None:
    with pytest.raises(ConfigError) as caught:
        _made(FACTORIES[name], seed)
    told = str(caught.value)
    assert told.startswith(f"{name}: seed = {seed!r}")
    assert "a whole number" in told
    assert "\n" not in told


@pytest.mark.parametrize("name", FACTORIES)
def test_a_seed_is_a_whole_number_of_python_or_numpy(name: str) -> None:
    for seed in (0, 2**32 - 1, np.int64(3)):
        _made(FACTORIES[name], seed)


def test_a_fit_by_the_largest_or_a_numpy_seed_is_saved(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((300, 1)) * np.repeat([1.0, 4.0, 1.0], 100)[:, None]
    for seed in (2**64 - 1, np.int64(3)):
        fitted = gaussian_hmm(states=2, starts=1, jobs=1, seed=seed).fit(rows)
        fitted.save(tmp_path / "a.npz")
        assert Fitted.load(tmp_path / "a.npz").seed == seed
