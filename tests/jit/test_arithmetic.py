"""The project's own elementary functions: right, and to the last bit the same wherever and however they run."""

from __future__ import annotations

import hashlib
import json
import math
import os
import subprocess
import sys
from decimal import Decimal, localcontext
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from numba.core import config

from barograph.jit import arithmetic, arithmetic_tables
from barograph.jit.arithmetic import ARITHMETIC, erfc, exp, expm1, lgamma, log, log1p, power, tanh
from barograph.jit.kernel import compiled

INF, NAN = math.inf, math.nan

# One hash for each function over `grid(20_000)`. Another last bit anywhere is another hash: then results recorded
# before are not what this code computes, and ARITHMETIC must grow with the new hashes.
PINNED = {
    "ARITHMETIC": 2,
    "exp": "68cd8f3f432a0a6f8d1c36faac72884882ddc3b007e41df377d19ce8ad439771",
    "log": "05e6fb20b4253b3dd09adadbd9104f16213c2fb89500fe40371e6fe0861a89d0",
    "log1p": "82a1d38fa1b7fb0ee82c64c1af2be3cca7580889d88d64bc244c5ca2106b1719",
    "expm1": "5d90b2564222961cfd7cd0cd1e57bcbe20a00f4e29f8f796b17b87f3fcc1e224",
    "power": "9592d5c3f19b43259682243f354b3447a72165a77cb87ed2576ec81eefd7b10a",
    "erfc": "629f423923e948f1d42622fd682275c54005493588dd05d2455844d54203ebcb",
    "tanh": "d91de8a375bef6dcfea780e0701946e4a0a62d13ba46f1c79f9ac7011eec519c",
    "lgamma": "a1be4b88d72336b4219ff4b75b5c92c4021eac31bcee6aa38eac54f035f996a6",
}


def each(function):
    @compiled
    def fill(x, y, out):
        for i in range(x.size):
            out[i] = function(x[i])

    return fill


@compiled
def each_power(x, y, out):
    for i in range(x.size):
        out[i] = power(x[i], y[i])


ONE = {"exp": exp, "log": log, "log1p": log1p, "expm1": expm1, "erfc": erfc, "tanh": tanh, "lgamma": lgamma}
DOORS = {**{name: each(function) for name, function in ONE.items()}, "power": each_power}
EDGES = [0.0, 5e-324, 2.0**-1022, 2.0**-54, 2.0**-28, 0.5, 0.6875, 0.75, 1.0 - 2.0**-53, 1.0, 1.0 + 2.0**-52, 1.375]
EDGES += [1.5, 2.0, 2.5, 3.0, 6.0, 8.0, 22.0, 26.6, 27.3, 28.0, 40.0, 60.0, 64.0, 708.4, 709.782712893384, 710.0]
EDGES += [709.7827128933841, 745.1332191019411, 745.1332191019412, 746.0, 2.0**53, 2.0**58, 2.0**64, 1e305, 1e306]
EDGES += [sys.float_info.max, INF]
EDGES = [*EDGES, *(-x for x in EDGES), NAN]


def grid(size):
    """Arguments made of whole numbers only, so that they too are the same everywhere: all bits, and the usual sizes."""
    number = np.arange(size)
    steps = np.arange(1, size + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    spread = (steps >> np.uint64(11)).astype(np.float64) * 2.0**-53
    x = np.where(number % 4 == 0, steps.view(np.float64), spread * np.where(number % 2 == 0, 4.0, 64.0))
    x = np.where(number % 3 == 0, -x, x)
    y = np.where(number % 5 == 0, number % 7 - 3.0, 40.0 * spread[::-1] - 20.0)
    # Near 1 with exponents up to 131 072, and near 0.
    small = (spread - 0.5) * 2.0**-5
    x = np.where(number % 7 == 0, 1.0 + small, np.where(number % 7 == 1, small, x))
    y = np.where(number % 7 == 0, (spread[::-1] - 0.5) * 2.0**18, y)
    first = min(size, len(EDGES))
    return np.concatenate([EDGES[:first], x]), np.concatenate([EDGES[:first][::-1], y])


def values(name, size):
    x, y = grid(size)
    out = np.zeros(x.size)
    DOORS[name](x, y, out)
    return out


def told(name, size):
    return hashlib.sha256(values(name, size).tobytes()).hexdigest()


def elsewhere(size, **settings):
    """The hashes, and how many doors came from the cache, in another process with these environment variables."""
    paths = os.pathsep.join(filter(None, sys.path))
    run = subprocess.run(
        [sys.executable, __file__, str(size)],
        env={**os.environ, "PYTHONPATH": paths, "NUMBA_DISABLE_JIT": "0", **settings},
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(run.stdout)


def plain(name, x, y=0.0):
    function = getattr(arithmetic, name)
    found = function(x, y) if name == "power" else function(x)
    assert type(found) is float
    return found


def door(name, x, y=0.0):
    out = np.zeros(1)
    DOORS[name](np.array([x]), np.array([y]), out)
    return float(out[0])


def test_an_element_of_an_array_is_no_different():
    for name in DOORS:
        assert type(getattr(arithmetic, name)(*[np.float64(700.5)] * (2 if name == "power" else 1))) is float


def same(a, b):
    return np.float64(a).tobytes() == np.float64(b).tobytes()


@pytest.mark.parametrize("name", DOORS)
def test_the_bits_are_the_pinned_ones(name):
    assert PINNED["ARITHMETIC"] == ARITHMETIC
    assert told(name, 20_000) == PINNED[name]


def test_another_processor_says_the_same_and_loads_it_from_the_cache(tmp_path):
    for loaded in (0, len(DOORS)):
        found = elsewhere(20_000, NUMBA_CPU_NAME="generic", BAROGRAPH_CACHE=str(tmp_path))
        assert found == {**PINNED, "loaded": loaded}


def test_a_library_for_another_processor_says_the_same():
    tuned = "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F,-AVX"
    found = elsewhere(20_000, GLIBC_TUNABLES=tuned)
    assert {name: found[name] for name in PINNED} == PINNED


def test_plain_python_says_the_same():
    found = elsewhere(400, NUMBA_DISABLE_JIT="1")
    assert {name: found[name] for name in DOORS} == {name: told(name, 400) for name in DOORS}


@pytest.mark.parametrize("name", DOORS)
def test_plain_and_compiled_agree_at_the_edges(name):
    for x in EDGES:
        for y in EDGES if name == "power" else [0.0]:
            assert same(plain(name, x, y), door(name, x, y)), (x, y)


@pytest.mark.parametrize("name", DOORS)
@settings(max_examples=150)
@given(x=some.floats(), y=some.floats() | some.floats(-30, 30) | some.integers(-9, 9).map(float))
def test_plain_and_compiled_agree(name, x, y):
    assert same(plain(name, x, y), door(name, x, y))


@pytest.mark.parametrize(
    ("name", "x", "wanted"),
    [
        *[("exp", 0.0, 1.0), ("exp", -0.0, 1.0), ("exp", INF, INF), ("exp", -INF, 0.0), ("exp", NAN, NAN)],
        *[("exp", 709.782712893384, 1.7976931348622732e308), ("exp", 709.7827128933841, INF), ("exp", -1e300, 0.0)],
        *[("exp", -745.1332191019411, 5e-324), ("exp", -745.1332191019412, 0.0), ("exp", 1.0, math.e)],
        *[("log", 1.0, 0.0), ("log", 0.0, -INF), ("log", -0.0, -INF), ("log", INF, INF), ("log", -1.0, NAN)],
        *[("log", -INF, NAN), ("log", NAN, NAN), ("log", 5e-324, -744.4400719213812)],
        *[("log1p", 0.0, 0.0), ("log1p", -0.0, -0.0), ("log1p", -1.0, -INF), ("log1p", -1.5, NAN)],
        *[("log1p", INF, INF), ("log1p", -INF, NAN), ("log1p", NAN, NAN), ("log1p", 5e-324, 5e-324)],
        *[("expm1", 0.0, 0.0), ("expm1", -0.0, -0.0), ("expm1", -INF, -1.0), ("expm1", INF, INF)],
        *[("expm1", NAN, NAN), ("expm1", -5e-324, -5e-324), ("expm1", 710.0, INF), ("expm1", -50.0, -1.0)],
        *[("tanh", 0.0, 0.0), ("tanh", -0.0, -0.0), ("tanh", INF, 1.0), ("tanh", -INF, -1.0), ("tanh", NAN, NAN)],
        *[("erfc", 0.0, 1.0), ("erfc", -0.0, 1.0), ("erfc", INF, 0.0), ("erfc", -INF, 2.0), ("erfc", NAN, NAN)],
        *[("erfc", 28.0, 0.0), ("erfc", -28.0, 2.0)],
        *[("lgamma", 1.0, 0.0), ("lgamma", 2.0, 0.0), ("lgamma", INF, INF), ("lgamma", NAN, NAN)],
        *[("lgamma", 3.0, math.log(2.0)), ("lgamma", 1e306, INF), ("lgamma", 0.0, NAN), ("lgamma", -0.5, NAN)],
    ],
)
def test_special_values(name, x, wanted):
    assert same(plain(name, x), wanted)
    assert same(door(name, x), wanted)


@compiled
def each_pow_of_c(x, y, out):
    for i in range(x.size):
        out[i] = math.pow(x[i], y[i])


@pytest.mark.skipif(bool(config.DISABLE_JIT), reason="the library's own pow is behind compiled code")
def test_power_is_what_c_says_it_is():
    edges = [*EDGES, 3.0, -3.0, 1e15, 2.0**53 - 1.0, 1.0 - 2.0**53]
    x, y = np.repeat(edges, len(edges)), np.tile(edges, len(edges))
    wanted, found = np.zeros(x.size), np.zeros(x.size)
    each_pow_of_c(x, y, wanted)
    each_power(x, y, found)
    # To the bit where the answer is exact; elsewhere the library may have rounded otherwise.
    size = np.abs(wanted)
    rounded = (size >= sys.float_info.min) & (size < INF) & (np.abs(x) != 1.0) & (y != 0.0) & (y != 1.0)
    wanted = np.where(np.isnan(wanted), NAN, wanted)
    assert (found.view(np.int64) == wanted.view(np.int64))[~rounded].all()
    assert (np.abs(found[rounded] - wanted[rounded]) <= 2.0 * np.spacing(size[rounded])).all()


def off(found, exact):
    """The distance from the exact value in units of the last place."""
    return float(abs(Decimal(found) - exact) / Decimal(math.ulp(float(exact))))


def drawn(seed, *ranges, each=250):
    rng = np.random.default_rng(seed)
    return [float(x) for low, high in ranges for x in rng.uniform(low, high, each)]


def sizes(seed, low, high, each=250):
    return [math.ldexp(1.0 + x % 1.0, math.floor(x)) for x in drawn(seed, (low, high), each=each)]


def worst(function, exact, arguments):
    with localcontext() as context:
        context.prec = 60
        return max(off(function(x), exact(Decimal(x))) for x in arguments)


def test_exp_is_right_also_where_it_is_nearly_nothing():
    arguments = drawn(1, (-1, 1), (-30, 30), (-745, 709.7), (-0.006, 0.006), (-745, -708), (709.7, 709.78))
    # A result below 2**-1022 is rounded twice.
    assert worst(exp, Decimal.exp, arguments) < 0.76


def test_exp_is_right():
    assert worst(exp, Decimal.exp, drawn(2, (-1, 1), (-708, 709), each=500)) < 0.51


def test_log_is_right():
    near = [1.0 + s * x for s in (-1.0, 1.0) for x in sizes(3, -52, -2)]
    arguments = [*drawn(4, (0.5, 2), (0, 100)), *sizes(5, -1074, 1023), *sizes(6, -1074, -1022), *near]
    assert worst(log, Decimal.ln, [x for x in arguments if x != 1.0]) < 0.51


def test_log1p_is_right():
    def exact(x):
        with localcontext() as context:
            context.prec = 150
            return (1 + x).ln()

    arguments = [*drawn(7, (-0.999, 2), (-0.01, 0.01), each=100), *sizes(8, -50, 1023, each=100)]
    assert worst(log1p, exact, [*arguments, *(-x for x in sizes(9, -54, -1, each=100))]) < 0.75


def test_expm1_is_right():
    arguments = [*drawn(10, (-1, 1), (-40, 60), (-0.01, 0.01)), *(-x for x in sizes(11, -40, -1))]
    with localcontext() as context:
        context.prec = 90
        assert max(off(expm1(x), Decimal(x).exp() - 1) for x in arguments) < 0.51


def test_tanh_is_right():
    def exact(x):
        twice = (2 * x).exp()
        return (twice - 1) / (twice + 1)

    assert worst(tanh, exact, [*drawn(12, (-1, 1), (-21, 21)), *sizes(13, -26, -1)]) < 0.52


def test_power_is_right():
    rng = np.random.default_rng(14)
    pairs = [(x, float(rng.uniform(-700, 700)) / math.log(x)) for x in drawn(15, (0, 0.9), (1.1, 10), (10, 1e9))]
    pairs += [(x, float(rng.uniform(-13000, 13000))) for x in drawn(16, (0.95, 1.05), each=500)]
    pairs += [(1.0 + x, float(rng.uniform(-700, 700)) / x) for x in sizes(17, -40, -5)]
    pairs += [(x, float(rng.uniform(-0.9, 0.9))) for x in sizes(18, -1074, 1023)]
    with localcontext() as context:
        context.prec = 60
        assert max(off(power(x, y), (Decimal(y) * Decimal(x).ln()).exp()) for x, y in pairs) < 0.52


def exact_erfc(x):
    """By 1 - erf, with the digits that 1 - erf takes: the series of positive terms, exp(-x * x) x**(2 n + 1) / ..."""
    with localcontext() as context:
        context.prec = 40 + int(abs(x) * abs(x))
        total = term = x
        n = 0
        while abs(term) > abs(total).scaleb(-context.prec):
            n += 1
            term *= 2 * x * x / (2 * n + 1)
            total += term
        return 1 - 2 / pi().sqrt() * (-x * x).exp() * total


@cache
def pi(digits=400):
    """Machin's formula."""

    def arc(n):
        total = term = 10 ** (digits + 10) // n
        for k in range(3, 3 * digits, 2):
            term //= -n * n
            total += term // k
        return total

    # Text is not rounded to the digits of the caller's context.
    return Decimal(f"{16 * arc(5) - 4 * arc(239)}e{-digits - 10}")


def test_erfc_is_right():
    arguments = [*drawn(17, (-3, 6), each=80), *drawn(18, (6, 26.4), each=20), *drawn(19, (0.74, 1), each=40)]
    assert max(off(erfc(x), exact_erfc(Decimal(x))) for x in arguments) < 1.8
    # Where it is below the smallest normal number, a last place is 2**-1074.
    assert max(off(erfc(x), exact_erfc(Decimal(x))) for x in drawn(20, (26.6, 27.2), each=5)) < 1.0


def bernoulli(count):
    found = [Fraction(1)]
    for m in range(1, count):
        found.append(-sum(math.comb(m + 1, k) * found[k] for k in range(m)) / (m + 1))
    return found


BERNOULLI = bernoulli(40)


def exact_lgamma(x):
    """By Stirling's series at x + 30, less the logarithm of the factors between."""
    with localcontext() as context:
        context.prec = 120
        factors = Decimal(1)
        while x < 30:
            factors *= x
            x += 1
        total = (x - Decimal("0.5")) * x.ln() - x + (2 * pi()).ln() / 2
        for k in range(2, 40, 2):
            total += Decimal(BERNOULLI[k].numerator) / BERNOULLI[k].denominator / (k * (k - 1)) / x ** (k - 1)
        return total - factors.ln()


def test_lgamma_is_right():
    near = [c + s * x for c in (1.0, 2.0) for s in (-1.0, 1.0) for x in sizes(21, -30, -2, each=25)]
    arguments = [*drawn(22, (0, 3), (3, 9), (1.3, 1.5), (9, 1000), each=100), *near, *sizes(23, 10, 1000, each=50)]
    assert max(off(lgamma(x), exact_lgamma(Decimal(x))) for x in arguments) < 1.6


def test_exp_and_log_never_fall_where_their_argument_grows():
    edges = np.concatenate([(np.arange(-2000, 2000) + 0.5) * (math.log(2.0) / 128), np.arange(0.5, 4.0, 1 / 1024)])
    for steps in range(-3, 4):
        x = edges + steps * np.spacing(edges)
        for name, z in (("exp", x), ("log", np.abs(x))):
            lower, upper = np.zeros(z.size), np.zeros(z.size)
            DOORS[name](z, z, lower)
            DOORS[name](np.nextafter(z, INF), z, upper)
            assert (lower <= upper).all(), name


def test_the_tables_are_what_their_formulas_say():
    with localcontext() as context:
        context.prec = 50
        two = Decimal(2).ln()
        for i in range(128):
            root = (two * i / 128).exp()
            assert arithmetic_tables.ROOTS[0, i] == float(root)
            assert arithmetic_tables.ROOTS[1, i] == float(root - Decimal(float(root)))
            inverse, first, rest = (Decimal(float(v)) for v in arithmetic_tables.LOGS[:, i])
            assert inverse * 512 % 1 == 0
            assert first * 2**42 % 1 == 0
            assert abs(first + rest + inverse.ln()) < Decimal(10) ** -28
            left = Decimal("0.6875") + Decimal(i) / 256 if i < 80 else 1 + Decimal(i - 80) / 128
            right = left + (Decimal(1) / 256 if i < 80 else Decimal(1) / 128)
            assert max(abs(left * inverse - 1), abs(right * inverse - 1)) <= Decimal(1) / 128
        assert abs(Decimal(arithmetic_tables.LOG2) + Decimal(arithmetic_tables.LOG2_REST) - two) < Decimal(10) ** -28
        assert (
            abs(Decimal(arithmetic_tables.PART) + Decimal(arithmetic_tables.PART_REST) - two / 128) < Decimal(10) ** -28
        )
        assert abs(arithmetic_tables._PI - pi()) < Decimal(10) ** -48


def test_the_numbers_of_lgamma_are_what_their_formulas_say():
    with localcontext() as context:
        context.prec = 50
        found = arithmetic_tables._zetas(110)
        for k, zeta in enumerate(found[:32], 2):
            end = Decimal(200)
            exact = sum(Decimal(n) ** -k for n in range(2, 200)) + end ** (1 - k) / (k - 1) + end**-k / 2
            exact += k * end ** (-k - 1) / 12 - k * (k + 1) * (k + 2) * end ** (-k - 3) / 720
            exact += k * (k + 1) * (k + 2) * (k + 3) * (k + 4) * end ** (-k - 5) / 30240
            assert abs(zeta - exact) < Decimal(10) ** -19 * exact
        # lgamma(3) = log 2 by the series gives Euler's constant.
        series = sum(zeta / k * (-1) ** k for k, zeta in enumerate(found, 2))
        assert abs(1 - arithmetic_tables._EULER + series - Decimal(2).ln()) < Decimal(10) ** -28
    for k, number in enumerate(arithmetic_tables.STIRLING, 1):
        assert number == float(BERNOULLI[2 * k] / (2 * k * (2 * k - 1)))


if __name__ == "__main__":
    size = int(sys.argv[1])
    hashes = {name: told(name, size) for name in DOORS}
    kept = [] if config.DISABLE_JIT else [d.dispatcher.stats.cache_hits for d in DOORS.values()]
    loaded = sum(sum(hits.values()) for hits in kept)
    print(json.dumps({"ARITHMETIC": ARITHMETIC, **hashes, "loaded": loaded}))
