"""Nets that learn as the run goes on: the audit is exactly zero, whatever they are told to learn."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

import barograph as bg
from barograph.audit.lookahead import audit
from barograph.data.synthetic import SCENARIOS, simulate
from barograph.features import log_return, rolling_volatility
from barograph_models.cnn import cnn
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_models.labels import labels_of
from barograph_models.lstm import lstm
from barograph_models.transformer import transformer
from barograph_strategies.regime_filter import regime_filter

pytest.importorskip("torch")

QUICK: dict[str, Any] = {"epochs": 3, "rate": 0.01}
NETS = {
    "cnn": partial(cnn, window=8, filters=8, **QUICK),
    "lstm": partial(lstm, window=5, hidden=8, layers=1, **QUICK),
    "lstm carried": partial(lstm, carried=True, hidden=8, layers=1, **QUICK),
    "transformer": partial(transformer, window=5, width=8, layers=1, heads=2, feed=8, **QUICK),
}
TARGETS = {"now": 0, "ahead": 5, "smooth": 10}


@pytest.mark.parametrize("when", TARGETS)
@pytest.mark.parametrize("net", NETS)
def test_the_audit_is_exactly_zero(net: str, when: Any) -> None:
    labels = labels_of(gaussian_hmm(states=2, starts=2), when=when, horizon=TARGETS[when], columns=("log_return",))
    history = simulate(SCENARIOS["daily2"], bars=1180, seed=3).history
    features = [log_return(), rolling_volatility(20)]
    machine = bg.Machine(regime_filter(calm=0), features, NETS[net](labels), fit=bg.Fit(window=1050, every=50))
    found = audit(machine, history, cuts=1)
    assert found.clean
    assert found.leaks == ()
    assert found.fits > 1
