"""Two hundred cycles of minutes over three changes of regime, an outage and two commands: what one person is told.

    python -m tests.campaigns.turnings --runs 20 --seed 1

What holds of outages holds here too (`tests.campaigns.outages`), and: where no night and no quota explains it, every
change of regime goes out within a minute of its decision; `alerts list` has each alert once; every message has a time.
"""

from __future__ import annotations

import argparse
import re
from typing import Any, Final

import numpy as np

from barograph.cli.deployed.listing import told
from barograph.config.schema import Config
from barograph.data.history import History
from tests.campaigns.outages import BEGIN, MINUTE, NAME, Outage, Study

# Bars before the first decision: calm, wild, calm; then the minutes of the two hundred at which the market turns.
_BEFORE: Final = 400
_TURNS: Final = (50, 100, 160)
_CYCLES: Final = 200


def returns(seed: int) -> Any:
    """Return log returns of all minutes: of a hundredth in calm times, of three in wild ones."""
    live = np.arange(_CYCLES + 60)
    wild = np.concatenate([np.repeat([0, 1, 0], [200, 100, 100]), np.searchsorted(_TURNS, live, side="right") % 2])
    return 0.001 * (1.0 + 4.0 * wild) * np.random.default_rng(seed).standard_normal(len(wild))


class Turning(Outage):
    """A deployment with a model, on a market that turns three times and is silent for half an hour."""

    def __init__(self, study: Study) -> None:
        super().__init__(study)
        self.price = 100.0 * np.exp(np.cumsum(returns(study.seed)))
        self.clock.set(BEGIN + MINUTE)
        self.stops, self.resumes = BEGIN + 115 * MINUTE, BEGIN + 145 * MINUTE
        self.ends = BEGIN + _CYCLES * MINUTE

    def config(self) -> Config:
        """Return the config of the outage with a model, and a rule that follows it."""
        tree = self.study.config().model_dump(mode="json", exclude_defaults=True)
        tree |= {
            "features": [{"use": "barograph.features:log_return"}],
            "model": {"use": "barograph_models.gaussian_hmm:gaussian_hmm", "states": 2, "starts": 4},
            "fit": {"window": _BEFORE, "every": 100_000},
            "strategy": {"use": "barograph_strategies.regime_filter:regime_filter"},
        }
        return Config.model_validate(tree)

    def _bars(self, until: int) -> History:
        ts = np.arange(BEGIN // MINUTE - _BEFORE, until // MINUTE + 1, dtype=np.int64) * MINUTE
        price = self.price[: len(ts)]
        there = (ts < self.stops) | (ts >= self.resumes)
        return History.from_arrays(ts[there], price[there], symbols=["X"], calendar="24/7", source="feed")

    def _tell(self) -> None:
        minute = (self.clock.now() - BEGIN) // MINUTE
        for at, command in ((70, "halt"), (80, "resume")):
            if minute == at:
                self.store.ask(NAME, command, self.clock.now())
        super()._tell()

    def _few(self, alerts: dict[str, Any]) -> None:
        """See the outage; that nobody looks any more once all is over is told too."""
        super()._few({key: row for key, row in alerts.items() if row["ts"] < self.ends})

    def judge(self) -> dict[str, int]:
        """Check what holds of outages, and what holds of changes."""
        found = super().judge()
        alerts = {row["key"]: row for row in self.store.rows("alerts", NAME)}
        changes = [row for row in alerts.values() if row["kind"] == "regime_change"]
        assert len(changes) >= len(_TURNS), len(changes)
        for message in (one.message for one in self.post.told):
            assert re.search(r" · \d{4}-\d\d-\d\d \d\d:\d\d$", message.title), message.title
            assert re.search(r"^when: \d{4}-", message.body, re.M), message.body
        if not self.study.faults and self.study.at_most == 20 and not self.study.others:
            went = {row["alert_key"]: row["ended_at"] for row in self.store.rows("deliveries", NAME)}
            known = {row["ts"]: row["committed"] for row in self.store.rows("cycles", NAME)}
            # By itself or in a digest: what the hour has no room for is what `super().judge` looks at.
            late = [row["key"] for row in changes if went[row["key"]] - known[row["ts"]] > MINUTE]
            assert not late, late
        listed = [row["key"] for row in told(self.store, self.store.deployments()[0], [], None, 10**6)]
        assert sorted(listed) == sorted(alerts)
        return found


def studies(runs: int, seed: int) -> list[Study]:
    """Return runs of every kind."""
    kinds = [(20, 0.0, 0), (3, 0.0, 0), (20, 0.2, 0), (6, 0.05, 2)]
    return [Study(seed=seed + n, lasts=30 * MINUTE, step=MINUTE, at_most=most, faults=faults, others=others)
            for n in range(runs) for most, faults, others in [kinds[n % len(kinds)]]]  # fmt: skip


def main() -> None:
    """Run the campaign and print its figures, a line a study."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    for study in studies(asked.runs, asked.seed):
        print(f"{study}: {Turning(study).run().judge()}", flush=True)


if __name__ == "__main__":
    main()
