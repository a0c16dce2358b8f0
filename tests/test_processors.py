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
from tests.kit.blank_fits import TRAINED

SAMPLE = ("var_target",)
ENGINE = Path(barograph.__path__[0])
# What a step or a fit computes with. `loop/result.py` writes the Parquet files, `paper/alerts` what the journal tells.
WINGS = ("execution", "features", "regimes", "paper/alerts")
LOOP = ("advance", "fit", "live", "machine", "parts", "result", "run", "session", "wiring", "world")
FILES = [
    *(path for wing in WINGS for path in sorted((ENGINE / wing).glob("*.py"))),
    *(ENGINE / f"loop/{name}.py" for name in LOOP),
    *(ENGINE / f"{name}.py" for name in ("orders", "types", "epoch", "jit/periods", "jit/ordered", "data/actions")),
    *(ENGINE / f"{name}.py" for name in ("data/rates", "metrics/trips")),
    *(ENGINE / f"validation/{name}.py" for name in ("block_sums", "resampling")),
    *(ENGINE / f"regimes/answers/{name}.py" for name in ("connectedness", "counting", "telling")),
    *sorted(Path(barograph_models.__path__[0]).rglob("*.py")),
    *sorted(Path(barograph_strategies.__path__[0]).glob("*.py")),
]
# What IEEE 754 leaves to the library.
TRANSCENDENTAL = {"exp", "log", "log1p", "expm1", "log2", "log10", "pow", "erf", "erfc", "tanh", "sinh", "cosh", "sin",
                  "cos", "tan", "gamma", "lgamma", "cbrt", "exp2", "power", "float_power", "arctan", "arctan2", "atan",
                  "atan2", "asin", "acos", "arcsin", "arccos", "asinh", "acosh", "atanh", "logaddexp", "logaddexp2",
                  "arctanh", "arcsinh", "arccosh", "logspace", "geomspace", "hypot", "dist",
                  "ipow", "fsum", "sumprod", "i0", "sinc"}  # fmt: skip
# What the order of additions decides, or BLAS and LAPACK.
REDUCTIONS = {"einsum", "dot", "vecdot", "inner", "kron", "matmul", "tensordot", "vdot", "cov", "corrcoef", "average",
              "mean", "std", "var", "sum", "prod", "trace", "nansum", "nanprod", "nanmean", "nanstd", "nanvar",
              "linalg", "fft",
              "convolve", "correlate", "polyfit", "logsumexp", "reduce", "reduceat", "trapezoid"}  # fmt: skip
# Draws that are made with the library's logarithm; whole and uniform numbers are not.
DRAWS = {"normal", "standard_normal", "exponential", "standard_exponential", "gamma", "standard_gamma", "beta",
         "dirichlet", "multivariate_normal", "standard_t", "lognormal", "poisson", "binomial",
         "laplace", "gumbel", "chisquare", "logistic", "weibull", "geometric", "gauss"}  # fmt: skip
LIBRARIES = {"math", "cmath", "numpy", "statistics", "scipy", "random", "operator"}
# Whole numbers and truths add up in any order; so do powers of two.
WHOLE = {"self.observed.sum()", "(horizon + 1) ** regimes", "(horizon + 1) ** np.arange(regimes, dtype=np.int64)",
         "2.0 ** min(attempts - 1, 20)"}  # fmt: skip


@functools.cache
def native() -> dict[str, str]:
    return hashes(SAMPLE, "native")


@pytest.mark.parametrize(
    "environment",
    # Everything is compiled anew for the plainest; `tests/jit/test_arithmetic.py` has its arithmetic every time.
    [pytest.param(one, marks=pytest.mark.long if one == "generic" else ()) for one in list(ENVIRONMENTS)[1:]],
)
def test_another_processor_leaves_the_same_bytes(environment: str) -> None:
    assert hashes(SAMPLE, environment).items() <= native().items()


@pytest.mark.long
@pytest.mark.parametrize("name", TRAINED)
def test_a_saved_classifier_leaves_the_same_bytes_on_any_processor(name: str) -> None:
    wanted = hashes((name,), "native")
    assert wanted
    for environment in list(ENVIRONMENTS)[1:]:
        assert hashes((name,), environment) == wanted, environment


def aliases(tree: ast.AST) -> tuple[dict[str, str], list[str]]:
    """Map what the libraries are called in a module to their names, and list what is taken out of them by name."""
    called, taken = {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            called |= {a.asname or a.name.partition(".")[0]: a.name if a.asname else a.name.partition(".")[0]
                       for a in node.names}  # fmt: skip
        elif isinstance(node, ast.ImportFrom) and str(node.module).partition(".")[0] in LIBRARIES:
            taken += [f"{node.module}.{a.name}" for a in node.names if chosen(str(node.module), a.name)]
    return {name: library for name, library in called.items() if library.partition(".")[0] in LIBRARIES}, taken


def chosen(library: str, name: str) -> bool:
    """Tell whether a library's function is another processor's choice."""
    inside = set(library.split(".")[1:]) | {name}
    return (
        library.startswith(("scipy", "statistics", "cmath", "random"))
        or name == "*"
        or bool(inside & (TRANSCENDENTAL | REDUCTIONS))
    )


def rooted(node: ast.expr, called: dict[str, str]) -> bool:
    """Tell whether a dotted name begins with a library."""
    return ast.unparse(node).partition(".")[0] in called


def borrowed(text: str) -> list[str]:
    """Name what a module computes that is another processor's choice."""
    tree = ast.parse(text)
    called, found = aliases(tree)
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.MatMult):
            found.append(ast.unparse(node))
        elif isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Pow):
            power = node.right if isinstance(node, ast.BinOp) else node.value
            whole = isinstance(power, ast.Constant) and isinstance(power.value, int)
            found += [] if whole else [ast.unparse(node)]
        elif (isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "pow") or (
            isinstance(node, ast.Attribute) and node.attr in {"reduce", "reduceat"} and rooted(node.value, called)
        ):
            found.append(ast.unparse(node))
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in called:
            found += [ast.unparse(node)] if chosen(called[node.value.id], node.attr) else []
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            of = ast.unparse(node.func.value)
            method = node.func.attr in REDUCTIONS | DRAWS and of not in called
            # Ours are called `reduce` too; numpy's are found above.
            found += [ast.unparse(node)] if method and node.func.attr != "reduce" else []
    return [name for name in found if name not in WHOLE]


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_no_step_and_no_fit_computes_with_what_a_processor_chooses(path: Path) -> None:
    assert borrowed(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "planted",
    [
        "import math\ny = math.log(x)",
        "import math as m\ny = m.log(x)",
        "from math import log",
        "from numpy import exp as e",
        "import numpy as np\ny = np.exp(x)",
        "import numpy\ny = numpy.hypot(x, y)",
        "import numpy as np\ny = np.add.reduce(x)",
        "import numpy as np\ny = np.nanstd(x)",
        "import numpy as np\ny = np.fft.rfft(x)",
        "from numpy.linalg import solve",
        "import numpy.linalg as la\ny = la.solve(a, b)",
        "from math import *",
        "import random\ny = random.gauss(0.0, 1.0)",
        "import operator\ny = operator.pow(x, 0.5)",
        "import numpy as np\nf = np.add.reduce",
        "from scipy.special import ndtr",
        "import scipy.special\ny = scipy.special.ndtr(x)",
        "import cmath\ny = cmath.exp(x)",
        "y = x**0.5",
        "y = x**power",
        "y = pow(x, 0.5)",
        "a @= b",
        "y = rng.normal(0.0, 1.0)",
        "y = x.prod()",
        "y = a @ b",
        "y = x.sum()",
        "import numpy as np\ny = np.linalg.solve(a, b)",
        "import numpy as np\ny = np.einsum('i->', x)",
    ],
)
def test_the_rule_can_fail(planted: str) -> None:
    assert borrowed(planted)


def test_the_configs_are_there() -> None:
    assert all((ROOT / "configs" / f"{name}.toml").is_file() for name in SAMPLE)
