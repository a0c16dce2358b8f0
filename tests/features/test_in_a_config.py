"""A config names features of two assets: by the asset, and by the stream they look at."""

from __future__ import annotations

import tomllib
from pathlib import Path

import numpy as np
import pytest

from barograph.config.build import build, load_history
from barograph.config.schema import Config
from barograph.data.history import History
from barograph.features import (
    adx,
    bulk_volume_imbalance,
    close,
    corwin_schultz,
    macd_histogram,
    macd_signal,
    roll_spread,
    rolling_beta,
    rolling_correlation,
    stochastic_d,
    vol_of_vol,
    yang_zhang,
)
from barograph.features.combine import coarse
from barograph.loop.machine import Machine
from barograph.testing import check_machine, interpreted, some_bars
from barograph.types import Bars
from tests.features.test_features import same_bits, values_of

# No model looks at them: they are computed all the same.
TEXT = """
name = "two"

[data]
use = "barograph_adapters.files:joined"
parts = [{ use = "barograph_adapters.sample:sp500" }, { use = "barograph_adapters.sample:nasdaq" }]

[[features]]
use = "barograph.features:rolling_correlation"
asset = "SECOND"
window = 20

[[features]]
use = "barograph.features:rolling_beta"
asset = "FIRST"
window = 20
of = { use = "barograph.features:close", asset = "SECOND" }

[[features]]
use = "barograph.features:adx"
asset = "SECOND"

[[features]]
use = "barograph.features:macd_signal"
fast = 3
slow = 6
signal = 4
of = { use = "barograph.features:level", asset = "SECOND" }

[[features]]
use = "barograph.features:vol_of_vol"
window = 10
volatility_window = 5

[strategy]
use = "barograph_strategies.buy_and_hold:buy_and_hold"
"""


def sample() -> tuple[Config, History]:
    both = load_history(Config.model_validate(tomllib.loads(TEXT)), Path())
    text = TEXT.replace("FIRST", both.symbols[0]).replace("SECOND", both.symbols[1])
    return Config.model_validate(tomllib.loads(text)), both.head(120)


def test_features_of_two_assets_are_named_in_a_config() -> None:
    config, history = sample()
    one, two = history.symbols
    machine = build(config, Path())
    wanted = [rolling_correlation(two, 20), rolling_beta(one, 20, of=close(two)), adx(14, two)]
    wanted += [macd_signal(3, 6, 4, of=close(two)), vol_of_vol(10, 5)]
    names = [feature.name.replace("level", "close") for feature in machine.features]
    assert names == [feature.name for feature in wanted]
    columns = Bars(history.ts, *(getattr(history, n) for n in Bars._fields[1:6]), np.ones(history.close.shape))
    seen = interpreted(machine, history).arrays.features
    for j, feature in enumerate(wanted):
        values = values_of(feature, columns, symbols=history.symbols)
        assert np.isfinite(values[-80:]).all()
        assert same_bits(seen[:, j], values), feature.name


@pytest.mark.long
@pytest.mark.parametrize("actions", [False, True])
def test_every_kind_of_memory_keeps_the_laws_of_a_whole_run(actions: bool) -> None:
    other = "A1"
    features = [rolling_beta(other, 10), yang_zhang(9), adx(5), bulk_volume_imbalance(8), stochastic_d(5, 2, 2)]
    features += [corwin_schultz(6), macd_histogram(3, 6, 3), roll_spread(9, of=close(other))]
    features += [coarse(rolling_correlation(other, 3), "week")]
    held = build(sample()[0], Path()).strategy
    check_machine(Machine(held, features), some_bars(160, assets=2, seed=3, actions=actions))
