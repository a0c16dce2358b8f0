"""The backend `dask`: the bits of one process, whoever ran a point and whoever was killed."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import barograph as bg
from barograph.errors import BarographError, FitError
from barograph.regimes.window import Window
from barograph.testing import some_bars
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_strategies.regime_filter import regime_filter
from tests.cli.test_cli import SMALL, barograph, users_folder
from tests.extras import wants

wants("dask", "distributed", "cloudpickle")

import dask  # noqa: E402
import distributed  # noqa: E402

BARS = some_bars(300, seed=3)
MINE = """
import barograph as bg
from levels import calm_above


@bg.kernel
def _step(state, bars, belief, portfolio, params):
    return state, bg.Target(1.0 if belief.probs[0] > params else 0.0)


def calm(threshold=0.5):
    return bg.strategy(_step, params=calm_above(threshold))
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}), distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None, silence_logs="CRITICAL"
    ) as running:  # fmt: skip
        yield str(running.scheduler_address)


@bg.kernel
def from_a_notebook(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
    return state, bg.Target(params if belief.probs[0] > 0.5 else 0.0)


# As a notebook's cell: no module that a worker could import.
from_a_notebook.py_func.__module__ = "__main__"


def in_a_notebook(weight: float, every: int) -> bg.Machine:
    model = gaussian_hmm(states=2, starts=1)
    return bg.Machine(
        strategy=bg.strategy(from_a_notebook, params=weight), model=model, fit=bg.Fit(window=120, every=every)
    )


def ruined(weight: float, seed: int) -> bg.Machine:
    def step(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
        if bars.close[0] > 0.0 and params == 0.3:
            raise RuntimeError("no such weight")
        return state, bg.Target(params)

    return bg.Machine(strategy=bg.strategy(step, params=weight))


def same(one: Any, other: Any) -> None:
    assert one.table.equals(other.table)
    for name in ("rows", "sums", "beyond", "ended"):
        assert np.array_equal(getattr(one.harvest, name), getattr(other.harvest, name), equal_nan=True), name
    assert one.counters == other.counters


@pytest.mark.parametrize(
    ("make", "keys"),
    [
        (in_a_notebook, {"weight": np.linspace(0.1, 1.0, 70).tolist(), "every": [60, 90]}),
        (ruined, {"weight": [0.2, 0.3, 0.4], "seed": [0]}),
    ],
    ids=["a kernel of a notebook", "plain Python that raises"],
)
def test_the_bits_are_those_of_one_process(cluster: str, make: Callable[..., bg.Machine],
                                           keys: Mapping[str, Sequence[Any]]) -> None:  # fmt: skip
    told: list[tuple[int, int]] = []
    found = bg.sweep(make, keys, BARS, backend="dask", scheduler=cluster, progress=lambda *of: told.append(of))
    same(found, bg.sweep(make, keys, BARS))
    chunks = -(-len(keys["weight"]) // 64) * len(keys[list(keys)[1]])
    assert found.backend == {"name": "dask", "workers": 2, "workers_lost": 0, "chunks_before": 0, "chunks_run": chunks,
                             "chunks_again": 0}  # fmt: skip
    assert told[-1] == (len(found), len(found))


def test_a_config_with_modules_of_its_own(cluster: str, tmp_path: Path) -> None:
    folder = users_folder(tmp_path)
    (folder / "mine.py").write_text(MINE, encoding="utf-8")
    (folder / "levels.py").write_text("def calm_above(threshold):\n    return threshold\n", encoding="utf-8")
    sweep = '\n[sweep]\nkeys = { "strategy.threshold" = [0.3, 0.5, 0.7], "fit.window" = [60, 80] }\n'
    mine = SMALL.replace("barograph_strategies.regime_filter:regime_filter", "mine:calm")
    (folder / "swept.toml").write_text(mine + sweep, encoding="utf-8")
    tables = []
    for more in (("--backend", "compiled"), ("--backend", "dask", "--set", f"sweep.scheduler={cluster}")):
        ran = barograph("sweep", folder / "swept.toml", "--runs", folder / "runs", "--best", "1", "--json", *more)
        assert ran.returncode == 0, ran.stderr
        told = json.loads(ran.stdout)
        tables.append((Path(told["folder"]) / "points.parquet").read_bytes())
    assert tables[0] == tables[1]
    assert told["backend"]["chunks_run"] == 2
    assert not list((folder / "runs").glob(".*"))


def test_what_goes_wrong_over_there_is_told_here(cluster: str) -> None:
    model = gaussian_hmm(states=2, starts=1)

    def learn(window: Window) -> Any:
        raise FitError("it learns nothing")

    def make(threshold: float) -> bg.Machine:
        from barograph.regimes.fitted import Model

        return bg.Machine(strategy=regime_filter(threshold=threshold), fit=bg.Fit(window=120, every=60),
                          model=Model(learn, model.regimes, "mute", model.labels))  # fmt: skip

    with pytest.raises(FitError, match="it learns nothing"):
        bg.sweep(make, {"threshold": [0.4]}, BARS, backend="dask", scheduler=cluster)


def test_points_that_kill_workers_are_named(cluster: str) -> None:
    def make(weight: float) -> bg.Machine:
        def step(state: Any, bars: Any, belief: Any, portfolio: Any, params: Any) -> Any:
            os._exit(3)

        return bg.Machine(strategy=bg.strategy(step, params=weight))

    with pytest.raises(BarographError, match="every worker that ran points 0 to 1 died; run one of them"):
        bg.sweep(make, {"weight": [0.1, 0.2]}, BARS, backend="dask", scheduler=cluster)


def test_killed_workers_and_a_killed_sweep_lose_nothing(tmp_path: Path) -> None:
    """A worker while a chunk is being written, and a whole sweep; `make extras-soak` kills twenty of each."""
    from tests.campaigns.cluster import Campaign

    campaign = Campaign(tmp_path, points=400, seed=1)
    campaign.one_of_each()
    assert campaign.kills == {"workers": 1, "workers while writing": 1, "sweeps": 1, "sweeps while writing": 1}
