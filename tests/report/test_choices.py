"""What the report says of a machine that chooses: counted by hand from the tables beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from barograph.report import read_run, write_report
from barograph.report.choices import choice_figures, choice_table, choice_words
from barograph.report.folder import Run
from tests.fakes.runs import fake_run

CONFIG = '\n[choose]\nfigure = "sharpe"\nwindow = 9\nkeys = { "strategy.window" = [2, 5] }\n'


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A run of four choices: one of the first candidate, then of the second, which stays, then the first again."""
    folder = fake_run(tmp_path / "run")
    rows = np.linspace(0, 60, 4).astype(int)
    choices = pd.DataFrame({"ts": read_run(folder).ts.iloc[rows].to_numpy()})
    choices = choices.assign(
        candidate=[0, 1, 1, 0],
        chosen=[f"strategy.window={w}" for w in (2, 5, 5, 2)],
        changed=[True, True, False, True],
        in_sample=[1.5, 2.0, np.nan, 1.0],
        out_of_sample=[0.5, -1.0, 9.0, 0.5],
        fills=[0, 2, 0, 1],
        traded=[0.0, 600.0, 0.0, 400.0],
        costs=[0.0, 3.0, 0.0, 2.0],
    )
    choices.to_parquet(folder / "choices.parquet")
    config = folder / "config.toml"
    config.write_text(config.read_text(encoding="utf-8") + CONFIG, encoding="utf-8")
    return read_run(folder)


def test_it_says_what_was_promised_and_what_was_kept(run: Run) -> None:
    fills = pd.DataFrame({"quantity": [10.0, -10.0], "price": [100.0, 150.0]})
    said = choice_words(replace(run, tables=run.tables | {"fills": fills}))
    assert said.startswith("4 choices, 2 of them of another candidate than before.")
    # What cannot be told on either side counts on neither: (1.5 + 2 + 1) / 3 against (0.5 - 1 + 0.5) / 3.
    assert "promised 1.50 on average; over the blocks after them the account made 0.00: a gap of −1.50." in said
    assert "3 fills, 40.0 % of all that was traded, at a cost of 5.00;" in said


def test_the_first_choice_changes_nothing(run: Run) -> None:
    rows = choice_table(run).rows
    assert [row.mark for row in rows] == ["", "flag", "", "flag"]
    assert rows[1].cells[1:] == ("strategy.window=5", "2.00", "−1.00", "2", "3.00")
    assert choice_figures(run)["chosen"]["layout"]["yaxis"]["ticktext"] == ["2", "5"]


def test_it_has_its_place_on_the_page_and_none_where_nothing_is_chosen(run: Run, tmp_path: Path) -> None:
    page = write_report(run.folder).read_text(encoding="utf-8")
    assert page.count('id="chosen"') == page.count('id="gap"') == 1
    assert "What it chose" in page
    plain = write_report(fake_run(tmp_path / "plain")).read_text(encoding="utf-8")
    assert "What it chose" not in plain
