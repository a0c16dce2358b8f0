"""A belief an asset on paper: the journal, its tables, parity and the words of `status` know whose belief it is."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from barograph.config.build import build, load_history
from barograph.config.load import load
from barograph.loop.run import scan
from barograph.paper.status import listed, status
from barograph_adapters.store.sql import open_store
from tests.kit.paper_replays import judged_replay

TEXT = """
name = "each"

[data]
use = "tests.kit.paper_machines:market"
bars = 170

[run]
start = 121

[model]
use = "barograph_models.student_panel:student_panel"
each = true
starts = 1

[fit]
window = 100
every = 20

[strategy]
use = "barograph_strategies.regime_filter:regime_filter"

[[guards]]
on = "drawdown"
limit = 0.05
mode = "reduce_only"
cool_down = 10
"""


def test_what_is_traded_on_paper_is_the_backtest_and_every_table_knows_the_asset(tmp_path: Path) -> None:
    (tmp_path / "each.toml").write_text(TEXT, encoding="utf-8")
    config, store = load(tmp_path / "each.toml"), open_store(f"sqlite:///{tmp_path}/paper.db")
    assert judged_replay(config, tmp_path, store) > 30
    (deployed,) = store.deployments()
    whole = scan(build(config, tmp_path), load_history(config, tmp_path))
    last, rows = whole.filtered.probs[-1], store.rows("beliefs", deployed.name)
    assert [row["symbol"] for row in rows[-3:]] == ["AAA", "BBB", "CCC"]
    assert len(rows) == 3 * len(whole.arrays.ts)
    assert json.loads(rows[-2]["probabilities"]) == last[1].tolist()
    told = status(store, deployed, 0)["regimes"]
    assert {symbol: one["probabilities"] for symbol, one in told.items()} == dict(
        zip(("AAA", "BBB", "CCC"), last.tolist(), strict=True)
    )
    (line,) = listed(store)
    assert line["regime"] == " ".join(f"{s}:{k}" for s, k in zip(told, np.argmax(last, axis=1), strict=True))
    assert line["probability"] == last.max(axis=1).min()
    store.close()
