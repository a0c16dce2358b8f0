"""Numbers as people read them, and what they say in a sentence: no more than the sample allows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["a_year", "bound_rows", "bound_words", "comparison", "counted", "money", "number", "one_market", "percent",
           "regime_names", "told_apart", "verdict"]  # fmt: skip

Metrics = Mapping[str, float | None]

_NOTHING = "–"
# Below this many years even a Sharpe ratio of 1 is within two standard errors of 0 (Lo 2002: se ≈ √(1 / years)).
_SHORT_YEARS = 4.0
# A return of less than a year is not made one of a year (the Global Investment Performance Standards forbid it).
_YEAR = 1.0


def a_year(metrics: Metrics) -> bool:
    """Tell whether the sample is long enough for a growth a year.

    >>> a_year({"years": 0.4}), a_year({"years": 1.0})
    (False, True)
    """
    return (metrics.get("years") or 0.0) >= _YEAR


def percent(value: float | None, digits: int = 1, sign: bool = False) -> str:
    """Return a share as a percentage, with a true minus sign; an en dash for what cannot be told.

    >>> percent(-0.5678), percent(0.031, sign=True), percent(None)
    ('−56.8 %', '+3.1 %', '–')
    """
    return number(None if value is None else value * 100, digits, sign, " %")


def number(value: float | None, digits: int = 2, sign: bool = False, unit: str = "") -> str:
    """Return a number with thousands separators and a true minus sign.

    >>> number(-1234.5, 1), number(float("nan")), number(-0.001)
    ('−1,234.5', '–', '0.00')
    """
    if value is None or not math.isfinite(value):
        return _NOTHING
    # Adding 0 turns −0 into 0: a rounded nothing has no sign.
    rounded = round(value, digits) + 0.0
    text = f"{rounded:+,.{digits}f}" if sign and rounded else f"{rounded:,.{digits}f}"
    return text.replace("-", "−") + unit


def money(value: float | None) -> str:
    """Return an amount: no cents where they do not matter.

    >>> money(123456.7), money(3.14159)
    ('123,457', '3.14')
    """
    return number(value, 2 if value is not None and abs(value) < 100 else 0)


def counted(number: int, thing: str) -> str:
    """Return a number of things.

    >>> counted(1, "fill"), counted(1200, "fill")
    ('1 fill', '1,200 fills')
    """
    return f"{number:,} {thing}{'s' * (number != 1)}"


def regime_names(states: int) -> list[str]:
    """Return what the regimes are called, calmest first.

    >>> regime_names(3)
    ['0 calm', '1 middle', '2 turbulent']
    """
    middle = ["1 middle"] if states == 3 else [str(k) for k in range(1, states - 1)]
    return ["0 calm", *middle, f"{states - 1} turbulent"] if states > 1 else ["0"]


def verdict(metrics: Metrics) -> str:
    """Say what a run shows against buy and hold, and what it does not.

    >>> print(verdict({"years": 20.0, "fills": 40, "cost_rate": 0.004, "excess_cagr": -0.031,
    ...     "max_drawdown": -0.19, "benchmark_max_drawdown": -0.57, "benchmark_sharpe": 0.28,
    ...     "sharpe": 0.5, "sharpe_low": 0.1, "sharpe_high": 0.9, "sharpe_difference": 0.22,
    ...     "sharpe_difference_low": -0.2, "sharpe_difference_high": 0.6}).replace(". ", ".\\n").replace("; ", ";\\n"))
    Against buy and hold it cut the largest drawdown from −57 % to −19 % and gave up 3.1 % a year, after costs of 0.4 %.
    The Sharpe ratio is 0.50 with a 95 % interval of [0.10, 0.90];
    its difference from buy and hold's 0.28 lies in [−0.20, 0.60], which contains 0: this sample does not decide.
    """
    if metrics.get("fills") == 0:
        return "No order was ever filled: this result is idle cash and says nothing about the strategy."
    parts = [_comparison(metrics), _certainty(metrics), _length(metrics), _markets(metrics)]
    return " ".join(part for part in parts if part)


def _comparison(metrics: Metrics) -> str:
    fall, growth = _fall(metrics), _growth(metrics)
    if not fall or not growth:
        return ""
    cut, gained = fall.startswith("cut"), growth.startswith("gained")
    word = "and" if not cut or not gained else "and also"
    costs = f", after costs of {percent(metrics.get('cost_rate'))}" if a_year(metrics) else ", after costs"
    return f"Against buy and hold it {fall} {word} {growth}{costs}."


def _fall(metrics: Metrics) -> str:
    ours, theirs = metrics.get("max_drawdown"), metrics.get("benchmark_max_drawdown")
    if ours is None or theirs is None:
        return ""
    if abs(ours - theirs) < 0.005:
        return f"had about the same largest drawdown ({percent(ours, 0)})"
    verb = "cut" if ours > theirs else "deepened"
    return f"{verb} the largest drawdown from {percent(theirs, 0)} to {percent(ours, 0)}"


def _growth(metrics: Metrics) -> str:
    edge, each = metrics.get("excess_cagr"), " a year"
    if not a_year(metrics):
        edge, each = _difference(metrics, "total_return"), ""
    if edge is None:
        return ""
    if abs(edge) < 0.0005:
        return "earned about the same"
    return f"{'gained' if edge > 0 else 'gave up'} {percent(abs(edge))}{each}"


def _difference(metrics: Metrics, key: str) -> float | None:
    ours, theirs = metrics.get(key), metrics.get(f"benchmark_{key}")
    return None if ours is None or theirs is None else ours - theirs


def _certainty(metrics: Metrics) -> str:
    sharpe, low, high = (metrics.get(key) for key in ("sharpe", "sharpe_low", "sharpe_high"))
    if sharpe is None or low is None or high is None:
        return "The Sharpe ratio cannot be told from these bars."
    said = f"The Sharpe ratio is {number(sharpe)} with a 95 % interval of [{number(low)}, {number(high)}]"
    gap, below, above = (metrics.get(f"sharpe_difference{end}") for end in ("", "_low", "_high"))
    if gap is None or below is None or above is None:
        return f"{said}."
    if below == above == 0:
        return f"{said}, that of buy and hold itself."
    where = f"its difference from buy and hold's {number(metrics.get('benchmark_sharpe'))} lies in "
    return f"{said}; {where}[{number(below)}, {number(above)}], {_decision(below, above)}."


def _decision(low: float, high: float) -> str:
    if low <= 0 <= high:
        return "which contains 0: this sample does not decide"
    side = "above" if low > 0 else "below"
    return f"wholly {side} 0: on this one history, risk was paid {'better' if low > 0 else 'worse'}"


def _length(metrics: Metrics) -> str:
    years = metrics.get("years")
    if years is None or years >= _SHORT_YEARS:
        return ""
    return f"{number(years, 1)} years are too few to tell skill from luck."


def _markets(metrics: Metrics) -> str:
    """Say that several markets met in one account: their bars are no equal steps, so a year counts days."""
    count, days, years = (metrics.get(key) for key in ("calendars", "returns", "years"))
    if count is None or count < 2 or days is None or not years:
        return ""
    return (
        f"The rows of this run come from {count:.0f} calendars: each asset fills at its own market's next open, and "
        f"returns are compounded by day, {number(days / years, 0)} days a year."
    )


_MEASURES = (
    ("Total return", "total_return", percent),
    ("Growth a year", "cagr", percent),
    ("Sharpe ratio", "sharpe", number),
    ("Drawdown", "max_drawdown", percent),
)
_VERDICTS = {"sign": "whether it earned anything", "hold": "whether it beat buy and hold"}


def bound_rows(bounds: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Return each measure's name, its [pessimistic, optimistic] interval, and its value on the nearest path.

    >>> paths = {"pessimistic": {"sharpe": 0.2}, "nearest": {"sharpe": 0.35}, "optimistic": {"sharpe": 0.41}}
    >>> bound_rows({"paths": paths})[2]
    ('Sharpe ratio', '[0.20, 0.41]', '0.35')
    """
    paths = bounds["paths"]
    low, middle, high = (paths[name] for name in ("pessimistic", "nearest", "optimistic"))
    return [
        (title, f"[{form(low.get(key))}, {form(high.get(key))}]", form(middle.get(key)))
        for title, key, form in _MEASURES
    ]


def bound_words(bounds: Mapping[str, Any]) -> str:
    """Say what the way through the bars decides.

    >>> bound_words({"resting": True, "flips": ["sign"], "stopped": {}, "paths": {}})
    'The verdict flips: whether it earned anything depends on the way prices took inside the bars.'
    """
    if not bounds["resting"]:
        return "No order rested inside a bar: the pessimistic, nearest and optimistic path are one and the same run."
    said = [f"On the {path} path the run ended early: {why}." for path, why in bounds["stopped"].items()]
    if bounds["flips"]:
        which = " and ".join(_VERDICTS[name] for name in bounds["flips"])
        verb = "depend" if len(bounds["flips"]) > 1 else "depends"
        said.append(f"The verdict flips: {which} {verb} on the way prices took inside the bars.")
    elif _one(bounds["paths"]):
        said.append("Orders rested inside bars, and every path through them gives the same figures.")
    else:
        said.append("The verdict is the same on every path through the bars.")
    worst, best = (bounds["paths"].get(name, {}).get("total_return") for name in ("pessimistic", "optimistic"))
    if worst is not None and best is not None and worst > best:
        said.append("The optimistic path earned less here: a path acts on later bars too, and moves trailing stops.")
    return " ".join(said)


def _one(paths: Mapping[str, Any]) -> bool:
    """Tell whether all paths came to the same, as far as the page shows it."""
    shown = [{form(values.get(key)) for values in paths.values()} for _, key, form in _MEASURES]
    return all(len(texts) == 1 for texts in shown)


def told_apart(names: Sequence[str], places: Sequence[Path]) -> list[str]:
    """Return names no two of which are the same: namesakes are called by the shortest ends of their paths that differ.

    >>> told_apart(["c", "c", "d"], [Path("x/a/c"), Path("x/b/c"), Path("x/d")])
    ['a/c', 'b/c', 'd']
    """
    ends = [
        name if names.count(name) == 1 else _end(place, [p for p in places if p != place])
        for name, place in zip(names, places, strict=True)
    ]
    # One path twice, or an end that is another's name.
    counts = [ends[:n].count(end) for n, end in enumerate(ends)]
    return [f"{end} ({n + 1})" if n else end for end, n in zip(ends, counts, strict=True)]


def _end(place: Path, others: Sequence[Path]) -> str:
    for n in range(1, len(place.parts)):
        if all(other.parts[-n:] != place.parts[-n:] for other in others):
            return "/".join(place.parts[-n:])
    return place.as_posix()


def comparison(runs: Mapping[str, Metrics]) -> str:
    """Say what a table of runs shows and does not show, in a sentence or two.

    >>> flat = {"max_drawdown": -0.5, "benchmark_max_drawdown": -0.6, "excess_cagr": -0.01, "sharpe": 0.4,
    ...     "sharpe_difference_low": -0.1, "sharpe_difference_high": 0.3}
    >>> print(comparison({"filter": flat, "target": flat | {"sharpe": 0.5}}).replace(". ", ".\\n"))
    Of 2 runs, 2 fell less than buy and hold and 0 grew faster; the highest Sharpe ratio is target's, 0.50.
    No run's Sharpe ratio differs from buy and hold's beyond its 95 % interval: this sample does not decide.
    Choosing the best of 2 favours luck, which these intervals do not deduct.
    """
    known = {name: m for name, m in runs.items() if m.get("sharpe") is not None}
    if not known:
        return "No run has a Sharpe ratio: nothing can be compared."
    calmer = sum(_above(m.get("max_drawdown"), m.get("benchmark_max_drawdown"), 0.005) for m in runs.values())
    faster = sum(_above(m.get("excess_cagr"), 0.0, 0.0005) for m in runs.values())
    best = max(known, key=lambda name: known[name]["sharpe"] or 0.0)
    return (
        f"Of {len(runs)} runs, {calmer} fell less than buy and hold and {faster} grew faster; "
        f"the highest Sharpe ratio is {best}'s, {number(known[best]['sharpe'])}. {_decided(runs)} "
        f"Choosing the best of {len(runs)} favours luck, which these intervals do not deduct."
        f"{'' if one_market(runs.values()) else ' They trade different markets: each has its own buy and hold.'}"
        f"{_counted(runs)}"
    )


def _counted(runs: Mapping[str, Metrics]) -> str:
    several = [name for name, m in runs.items() if _above(m.get("calendars"), 1.0, 0.0)]
    return f" {', '.join(several)}: on several calendars, where a year counts days." if several else ""


def one_market(runs: Iterable[Metrics]) -> bool:
    """Tell whether all runs are held against the same buy and hold."""
    return len({m.get("benchmark_total_return") for m in runs}) < 2


def _decided(runs: Mapping[str, Metrics]) -> str:
    better = [name for name, m in runs.items() if _above(m.get("sharpe_difference_low"), 0.0, 0.0)]
    worse = [name for name, m in runs.items() if _above(0.0, m.get("sharpe_difference_high"), 0.0)]
    if not better and not worse:
        return (
            "No run's Sharpe ratio differs from buy and hold's beyond its 95 % interval: this sample does not decide."
        )
    said = [f"{', '.join(names)} {word}" for names, word in ((better, "better"), (worse, "worse")) if names]
    return f"Beyond the 95 % interval of the difference from buy and hold's Sharpe ratio: {'; '.join(said)}."


def _above(value: float | None, other: float | None, by: float) -> bool:
    return value is not None and other is not None and value > other + by
