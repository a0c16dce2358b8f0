"""A deployment whose refits fail goes on with the model in force, writes it down, and tells it once."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import barograph as bg
from barograph.errors import FitError
from barograph.loop.fit import Fit
from barograph.loop.run import scan
from barograph.paper.deployment import switchable
from barograph.paper.record import recorded
from barograph.paper.verify import verify
from barograph.regimes.fitted import Fitted, Model
from barograph.regimes.window import Window
from barograph_adapters.store.sql import SqlStore, open_store
from barograph_models.gaussian_hmm import gaussian_hmm
from barograph_strategies.var_target import var_target
from tests.kit.machines import learnable
from tests.kit.paper_replays import same_tables
from tests.paper.test_parity_paper import paper

DAY = 86_400_000_000_000
HMM = gaussian_hmm(states=2, starts=2)


def stubborn() -> Model:
    """A model that fails at two refits of three, the same ones however often it is asked."""

    def fit(window: Window) -> Fitted:
        if window.previous is not None and window.ts[-1] // DAY // 7 % 3:
            raise FitError("a regime died")
        return HMM.learn(window)

    return Model(fit, 2, "stubborn")


@pytest.fixture
def store(tmp_path: Path) -> SqlStore:
    return open_store(f"sqlite:///{tmp_path}/paper.db")


def test_refits_that_fail_are_written_told_and_rebuilt(store: SqlStore) -> None:
    machine = bg.Machine(
        strategy=var_target(level=0.05, budget=0.01, horizon=2), model=stubborn(), fit=Fit(window=40, every=7)
    )
    history = learnable()
    whole = scan(machine, history)
    refused = [fit.refused for fit in whole.fits]
    assert 3 < sum(why != "" for why in refused) < len(refused) - 3
    paper(store, machine, history, whole.first)
    deployed = store.find("any")
    assert deployed is not None
    found = recorded(store, deployed, switchable(machine))
    same_tables(found, whole)
    # What the strategy read is recorded where it sized.
    assert found.arrays.ahead.tobytes() == whole.arrays.ahead.tobytes()
    # A fit that falls due at the last close is made live, and by a history only when it goes on.
    fits = found.fits[: len(refused)]
    assert [fit.refused for fit in fits] == refused
    assert [fit.fitted.digest for fit in fits] == [fit.fitted.digest for fit in whole.fits]
    assert verify(store, deployed).wrong == ()
    told = [_facts(row) for row in store.rows("alerts", "any") if row["kind"] == "model_health"]
    assert any("the model before stays in force" in cause for facts in told for cause in facts["causes"])
    # It has recovered as soon as a refit has come into force.
    assert any(facts["healthy"] and "no new fit" in facts["before"] for facts in told)


def _facts(row: Any) -> Any:
    return json.loads(row["facts"])
