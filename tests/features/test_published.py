"""The columns of two published systems, made of this library's features."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from barograph.config.build import build
from barograph.config.load import load
from barograph.features import level, realised_volatility, rolling_deviation, total_return, zscore
from barograph.types import Bars, Feature
from barograph_adapters.twins import spy_and_vix
from barograph_models.kmeans import kmeans
from tests import ROOT
from tests.features.test_features import compiled_values, same_bits, some_bars, values_of

COLUMNS: dict[str, Feature] = {
    "ret_1d": total_return(1),
    "ret_5d": total_return(5),
    "ret_20d": total_return(20),
    "rv_5d": realised_volatility(5),
    "rv_20d": realised_volatility(20),
    "vix_level": level("VIX"),
}


def test_the_six_columns_are_the_published_ones(shared: Path) -> None:
    """Simple returns, and their deviation (ddof = 1) times the root of 252; the first row is the 21st bar."""
    history = spy_and_vix(shared / "deepregime")
    bars = Bars(history.ts, *(getattr(history, name) for name in Bars._fields[1:6]), np.ones(history.close.shape))
    published = pd.read_parquet(shared / "deepregime" / "spy_vix_features.parquet")
    wanted = published.droplevel(1, axis=1)[list(COLUMNS)].to_numpy()
    found = compiled_values(list(COLUMNS.values()), bars)
    assert (np.isnan(found[:20]).any(axis=1)).all()
    assert len(found) == len(wanted) + 20
    # Both subtract a close from another one, which takes off digits: no more than 1e-15 of a return of 1.
    np.testing.assert_allclose(found[20:], wanted, rtol=1e-12, atol=1e-14)


def test_a_year_of_bars_is_a_root_of_their_number() -> None:
    bars = some_bars()
    daily = values_of(rolling_deviation(20, of=total_return(1)), bars)
    weekly = values_of(realised_volatility(20, bars_a_year=52.0), bars)
    np.testing.assert_allclose(weekly, np.sqrt(52.0) * daily, rtol=1e-15)
    assert not same_bits(weekly, values_of(realised_volatility(20), bars))


@pytest.mark.parametrize("name", ["deepregime", "sequence"])
def test_the_configs_name_their_columns(name: str) -> None:
    machine = build(load(ROOT / f"configs/{name}.toml"), ROOT / "configs")
    names = [feature.name for feature in machine.features]
    if name == "deepregime":
        assert names == [feature.name for feature in COLUMNS.values()]
    else:
        assert len(names) == 12
        assert zscore(60, of=realised_volatility(20)).name in names


def test_the_published_labels_are_k_means_of_these_columns_unscaled_and_so_a_level_of_vix(shared: Path) -> None:
    frame = pd.read_parquet(shared / "deepregime" / "spy_vix_regimes_kmeans.parquet").droplevel(1, axis=1)
    X, labels = frame[list(COLUMNS)].to_numpy(), frame.regime_kmeans.to_numpy()
    found = kmeans(states=3, scale=False).fit(X).filter_path(X).probs.argmax(axis=1)
    assert np.count_nonzero(found != labels) <= 1
    assert ((X[:, 5] < 19.925) == (labels == 0)).all()
    scaled = kmeans(states=3).fit(X).filter_path(X).probs.argmax(axis=1)
    assert np.count_nonzero(scaled != labels) > 500
