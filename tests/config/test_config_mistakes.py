"""What a user gets wrong in a config or a part: one line that helps, the right exit code, and nothing half-written."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

from barograph.config.load import load
from barograph.config.provenance import code_hash
from tests.cli.test_cli import USER_PART, Done, barograph, users_folder
from tests.config.test_modules import written

BESIDE = {
    "package/__init__.py": "",
    "package/own.py": "",
    "lacks.py": "\nimport nothing\n",
    "leads.py": "import package.nothing\n",
    "broken.py": "def f():\n\n    1 / 0\nf()\n",
    "misspelt.py": "import import\n",
    "around.py": "from mine import held\n",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A user's folder, with a part and with files that have something wrong."""
    users_folder(tmp_path)
    written(tmp_path, {"mine.py": USER_PART, **BESIDE})
    (tmp_path / "word.csv").write_text("date,rate\n2019-01-01,5\n2020-03-01,two\n")
    (tmp_path / "late.csv").write_text("date,rate\n2020-03-01,0.02\n")
    bars = pd.read_csv(tmp_path / "bars.csv")
    bars.assign(currency=["USD"] * 80 + ["EUR"] * 80).to_csv(tmp_path / "euro.csv", index=False)
    return tmp_path


RATE = ["--set", "execution.borrow_rate.use=barograph_adapters.files:rate", "--set"]
AROUND = ["--set", "strategy={ use = 'barograph_strategies.protected:protected' }", "--set"]
SMA = "strategy.of={ use = 'barograph_strategies.sma_filter:sma_filter', window = 5 }"
WEIGHTS = ["--set", "strategy={ use = 'barograph_strategies.fixed_weights:fixed_weights' }", "--set"]
_PART = "{ use = 'barograph_adapters.files:csv', path = 'bars.csv', calendar = '24/7', symbol = '%s', currency = '%s' }"
_PARTS = ", ".join(_PART % pair for pair in (("A", "EUR"), ("B", "USD")))
JOINED = ["--set", f"data={{ use = 'barograph_adapters.files:joined', parts = [{_PARTS}] }}"]

MISTAKES = [
    (["--set", "strtegy.x=1"], 2, "unknown key 'strtegy'"),
    (["--set", "stratgey.x=1"], 2, "unknown key 'stratgey'; did you mean 'strategy'?"),
    (["--set", "execution.fees=0.1"], 2, "unknown key 'execution.fees'; did you mean 'fee'?"),
    (["--set", "strategy.treshold=0.5"], 2, "did you mean 'threshold'?"),
    (["--set", "execution.fee='much'"], 2, "execution.fee is 'much'; input should be a valid number"),
    (["--set", "model.states=two"], 2, "model.states is 'two'"),
    (["--set", "fit.every=fortnight"], 2, "fit.every"),
    (["--set", "data.path=none.csv"], 3, "none.csv: no such file"),
    (["--set", "strategy.use=nowhere:x"], 4, "strategy: no module 'nowhere'"),
    (["--set", "strategy.use=mien:x"], 4, "strategy: no module 'mien' for use = 'mien:x'; did you mean 'mine'?"),
    (["--set", "strategy.use=barograph_model.kmeans:x"], 4, "did you mean 'barograph_models'?"),
    (["--set", "strategy.use=mine.deep:x"], 4, "strategy: no module 'mine.deep' for use = 'mine.deep:x'"),
    (["--set", "strategy.use=package.onw:x"], 4, "strategy: no module 'package.onw'"),
    (["--set", "strategy.use=package.onw:x"], 4, "did you mean 'own'?"),
    (
        ["--set", "strategy.use=lacks:x"],
        4,
        "lacks:x needs the module 'nothing', which is not installed (lacks.py, line 2)",
    ),
    (
        ["--set", "strategy.use=leads:x"],
        4,
        "leads:x needs the module 'package.nothing', which is not installed (leads.py",
    ),
    (
        ["--set", "strategy.use=broken:x"],
        4,
        "broken cannot be imported: ZeroDivisionError: division by zero (broken.py, line 3)",
    ),
    (
        ["--set", "strategy.use=misspelt:x"],
        4,
        "misspelt cannot be imported: SyntaxError: invalid syntax (misspelt.py, line 1)",
    ),
    (["--set", "strategy.use=around:x"], 4, "ImportError: cannot import name 'held' from 'mine' ("),
    (["--set", "strategy.use=mine:hodl"], 4, "mine has no 'hodl'; did you mean 'hold'?"),
    (["--set", "strategy.use=barograph_strategies.regime_filtr:x"], 4, "did you mean 'regime_filter'?"),
    (["--set", "strategy.use=barograph_strategies.regime_filter:regime_filtre"], 4, "did you mean 'regime_filter'?"),
    (["--set", "strategy.use=mine:nan"], 6, "strategy nan returned NaN (or -inf, or a wrong number of weights) for"),
    (["--set", "strategy.use=mine:wrong"], 4, "strategy wrong: step returned Target; wanted a pair"),
    (["--set", "fit.window=5000"], 2, "fit.window wants 5000 bars"),
    (["--set", "run.start=1990-01-01"], 2, "start is"),
    (["--set", "strategy"], 2, "wanted key=value"),
    (["--set", "strategy.use=mine:bug"], 4, "strategy: mine:bug failed with ZeroDivisionError: mine"),
    (["--set", "strategy.use=mine:late"], 6, "strategy late raised ZeroDivisionError at the close of"),
    (["--set", "strategy.use=mine:short"], 4, "wanted a number or a numpy array of (1,)"),
    (["--set", "strategy.use=mine:untyped"], 4, "strategy untyped"),
    (["--set", "strategy.use=mine:hold", "--set", "strategy.x=1"], 2, "unknown key 'strategy.x'"),
    (["--set", "strategy.use=builtins:dict"], 4, "strategy: the signature of builtins:dict cannot be read"),
    (["--set", "model.use=barograph_strategies.buy_and_hold:buy_and_hold", "--set", "model.states=2"], 2, "no such"),
    (["--set", "data.path=5"], 2, "data.path is 5; wanted the path of a file"),
    (["--set", "model.seed=-1"], 2, "seed = -1, a whole number from 0"),
    (["--set", "fit.every=monthly"], 2, "fit.every is 'monthly'; input should be a valid integer or input should be"),
    (["--set", "execution.cash_rate=nan"], 2, "execution.cash_rate is nan"),
    (["--set", "model.states=12"], 5, "fit at the close of"),
    (
        ["--set", "execution.leverage=9"],
        2,
        "small.toml: execution.leverage is 9.0, but maintenance",
    ),
    (["--set", "execution.tiers=[[1, 2]]"], 2, "small.toml: execution.tiers is [[1, 2]]; wanted rows [value"),
    (["--set", "execution.tiers=[[0, 5, 0]]"], 2, "execution.tiers is [[0, 5, 0]]; wanted rows"),
    (["--set", "execution.tiers=[[9, 0, 0], [0, 0, 0]]"], 2, "the values rising"),
    (["--set", "execution.tiers=[[0, true, 0]]"], 2, "execution.tiers is [[0, True, 0]]; wanted rows"),
    (["--set", "execution.tiers=0.5"], 2, "execution.tiers is 0.5; wanted rows"),
    (
        ["--set", "execution.account=cash", "--set", "execution.leverage=2"],
        2,
        "execution: a cash account has no",
    ),
    (
        ["--set", "execution.path=optimist"],
        2,
        "small.toml: execution.path is 'optimist'; input should be",
    ),
    (["--set", "execution.participation=10"], 2, "less than or equal to 1 (a fraction: 5 % is 0.05)"),
    (["--set", "execution.maker_fee=-0.5"], 2, "execution.maker_fee is -0.5; input should be greater than"),
    (["--set", "execution.unit_fee=-1"], 2, "execution.unit_fee is -1; input should be greater than"),
    (["--set", "execution.minimum_fee='1'"], 2, "execution.minimum_fee is '1'; input should be a valid number"),
    (["--set", "execution.fixed_fee=-1"], 2, "execution.fixed_fee is -1; input should be greater than"),
    (["--set", "execution.slippage=-1"], 2, "execution.slippage is -1; input should be greater than"),
    (["--set", "execution.spread=0.6"], 2, "execution.spread is 0.6; input should be less than 0.5 (a fraction"),
    (["--set", "execution.volatility_slippage=-1"], 2, "execution.volatility_slippage is -1"),
    (["--set", "execution.impact=-1"], 2, "execution.impact is -1; input should be greater than"),
    (["--set", "execution.lot=-1"], 2, "execution.lot is -1; input should be greater than"),
    (["--set", "execution.tick=-0.01"], 2, "execution.tick is -0.01; input should be greater than"),
    (["--set", "execution.min_notional=-5"], 2, "execution.min_notional is -5; input should be greater than"),
    (["--set", "execution.band=-1"], 2, "execution.band is -1; input should be greater than"),
    (["--set", "execution.account=margn"], 2, "execution.account is 'margn'; input should be 'margin' or 'cash'"),
    (["--set", "execution.maintenance=1.5"], 2, "execution.maintenance is 1.5; input should be less than"),
    (["--set", "execution.warning=nan"], 2, "execution.warning is nan; input should be a finite number"),
    (["--set", "execution.short_rate=-1"], 2, "execution.short_rate is -1; input should be greater than"),
    (["--set", "execution.resting=0"], 2, "execution.resting is 0; input should be greater than or equal to 1"),
    (["--set", "execution.resting=2.5"], 2, "execution.resting is 2.5; input should be a valid integer"),
    (["--set", "execution.borrow_rate=5"], 2, "less than 2 (a fraction: 5 % is 0.05) or input should be a table with"),
    (["--set", "execution.cash_rate=5"], 2, "execution.cash_rate is 5; input should be less than 2"),
    ([*RATE, "execution.borrow_rate.path=none.csv"], 3, "none.csv: no such file"),
    ([*RATE, "execution.borrow_rate.path=word.csv"], 3, "execution.borrow_rate: word.csv: line 3: 'two' is no rate"),
    ([*RATE, "execution.borrow_rate.path=late.csv"], 3, "execution.borrow_rate: the rate begins on 2020-03-01"),
    ([*RATE, "execution.borrow_rate.file=word.csv"], 2, "unknown key 'execution.borrow_rate.file'"),
    (["--set", f"execution.borrow_rate={_PART % ('A', '')}"], 4, "files:csv returned History; wanted a Rate"),
    (["--set", "features={ use = 'barograph.features:log_return' }"], 2, "a list of tables, each headed [[features]]"),
    (["--set", "execution.resting=65"], 2, "execution.resting is 65"),
    (
        ["--set", "execution.borrow_rate=-1"],
        2,
        "execution.borrow_rate is -1; input should be greater than",
    ),
    (["--set", "execution.cash_rate='much'"], 2, "input should be a valid number or input should be a table with use"),
    (["--set", "execution.cash_rate.use=nix"], 2, "execution.cash_rate.use is 'nix'"),
    (["--set", "execution.cash_rate.path=nix"], 2, "key 'execution.cash_rate.use' is missing"),
    (["--set", "execution.cash_rate.use=mine:bug"], 4, "execution.cash_rate: mine:bug failed with ZeroDivisionError"),
    (
        ["--set", "execution.cash_rate.use=mine:none"],
        4,
        "mine:none returned NoneType; wanted a Rate",
    ),
    (["--set", "guards=[{ on = 'drawdwn', limit = 0.1 }]"], 2, "guards.0.on is 'drawdwn'; input should be 'drawdown'"),
    (["--set", "guards=[{ on = 'gross', limt = 0.1 }]"], 2, "unknown key 'guards.0.limt'; did you mean 'limit'?"),
    (["--set", "guards=[{ on = 'kill', limit = 0.1 }]"], 2, "guards.0: guard on kill: limit is 0.1; wanted a date"),
    (["--set", "guards=[{ on = 'gross', limit = -1.0 }]"], 2, "small.toml: guards.0: guard on gross: limit"),
    (
        ["--set", "guards=[{ on = 'gross', limit = '10%' }]"],
        2,
        "guards.0: guard on gross: limit is '10%'; wanted a num",
    ),
    (["--set", "guards=[{ on = 'gross' }]"], 2, "key 'guards.0.limit' is missing; wanted a number; for kill a date"),
    (["--set", "guards=[{ limit = 0.1 }]"], 2, "key 'guards.0.on' is missing; wanted what is watched, as in on ="),
    (
        ["--set", "guards=[{ on = 'gross', limit = 1, mode = 'stop' }]"],
        2,
        "guards.0.mode is 'stop'; input should be 'no_",
    ),
    (["--set", "guards=[{ on = 'gross', limit = 1, cool_down = 2.5 }]"], 2, "guards.0.cool_down is 2.5; input should"),
    (
        ["--set", "guards=[{ on = 'drawdown', limit = 20 }]"],
        2,
        "limit is 20.0; wanted a fraction between 0 and 1 (20 %",
    ),
    (["--set", "guards=[{ on = 'kill', limit = 'someday' }]"], 2, "limit is 'someday'; wanted a date"),
    (["--set", "strategy.use=mine:both"], 6, "a Protected after a Target; wanted one kind of answer at every close"),
    (["--set", "guards={ on = 'gross', limit = 1 }"], 2, "input should be a list of tables, each headed [[guards]]"),
    (["--set", "data.path=euro.csv"], 3, "euro.csv: several currencies (USD, EUR) in one account are out of scope"),
    ([*JOINED], 3, "data: join: several currencies (EUR, USD) in one account are out of scope"),
    (["--set", "strategy.use=mine:no_weight"], 6, "small.toml: strategy no_weight returned NaN"),
    (["--set", "strategy.use=mine:no_price"], 6, "strategy no_price asked for an order nobody can mean on bars"),
    (["--set", "strategy.use=mine:no_trail"], 6, "trailing fractions below 1"),
    (["--set", "strategy.use=mine:no_level"], 4, "strategy no_level: Protected.stop holds a list of shape (1,)"),
    (["--set", "strategy.use=mine:no_column"], 6, "no_column asked for an order nobody can mean on a column that"),
    (["--set", "strategy.use=mine:no_size"], 6, "a quantity that is not 0"),
    (
        ["--set", "strategy.use=mine:overfull"],
        6,
        "overfull wrote more requests than its slip has room for at the close",
    ),
    (
        ["--set", "strategy.use=mine:hoarder"],
        6,
        "hoarder has more than 8 orders on bars at 2020-03-10; cancel some, or",
    ),
    (["--set", "strategy.use=mine:no_answer"], 4, "no_answer: wanted a Target, Protected or Orders, found dict"),
    ([*AROUND, "strategy.of=0.5"], 2, "strategy.of is 0.5; wanted a part: a table with use ="),
    ([*AROUND, "strategy.of={ window = 5 }"], 2, "strategy.of is {'window': 5}; wanted a part"),
    ([*AROUND, "strategy.pause=1.5"], 2, "key 'strategy.of' is missing"),
    ([*AROUND, SMA], 2, "strategy: protected: none of stop, take, trail is given; wanted at least one"),
    ([*AROUND, SMA, "--set", "strategy.stop=5.0"], 2, "protected: stop=5.0; wanted a fraction between 0 and 1"),
    ([*WEIGHTS, "strategy.weights=0.5"], 2, "strategy.weights is 0.5; input should be a list"),
    ([*WEIGHTS, "strategy.weights=[0.5, 0.5]"], 4, "Target holds a ndarray of shape (2,); wanted a number or a numpy"),
    ([*WEIGHTS, "strategy.weights=[]"], 2, "strategy: weights is []; wanted one number an asset"),
]


def mistake(done: Done) -> str:
    """Return what was wrong, in a line: with --json it stands in the one document, and nothing else is said."""
    told = json.loads(done.stdout)["error"]
    assert (done.stderr, told["exit_code"]) == ("", done.returncode)
    assert "\n" not in told["message"]
    return str(told["message"])


@pytest.mark.parametrize(("words", "code", "told"), MISTAKES, ids=lambda v: str(v)[:40])
def test_a_mistake_is_one_line_an_exit_code_and_nothing_half_written(
    project: Path, words: list[str], code: int, told: str
) -> None:
    done = barograph("run", project / "small.toml", "--runs", project / "runs", "--json", *words)
    line = mistake(done)
    assert told in line, line
    assert done.returncode == code
    assert not (project / "runs").exists() or not list((project / "runs").iterdir())


def test_the_config_at_fault_is_named_among_several(project: Path) -> None:
    (project / "other.toml").write_text((project / "small.toml").read_text().replace("bars.csv", "euro.csv"))
    done = barograph("compare", project / "small.toml", project / "other.toml", "--runs", project / "runs")
    assert (done.returncode, f"{project / 'other.toml'}: data: euro.csv: several" in done.stderr) == (3, True)
    assert not (project / "runs").exists()


CHOICE = "choose={ window = 20, keys = { %s } }"
CHOSEN = [
    ("'strategy.treshold' = [0.5]", "did you mean 'threshold'? (at strategy.treshold = 0.5 of the choice)"),
    (
        "'execution.fee' = [0.0]",
        "choose.keys: 'execution.fee' is not a candidate's own, and there is one",
    ),
    (
        "'stratgy.threshold' = [0.5]",
        "'stratgy.threshold' is no key of a part of this config; did you mean 'strategy'?",
    ),
    ("'strategy.threshold' = []", "choose.keys.strategy.threshold is []; wanted at least one value"),
    (
        "'strategy.threshold' = { from = 0.1, to = 0.9 }",
        "choose.keys.strategy.threshold has no points; wanted how many",
    ),
    ("'strategy.threshold' = 0.5", "choose.keys is 0.5; wanted a list of values, or { from"),
    ("'model.states' = [2, 3]", "choose: model.states=3 has another regimes than model.states=2: 3, wanted 2"),
    ("'fit.window' = [60, 5000]", "fit.window=5000: fit.window wants 5000 bars"),
]


@pytest.mark.parametrize(("keys", "told"), CHOSEN, ids=lambda v: v[:30])
def test_a_mistake_in_what_is_chosen_is_one_line_too(project: Path, keys: str, told: str) -> None:
    done = barograph("run", project / "small.toml", "--runs", project / "runs", "--json", "--set", CHOICE % keys)
    assert told in mistake(done), done
    assert done.returncode == 2


def test_a_choice_of_more_than_there_is_says_so(project: Path) -> None:
    words = ["--set", CHOICE % "'strategy.threshold' = [0.4, 0.6]", "--set", "choose.window=500"]
    done = barograph("run", project / "small.toml", "--runs", project / "runs", *words)
    assert "choose.window wants 500 returns of every candidate before the first decision" in done.stderr
    done = barograph("run", project / "small.toml", *words[:2], "--set", "choose.figure=sharp")
    assert "choose.figure: no figure 'sharp'; did you mean 'sharpe'?" in done.stderr


def test_modules_and_models_that_may_be_chosen_count_as_code(project: Path) -> None:
    config = project / "small.toml"
    written(project, {"one.py": USER_PART, "two.py": USER_PART})
    text = config.read_text().partition("[strategy]")[0]
    choice = '[choose]\nwindow = 20\nkeys = { "strategy.use" = ["one:hold", "two:hold"] }\n'
    config.write_text(f'{text}[strategy]\nuse = "one:hold"\n{choice}')
    before = code_hash(load(config), project)
    written(project, {"two.py": USER_PART + "\nX = 1\n"})
    assert code_hash(load(config), project) != before
