"""A config that chooses, on paper: it restarts at any bar, and journal, parity and tables are those of its backtest."""

from __future__ import annotations

from pathlib import Path

import pytest

from barograph.config.build import build, load_history
from barograph.config.load import load
from barograph.loop.run import scan
from barograph.paper.journal import fit_of
from barograph.paper.record import rebuilt, recorded
from barograph_adapters.store.sql import open_store
from tests.kit.paper_replays import judged_replay

HEAD = """
name = "chooses"

[data]
use = "tests.kit.paper_machines:market"
bars = 130

[run]
start = 106
"""
LEARNS = """
[model]
use = "barograph_models.gaussian_hmm:gaussian_hmm"
states = 2
starts = 1

[fit]
window = 60
every = 20

[strategy]
use = "barograph_strategies.regime_filter:regime_filter"

[choose]
every = 6
window = 20
keys = { "strategy.threshold" = [0.3, 0.9], "fit.window" = [60, 80] }
figure = "total_return"
penalty = { turnover = 0.001 }
"""
PLAIN = """
[strategy]
use = "barograph_strategies.sma_filter:sma_filter"

[choose]
every = 3
window = 10
keys = { "strategy.window" = [2, 5, 11] }
figure = "total_return"
"""


@pytest.mark.parametrize("kind", ["learns", "plain"])
def test_what_is_traded_on_paper_is_the_backtest(tmp_path: Path, kind: str) -> None:
    (tmp_path / "chooses.toml").write_text(HEAD + {"learns": LEARNS, "plain": PLAIN}[kind], encoding="utf-8")
    config, store = load(tmp_path / "chooses.toml"), open_store(f"sqlite:///{tmp_path}/paper.db")
    assert judged_replay(config, tmp_path, store, seed=3) > 20
    (deployed,) = store.deployments()
    whole = scan(build(config, tmp_path), load_history(config, tmp_path))
    assert sum(choice.changed for choice in whole.choices) > 1
    entries = list(store.entries(deployed.name))
    made = [fit for entry in entries if (fit := fit_of(entry.kind, entry.content)) is not None]
    assert [fit["digest"] for fit in made][: len(whole.fits)] == [fit.fitted.digest for fit in whole.fits]
    assert any(fit["asked"] == "choice" for fit in made) == (kind == "learns")
    was = recorded(store, deployed, rebuilt(deployed))
    assert was.choices[: len(whole.choices)] == whole.choices
    store.close()
