"""The backend `vectorbt`: figures as the engine has them where it can say the same, else one line that says why not."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import barograph as bg
from barograph.errors import ConfigError, DataError
from barograph.testing import some_bars
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_strategies.fixed_weights import fixed_weights
from barograph_strategies.protected import protected
from barograph_strategies.regime_filter import regime_filter
from barograph_strategies.sma_filter import sma_filter
from tests.cli.test_cli import SMALL, barograph, users_folder
from tests.extras import wants

wants("vectorbt", "vectorbt")

from barograph_adapters.sweeps import on_vectorbt  # noqa: E402

Make = Callable[..., bg.Machine]
Keys = Mapping[str, Sequence[Any]]

BARS = some_bars(300, seed=3)
LEARNING: dict[str, Any] = {"model": gaussian_hmm(states=2, starts=1), "fit": bg.Fit(window=120, every=60)}


def of(strategy: bg.Strategy, more: Mapping[str, Any] | None = None, **terms: Any) -> bg.Machine:
    return bg.Machine(strategy=strategy, terms=bg.Terms(**{"short_rate": 0.0, **terms}), **(more or {}))


# Its own orders to a percentage say the first three, the closed form the others.
ROWS: dict[str, tuple[Make, Keys]] = {
    "0 and 1": (lambda threshold, fee: of(regime_filter(threshold=threshold), LEARNING, fee=fee, fixed_fee=3.0),
                {"threshold": [0.4, 0.6], "fee": [0.0, 0.002]}),
    "no costs": (lambda weight: of(sma_filter(20, weight, -weight), fee=0.0, slippage=0.0), {"weight": [0.3, 1.0]}),
    "next close": (lambda window: of(sma_filter(window), fill="next_close"), {"window": [5, 20]}),
    "shorts and fractions": (lambda weight, fee: of(sma_filter(20, weight, -weight), fee=fee, fixed_fee=1.0),
                             {"weight": [0.3, 1.0], "fee": [0.0, 0.002]}),
    "a fill every bar": (lambda weight: of(fixed_weights([weight], "bar"), spread=0.001), {"weight": [0.3, 0.6]}),
    "a band": (lambda band: of(sma_filter(20, 0.7, 0.2), band=band), {"band": [0.0, 0.05]}),
}  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_every_figure_is_the_engines(row: str) -> None:
    make, keys = ROWS[row]
    ours, theirs = bg.sweep(make, keys, BARS), bg.sweep(make, keys, BARS, backend="vectorbt")
    assert theirs.backend["name"] == "vectorbt"
    assert theirs.counters == ours.counters
    assert theirs.failed == ours.failed == [""] * len(ours)
    for mine, other in ((ours.harvest.rows, theirs.harvest.rows), (ours.harvest.sums, theirs.harvest.sums),
                        (ours.harvest.beyond, theirs.harvest.beyond)):  # fmt: skip
        assert np.allclose(mine, other, rtol=1e-9, atol=1e-9, equal_nan=True)
    assert theirs.best("sharpe") == ours.best("sharpe")


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda lot: of(sma_filter(20), lot=lot), "lots (execution.lot)"),
        (lambda minimum: of(sma_filter(20), minimum_fee=minimum), "least fees (execution.minimum_fee)"),
        (lambda limit: of(sma_filter(20), guards=(bg.Guard("gross", limit),)), "guards (execution.guards)"),
        (lambda rate: of(sma_filter(20), cash_rate=rate / 50.0), "interest (execution.cash_rate, short_rate)"),
        (lambda more: of(sma_filter(20, 0.5 + more), leverage=2.0), "borrowed money"),
        (lambda stop: of(protected(sma_filter(20), stop=stop / 50.0)), "orders and stops"),
        (lambda weight: of(sma_filter(20, weight), fill="same_close"), "fills at the close they were decided at"),
    ],
    ids=lambda one: one if isinstance(one, str) else "",
)
def test_what_it_cannot_express_is_refused_in_one_line(make: Any, told: str) -> None:
    key = make.__code__.co_varnames[0]
    with pytest.raises(ConfigError) as error:
        bg.sweep(make, {key: [1.0]}, BARS, backend="vectorbt")
    words = str(error.value)
    assert words.startswith(f"sweep: vectorbt cannot express {told}")
    assert words.endswith(f", at {key}=1.0; set sweep.backend = 'compiled'")
    assert "\n" not in words


def test_several_assets_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"cannot express more than one asset, at share=0.5"):
        bg.sweep(lambda share: of(fixed_weights([share, share])), {"share": [0.5]}, some_bars(100, assets=2),
                 backend="vectorbt")  # fmt: skip


def test_an_account_that_is_not_ours_ends_the_sweep(monkeypatch: pytest.MonkeyPatch) -> None:
    """The fault planted: a fee that vectorbt is not told."""
    monkeypatch.setattr(on_vectorbt, "_costs", lambda _terms: False)
    make, keys = ROWS["shorts and fractions"]
    with pytest.raises(DataError, match=r"sweep: point \d+ at .*: vectorbt is worth .*, the engine .*; please report"):
        bg.sweep(make, keys, BARS, backend="vectorbt")


def test_the_command_says_the_same(tmp_path: Path) -> None:
    folder = users_folder(tmp_path)
    sweep = '\n[sweep]\nkeys = { "strategy.threshold" = [0.4, 0.6], "execution.fee" = [0.0, 0.001] }\n'
    (folder / "swept.toml").write_text(SMALL + sweep, encoding="utf-8")
    told, tables = [], []
    for backend in ("compiled", "vectorbt"):
        ran = barograph("sweep", folder / "swept.toml", "--runs", folder / "runs", "--best", "1", "--json",
                        "--backend", backend)  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        told.append(json.loads(ran.stdout))
        tables.append(pd.read_parquet(Path(told[-1]["folder"]) / "points.parquet"))
    assert told[0].keys() == told[1].keys()
    assert told[0]["counters"] == told[1]["counters"]
    assert [of["backend"]["name"] for of in told] == ["compiled", "vectorbt"]
    assert told[0]["best"][0]["metrics"] == told[1]["best"][0]["metrics"]
    pd.testing.assert_frame_equal(tables[0], tables[1], rtol=1e-9, atol=1e-9)
