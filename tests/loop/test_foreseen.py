"""What a run will learn is counted before it begins, as the run itself then learns it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from typer.testing import CliRunner

import barograph as bg
from barograph.cli.app import app
from barograph.loop.foreseen import Foreseen, foreseen
from barograph.regimes.fitted import Model
from barograph.testing import some_bars
from barograph_models.gaussian_mixture import gaussian_mixture
from barograph_strategies.buy_and_hold import buy_and_hold


def slow(rows: int, features: int) -> float:
    return 0.1 * rows * features


def timed() -> Model:
    made = gaussian_mixture(states=2, starts=1)
    return Model(made.learn, 2, "timed", settings=made.settings, takes=slow)


@pytest.mark.parametrize(
    "plan",
    [bg.Fit(window=60, every=25), bg.Fit(window=50, every="month", expanding=True), bg.Fit(window=60, every="never"),
     bg.Fit(window=80, every=7, embargo=3)],
    ids=str,
)  # fmt: skip
@pytest.mark.parametrize("start", [None, 100])
def test_the_fits_are_those_of_the_run(plan: bg.Fit, start: int | None) -> None:
    history = some_bars(300, missing=0.0, seed=2)
    begin = None if start is None else history.when(start)
    machine = bg.Machine(buy_and_hold(), [bg.features.log_return()], timed(), fit=plan, start=begin)
    found, fits = foreseen(machine, history), bg.scan(machine, history).fits
    assert found is not None
    # The first return is missing: the run begins a bar later than the schedule alone would.
    assert abs(found.fits - len(fits)) <= (1 if start is None else 0)
    assert abs(found.rows - max(fit.last - fit.first for fit in fits)) <= (25 if start is None else 0)


def test_a_model_that_does_not_say_is_not_foreseen() -> None:
    history = some_bars(200)
    machine = bg.Machine(buy_and_hold(), [bg.features.log_return()], gaussian_mixture(2), fit=bg.Fit(window=60))
    assert foreseen(machine, history) is None
    assert foreseen(replace(machine, model=None, fit=None), history) is None


def test_it_is_told_before_the_run(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "one.toml"
    config.write_text(
        'name = "one"\n[data]\nuse = "tests.fakes.market:past"\ncalendar = "XNYS"\nevery = "session"\n'
        'first = "2024-01-02"\nlast = "2024-06-01"\n[strategy]\n'
        'use = "barograph_strategies.buy_and_hold:buy_and_hold"\n'
    )
    monkeypatch.setattr("barograph.loop.foreseen.foreseen", lambda *_: Foreseen("lstm", 8, 3778, 400.0))
    done = CliRunner().invoke(app, ["run", str(config), "--runs", str(tmp_path)], catch_exceptions=False)
    assert "one: 8 fits of lstm, on 3,778 rows at most, will take about 7 minutes" in done.stderr
    assert str(Foreseen("lstm", 1, 900, 12.4)) == "one fit of lstm, on 900 rows at most, will take about 12 seconds"
