"""The terms of trade: one noun, its bounds in one place, and the numbers that the step wants.

A config's table `[execution]` takes keys, defaults, bounds and descriptions from here: a new term is one edit.
"""

from __future__ import annotations

import inspect
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from itertools import pairwise
from operator import ge, gt, le, lt
from types import MethodType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from barograph.errors import ConfigError, DataError, nearest
from barograph.execution.options import ACCOUNTS, FILLS, FREE, GUARDED, MINIMUMS, MODES, PATHS
from barograph.types import Floats

if TYPE_CHECKING:
    from barograph.data.rates import Rate
    from barograph.execution.book import Rules

__all__ = ["MOST_GUARDS", "TIERS_WANTED", "Guard", "Switch", "Terms", "tier_rows"]

MOST_GUARDS: Final = 16
"""As many guards a machine may have."""

_BY_MODE: Final = {word: number for number, word in MODES.items() if number != FREE}


@dataclass(frozen=True)
class Guard:
    """One limit: `on` what, the `limit`, what happens beyond it, and for how many bars it holds on afterwards.

    `on` is drawdown or daily_loss (fractions of the high-water mark, of the last day's equity), gross, net or position
    (fractions of equity), turnover (value traded this calendar month over equity), stop_out (stop-losses filled in one
    bar) or kill (`limit` is then a date). A drawdown guard holds for good, or with `cool_down` for so many bars, after
    which the high-water mark begins anew.

    >>> Guard("drawdown", 0.2, "flatten").row()
    (19.0, 0.2, 3.0, 0.0)

    Raises `ConfigError` naming what cannot be meant.
    """

    on: str
    limit: float | str
    mode: str = "no_new_risk"
    cool_down: int = 0

    def __post_init__(self) -> None:
        """Refuse a limit that cannot be kept."""
        if not isinstance(self.on, str) or self.on not in GUARDED:
            hint = nearest(str(self.on), GUARDED)
            raise ConfigError(f"guard on {_shown(self.on)}; wanted one of {', '.join(GUARDED)}{hint}")
        if not isinstance(self.mode, str) or self.mode not in _BY_MODE:
            wanted = ", ".join(_BY_MODE)
            raise ConfigError(f"guard on {self.on}: mode is {_shown(self.mode)}; wanted one of {wanted}")
        number = _is_number(self.limit)
        if isinstance(self.limit, str) != (self.on == "kill") or not (number or isinstance(self.limit, str)):
            wanted = "a date, as in '2024-07-01'" if self.on == "kill" else "a number"
            raise ConfigError(f"guard on {self.on}: limit is {_shown(self.limit)}; wanted {wanted}")
        most = 1.0 if self.on in ("drawdown", "daily_loss") else math.inf
        if not isinstance(self.limit, str) and not 0.0 < self.limit < most:
            wanted = "a fraction between 0 and 1 (20 % is 0.2)" if most == 1.0 else "a number above 0"
            raise ConfigError(f"guard on {self.on}: limit is {self.limit}; wanted {wanted}")
        if not _is_number(self.cool_down, int | np.integer) or self.cool_down < 0:
            found = _shown(self.cool_down)
            raise ConfigError(f"guard on {self.on}: cool_down is {found}; wanted a number of bars, at least 0")
        try:
            self.row()
        except DataError:
            raise ConfigError(f"guard on kill: limit is {self.limit!r}; wanted a date, as in '2024-07-01'") from None

    def row(self) -> tuple[float, float, float, float]:
        """Return the guard as the compiled step wants it."""
        from barograph.data.calendars import span_of
        from barograph.execution.guards import GUARDS

        limit = float(span_of(self.limit, None)[0]) if isinstance(self.limit, str) else float(self.limit)
        return float(GUARDS[self.on]), limit, float(_BY_MODE[self.mode]), float(self.cool_down)


@dataclass(frozen=True)
class Switch:
    """A guard that somebody outside turns on and off: nothing that is measured ever does.

    `reason` is the number, in `barograph.execution.events.REASONS`, that orders it stops are given.
    """

    reason: int
    mode: str

    def row(self) -> tuple[float, float, float, float]:
        """Return the switch as the compiled step wants a guard: one whose limit is never reached."""
        return float(self.reason), math.inf, float(_BY_MODE[self.mode]), 0.0


def _term(default: Any, about: str, **bounds: Any) -> Any:
    """Declare a term: its default, what it is, its bounds (ge, gt, le, lt, or `one_of`); a `series` may be a `Rate`."""
    return field(default=default, metadata={"about": about, **bounds})


@dataclass(frozen=True)
class Terms:
    """What trading costs and what is allowed; the defaults are honest: costs on, financing on when borrowed.

    Fees, slippage, spread and band are fractions (5 % is 0.05), rates are a year, actual/365; `docs/execution.md`
    says clause by clause what each does.

    >>> Terms(fee=0.001).fee
    0.001
    >>> Terms(fee=0.7)
    Traceback (most recent call last):
    barograph.errors.ConfigError: fee is 0.7; wanted a number of at least 0 and below 0.5 (a fraction: 5 % is 0.05)

    Raises `ConfigError` naming the first term that cannot be meant.
    """

    cash: float = _term(1_000_000.0, "starting cash", gt=0.0)
    fill: str = _term("next_open", "where targets and market orders fill", one_of=FILLS)
    path: str = _term("pessimistic", "which extreme of a bar comes first", one_of=PATHS)
    fee: float = _term(0.0005, "taker's fee, a fraction of the traded value", ge=0.0, lt=0.5)
    maker_fee: float | None = _term(None, "fee of a limit order that waited; default: fee", ge=-0.01, lt=0.5)
    unit_fee: float = _term(0.0, "money a unit", ge=0.0)
    fixed_fee: float = _term(0.0, "money a fill", ge=0.0)
    minimum_fee: float = _term(0.0, "least fee, beside the fixed one, of an order or of a fill", ge=0.0)
    minimum_fee_of: str = _term("order", "what pays minimum_fee once: an order, or every fill", one_of=MINIMUMS)
    tiers: Sequence[Sequence[float]] = _term(
        (), "rows [value traded this month, fee, maker_fee]: the fees from there on", rows=True
    )
    slippage: float = _term(0.0002, "fraction of the price, never beyond the bar", ge=0.0, lt=0.5)
    spread: float = _term(0.0, "bid to ask, a fraction; half of it is paid", ge=0.0, lt=0.5)
    volatility_slippage: float = _term(0.0, "slippage in volatilities of one bar", ge=0.0)
    impact: float = _term(0.0, "slippage in volatilities times √(quantity / volume)", ge=0.0)
    lot: float = _term(0.0, "step of quantities; 0 is any quantity", ge=0.0)
    tick: float = _term(0.0, "step of prices; 0 is any price", ge=0.0)
    min_notional: float = _term(0.0, "smallest value of an order; closing is always allowed", ge=0.0)
    participation: float = _term(0.0, "most of a bar's volume taken; 0 is no cap", ge=0.0, le=1.0)
    account: str = _term("margin", "a cash account sells only what it holds and borrows nothing", one_of=ACCOUNTS)
    leverage: float = _term(1.0, "highest gross exposure, as a multiple of equity", gt=0.0)
    maintenance: float = _term(0.25, "equity over gross below which positions are closed", ge=0.0, le=1.0)
    warning: float = _term(0.30, "equity over gross below which a warning is logged, if above maintenance", ge=0.0)
    borrow_rate: float | Rate = _term(
        0.05,
        "yearly rate on negative cash, actual/365: a number, or a part that returns a Rate",
        ge=0.0,
        lt=2.0,
        series=True,
    )
    cash_rate: float | Rate = _term(
        0.0,
        "yearly rate on positive cash, actual/365: a number, or a part that returns a Rate",
        gt=-1.0,
        lt=2.0,
        series=True,
    )
    short_rate: float = _term(0.005, "yearly rate on the marked value of shorts, actual/365", ge=0.0, lt=5.0)
    band: float = _term(0.0, "no trade while the weight is nearer to its target than this", ge=0.0)
    resting: int = _term(8, "most orders that rest at one time, an asset", ge=1, le=64)
    guards: Sequence[Guard | Switch] = field(default=(), metadata={"own_table": True})

    def __new__(cls, *_: Any, **given: Any) -> Terms:
        """Tell whoever misspells a term what it may have been."""
        for name in given if cls is Terms else ():
            if name not in cls.__dataclass_fields__:
                known = ", ".join(cls.__dataclass_fields__)
                raise ConfigError(
                    f"{name!r} is no term of trade{nearest(name, cls.__dataclass_fields__)}; they are {known}"
                )
        return super().__new__(cls)

    def __post_init__(self) -> None:
        """Refuse what cannot be meant: each term alone, then together; rows and guards are kept as tuples."""
        for name, told, default, sure in _bounds():
            value = getattr(self, name)
            # What is left as it is, or a plain number within its bounds, need not be looked at again.
            if value is default:
                continue
            if sure is None or type(value) not in sure[0] or not sure[1] <= value <= sure[2]:
                _judge(name, value, told)
        if not isinstance(self.tiers, tuple) or self.tiers:
            object.__setattr__(self, "tiers", tuple(map(tuple, tier_rows(self.tiers).tolist())))
        object.__setattr__(self, "guards", tuple(self.guards))
        self._judge_together()

    def _judge_together(self) -> None:
        if self.account == "cash" and self.leverage > 1.0:
            raise ConfigError(
                f"a cash account has no leverage of {self.leverage}; set account = 'margin' or leverage = 1"
            )
        if self.maintenance * self.leverage > 1.0:
            needed = f"maintenance {self.maintenance} asks for at most {1.0 / self.maintenance:g} times equity"
            raise ConfigError(f"leverage is {self.leverage}, but {needed}; lower one of them")
        if sum(isinstance(guard, Guard) for guard in self.guards) > MOST_GUARDS:
            raise ConfigError(f"there are {len(self.guards)} guards; wanted at most {MOST_GUARDS}")

    def fits_light_book(self) -> bool:
        """Tell whether the light book knows these terms: fees by value and fill, slippage, lot, rates, band."""
        special = (self.unit_fee, self.minimum_fee, self.volatility_slippage, self.impact, self.tick)
        more = (self.min_notional, self.participation)
        return not any(special) and not any(more) and len(self.tiers) == 0 and self.account == "margin"

    def rules(self, traded: Sequence[bool]) -> Rules:
        """Return the terms as the compiled step wants them."""
        from barograph.execution.book import Rules
        from barograph.execution.grid import grid_of

        return Rules(
            fee=float(self.fee),
            maker_fee=float(self.fee if self.maker_fee is None else self.maker_fee),
            unit_fee=float(self.unit_fee),
            fixed_fee=float(self.fixed_fee),
            minimum_fee=float(self.minimum_fee),
            minimum_by_order=1 if self.minimum_fee_of == "order" else 0,
            tiers=tier_rows(self.tiers) if self.tiers else np.empty((0, 3)),
            slippage=float(self.slippage) + 0.5 * float(self.spread),
            volatility_slippage=float(self.volatility_slippage),
            impact=float(self.impact),
            lot=grid_of(self.lot),
            tick=grid_of(self.tick),
            min_notional=float(self.min_notional),
            leverage=float(self.leverage),
            shorts=1 if self.account == "margin" else 0,
            maintenance=float(self.maintenance),
            warning=max(float(self.warning), float(self.maintenance)),
            short_rate=float(self.short_rate),
            participation=float(self.participation),
            path=PATHS.index(self.path),
            band=float(self.band),
            fill=FILLS.index(self.fill),
            traded=np.array(traded, dtype=np.int64),
            guards=np.array([guard.row() for guard in self.guards]).reshape(len(self.guards), 4),
        )


class _Bounds(NamedTuple):
    """A term's name, what is told of it, its default, and the kinds and bounds of a number that is sure to be sound."""

    name: str
    told: Mapping[str, Any]
    default: Any
    sure: tuple[tuple[type, ...], float, float] | None


@cache
def _bounds() -> list[_Bounds]:
    """Return what is known of each term. Written down once: a sweep makes thousands of terms."""
    found: list[_Bounds] = []
    for term in fields(Terms):
        told, sure = term.metadata, None
        if "ge" in told or "gt" in told:
            low = told["ge"] if "ge" in told else math.nextafter(told["gt"], math.inf)
            high = told["le"] if "le" in told else math.nextafter(told["lt"], 0.0) if "lt" in told else LARGEST
            sure = ((int,) if isinstance(told.get("ge"), int) else (int, float), low, high)
        found.append(_Bounds(term.name, told, term.default, sure))
    return found


def _judge(name: str, value: Any, told: Mapping[str, Any]) -> None:
    """Raise `ConfigError` when one term is beyond its bounds, or no number where one is wanted."""
    if "rows" in told:
        tier_rows(value)
    elif "one_of" in told:
        if not isinstance(value, str) or value not in told["one_of"]:
            hint = nearest(str(value), told["one_of"])
            raise ConfigError(f"{name} is {_shown(value)}; wanted one of {', '.join(told['one_of'])}{hint}")
    elif "own_table" in told:
        if not isinstance(value, Sequence) or isinstance(value, str):
            raise ConfigError(f"guards is {_shown(value)}; wanted a list of bg.Guard(on, limit, mode)")
        strange = [guard for guard in value if not isinstance(guard, Guard | Switch)]
        if strange:
            raise ConfigError(f"guards holds {_shown(strange[0])}; wanted bg.Guard(on, limit, mode)")
    elif not (value is None and name == "maker_fee") and not (told.get("series") and _is_rate(value)):
        _judge_number(name, value, told)


def _is_rate(value: Any) -> bool:
    from barograph.data.rates import Rate

    return isinstance(value, Rate)


LARGEST: Final = sys.float_info.max
_WITHIN: Final[dict[str, Callable[[Any, Any], bool]]] = {"ge": ge, "gt": gt, "le": le, "lt": lt}


_NUMBER: Final = int | float | np.integer | np.floating


def _is_number(value: Any, kinds: Any = _NUMBER) -> bool:
    """Tell whether it is a finite number; to Python a truth is one, and to numpy a time difference."""
    if not isinstance(value, kinds) or isinstance(value, bool | np.timedelta64):
        return False
    return bool(abs(value if isinstance(value, int) else float(value)) <= LARGEST)


def _judge_number(name: str, value: Any, told: Mapping[str, Any]) -> None:
    kinds = int | np.integer if isinstance(told.get("ge"), int) else _NUMBER
    if not _is_number(value, kinds) or not all(_WITHIN[key](value, told[key]) for key in _WITHIN if key in told):
        raise ConfigError(f"{name} is {_shown(value)}; wanted {_wish(told)}")


def _shown(value: Any) -> str:
    """Spell what was found on one line, and not all of it where it is long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."


def _wish(told: Mapping[str, Any]) -> str:
    words = {"ge": "of at least", "gt": "above", "le": "up to", "lt": "below"}
    bounds = " and ".join(f"{word} {told[key]:g}" for key, word in words.items() if key in told)
    # What has a small upper bound is a fraction, and what breaks it is usually a percentage.
    whole = " whole" if isinstance(told.get("ge"), int) else ""
    fraction = " (a fraction: 5 % is 0.05)" if told.get("lt", told.get("le", math.inf)) <= 5 else ""
    return f"a{whole} number {bounds}{fraction}{', or a series' if told.get('series') else ''}"


TIERS_WANTED: Final = (
    "wanted rows [value traded this month, fee, maker_fee], the values rising, the fees fractions, as in "
    "[[0, 0.001, 0.0005], [1000000, 0.0008, 0.0004]]"
)


def tier_rows(tiers: Any) -> Floats:
    """Return the fee tiers as (J, 3), or refuse them. Raises `ConfigError`."""
    listed = isinstance(tiers, Sequence | np.ndarray) and not isinstance(tiers, str) and getattr(tiers, "ndim", 1) > 0
    rows: list[Any] = list(tiers) if listed else [0]
    sound = all(map(_is_tier, rows)) and all(row[0] > before[0] for before, row in pairwise(rows))
    if not sound:
        raise ConfigError(f"tiers is {_shown(tiers)}; {TIERS_WANTED}")
    return np.array([list(map(float, row)) for row in rows]).reshape(len(rows), 3)


def _is_tier(row: Any) -> bool:
    if not isinstance(row, Sequence | np.ndarray) or getattr(row, "ndim", 1) == 0:
        return False
    if len(row) != 3 or not all(_is_number(x) for x in row):
        return False
    return bool(row[0] >= 0 and 0 <= row[1] < 0.5 and -0.01 <= row[2] < 0.5)


# What a notebook shows of it: `__new__` takes anything, so that a misspelt term is told in our words.
Terms.__signature__ = inspect.signature(MethodType(Terms.__init__, Terms))  # type: ignore[attr-defined]
