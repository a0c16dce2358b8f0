"""A shipped config with weights drawn at random in place of training: it runs the same, and needs no torch."""

from __future__ import annotations

import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import tomli_w

from barograph.config.build import build, load_history
from barograph.config.load import load
from barograph.loop.run import learn
from barograph.regimes.fitted import Fitted
from barograph_models.kmeans import kmeans

__all__ = ["TRAINED", "with_random_weights"]

TRAINED: Final = ("deepregime", "sequence")
"""The shipped configs whose fits want an extra."""


def with_random_weights(path: Path, folder: Path) -> Path:
    """Write the config into a folder, beside a saved fit that it uses; return where it is."""
    tree = tomllib.loads(path.read_text(encoding="utf-8"))
    weighed(path).save(folder / f"{path.stem}.fit")
    del tree["fit"]
    tree["model"] = {"use": "barograph.regimes:saved", "file": f"{path.stem}.fit"}
    # An answer of chance is nearly always the same one: what is traded on has to move.
    tree["strategy"]["weighting"] = "probability"
    written = folder / path.name
    written.write_text(tomli_w.dumps(tree), encoding="utf-8")
    return written


def weighed(path: Path) -> Fitted:
    """Return a fit of the config's model that knows how its features are scaled; its weights are drawn by chance."""
    config = load(path, [])
    machine = build(config, path.parent)
    scaled: Any = learn(replace(machine, model=kmeans(states=2, starts=1)), load_history(config, path.parent)).params
    model: Any = machine.model
    blank = model.untrained(len(machine.features))
    told = {"centre": scaled.centre, "shrink": scaled.shrink, "temperature": np.full(1, 0.1)}
    return replace(blank, params=blank.params._replace(**told))
