"""Invented twins of two published data sets: the same columns, one hidden path, and the real files by a path alone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from barograph.errors import DataError
from barograph_adapters.twins import spy, spy_and_vix, world
from tests.campaigns.processors import ENVIRONMENTS


@pytest.mark.parametrize("load", [spy, spy_and_vix])
def test_one_seed_one_market(load) -> None:  # type: ignore[no-untyped-def]
    assert load(bars=400).digest() == load(bars=400).digest() != load(bars=400, seed=1).digest()
    assert load(bars=400).findings == ()


def test_both_series_follow_one_hidden_path() -> None:
    history, drawn = spy_and_vix(bars=4000, seed=3), world(4000, 3)
    returns = np.diff(np.log(history.close), axis=0)
    # Cents are all that was taken off.
    np.testing.assert_allclose(np.expm1(returns[:, 0]), drawn.returns[1:], atol=4e-4)
    levels = [history.close[drawn.regimes == k, 1].mean() for k in range(3)]
    assert levels == sorted(levels)
    assert levels[2] > 2.0 * levels[0]
    assert np.corrcoef(returns.T)[0, 1] < -0.5


def test_prices_are_quoted_in_cents() -> None:
    """What a processor rounds in another last bit is the same price."""
    for history in (spy(bars=500), spy_and_vix(bars=500)):
        for column in (history.open, history.high, history.low, history.close):
            assert (np.round(column, 2) == column).all()


def written(folder: Path, name: str, bars: int = 9) -> None:
    close = 100.0 + np.arange(bars)
    days = pd.bdate_range("2020-01-06", periods=bars)
    pd.DataFrame({"Date": days, "Close": close}).to_csv(folder / name, index=False)


def test_a_path_brings_the_real_files(tmp_path: Path) -> None:
    written(tmp_path, "SPY.csv")
    written(tmp_path, "vix.csv")
    history = spy_and_vix(tmp_path)
    assert (history.symbols, history.traded, history.close[0].tolist()) == (("SPY", "VIX"), (True, False), [100.0] * 2)
    assert spy(tmp_path / "SPY.csv").symbols == ("SPY",)


def test_a_folder_that_lacks_one_is_told(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"^.*nowhere is no folder; wanted one with a file spy"):
        spy_and_vix(tmp_path / "nowhere")
    written(tmp_path, "spy.csv")
    with pytest.raises(DataError, match=r"files of VIX: none; wanted one, such as vix\.csv"):
        spy_and_vix(tmp_path)
    written(tmp_path, "vix.csv")
    written(tmp_path, "VIX.txt")
    with pytest.raises(DataError, match=r"files of VIX: VIX\.txt, vix\.csv; wanted one"):
        spy_and_vix(tmp_path)


@pytest.mark.parametrize("environment", ["no-fma", "plain numpy"])
def test_another_processor_invents_the_same_bars(environment: str) -> None:
    """The logarithms that chance is drawn with end in other last bits there; cents do not."""
    code = "from barograph_adapters.twins import spy_and_vix; print(spy_and_vix().digest())"
    there = os.environ | ENVIRONMENTS[environment]
    done = subprocess.run([sys.executable, "-c", code], env=there, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == spy_and_vix().digest()
