"""Live = backtest = sweep on any processor: what the C library and numpy would do elsewhere changes no bit."""

from __future__ import annotations

import ast
import functools
from pathlib import Path

import pytest

import barograph
import barograph_models
import barograph_strategies
from tests import ROOT
from tests.campaigns.processors import ENVIRONMENTS, hashes

SAMPLE = ("regime_filter", "var_target")
ENGINE = Path(barograph.__path__[0])
# What a step or a fit computes with. `loop/result.py` writes the Parquet files, `paper/alerts` what the journal tells.
WINGS = ("execution", "features", "regimes", "paper/alerts")
FILES = [
    *(path for wing in WINGS for path in sorted((ENGINE / wing).glob("*.py"))),
    *(ENGINE / f"loop/{name}.py" for name in ("advance", "machine", "wiring", "result", "session", "live")),
    *sorted(Path(barograph_models.__path__[0]).rglob("*.py")),
    *sorted(Path(barograph_strategies.__path__[0]).glob("*.py")),
]
TRANSCENDENTAL = {"exp", "log", "log1p", "expm1", "log2", "log10", "pow", "erf", "erfc", "tanh", "sinh", "cosh", "sin",
                  "cos", "tan", "gamma", "lgamma", "cbrt", "exp2", "power", "arctan", "logaddexp"}  # fmt: skip
REDUCTIONS = {"einsum", "dot", "inner", "matmul", "tensordot", "vdot", "cov", "corrcoef", "average", "mean", "std",
              "var", "sum", "nansum", "nanmean", "linalg", "convolve", "polyfit"}  # fmt: skip
# Whole numbers and truths add up in any order.
COUNTS = {"self.observed.sum()"}


@functools.cache
def native() -> dict[str, str]:
    return hashes(SAMPLE, "native")


@pytest.mark.parametrize("environment", list(ENVIRONMENTS)[1:])
def test_another_processor_leaves_the_same_bytes(environment: str) -> None:
    chosen = SAMPLE if environment != "generic" else SAMPLE[:1]
    assert hashes(chosen, environment).items() <= native().items()


def borrowed(text: str) -> list[str]:
    """Name what a module computes that is another processor's choice."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult):
            found.append(ast.unparse(node))
        if not isinstance(node, ast.Attribute):
            continue
        library = isinstance(node.value, ast.Name) and node.value.id in ("math", "np", "numpy")
        if library and node.attr in TRANSCENDENTAL | REDUCTIONS:
            found.append(ast.unparse(node))
    for node in ast.walk(ast.parse(text)):
        method = isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in REDUCTIONS
        if method and ast.unparse(node.func.value) not in ("math", "np", "numpy"):
            found.append(ast.unparse(node))
    return [name for name in found if name not in COUNTS]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_step_and_no_fit_computes_with_what_a_processor_chooses(path: Path) -> None:
    assert borrowed(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "planted",
    [
        "y = math.log(x)",
        "y = np.exp(x)",
        "y = a @ b",
        "y = x.sum()",
        "y = np.linalg.solve(a, b)",
        "y = np.einsum('i->', x)",
    ],
)
def test_the_rule_can_fail(planted: str) -> None:
    assert borrowed(planted)


def test_the_configs_are_there() -> None:
    assert all((ROOT / "configs" / f"{name}.toml").is_file() for name in SAMPLE)
