"""What a config may say: its tables and keys, their types, bounds and defaults."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Annotated, Any, Literal, cast

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from barograph.config.paper import PaperPlan
from barograph.config.parts import Part, Strict
from barograph.config.secrets import redacted

__all__ = ["Config", "Execution", "FitPlan", "GuardPlan", "Period"]


class FitPlan(Strict):
    """When the model learns: see `barograph.Fit`."""

    window: int = Field(ge=2, description="training window, in bars")
    every: int | Literal["week", "month", "quarter", "year", "never"] = "year"
    expanding: bool = False
    embargo: int = Field(default=0, ge=0, description="bars left out between training window and decision bar")


class Period(Strict):
    """What part of the data is decided on; earlier bars warm up features and train the model."""

    start: str | int | None = Field(default=None, description="first decided bar: a date or an index")
    end: str | None = Field(default=None, description="last date used")


class Execution(Strict):
    """The terms of trade; the defaults are honest: costs on, financing on when borrowed."""

    cash: float = Field(default=1_000_000.0, gt=0, description="starting cash")
    fill: Literal["next_open", "next_close", "same_close"] = Field(
        default="next_open", description="where targets and market orders fill"
    )
    path: Literal["pessimistic", "optimistic", "nearest"] = Field(
        default="pessimistic", description="which extreme of a bar comes first"
    )
    fee: float = Field(default=0.0005, ge=0, lt=0.5, description="taker's fee, a fraction of the traded value")
    maker_fee: float | None = Field(
        default=None, ge=-0.01, lt=0.5, description="fee of a limit order that waited; default: fee"
    )
    unit_fee: float = Field(default=0.0, ge=0, description="money a unit")
    fixed_fee: float = Field(default=0.0, ge=0, description="money a fill")
    minimum_fee: float = Field(default=0.0, ge=0, description="least fee of a fill, beside the fixed one")
    tiers: list[list[float]] = Field(
        default=[], description="rows [value traded this month, fee, maker_fee]: the fees from there on"
    )
    slippage: float = Field(default=0.0002, ge=0, lt=0.5, description="fraction of the price, never beyond the bar")
    spread: float = Field(default=0.0, ge=0, lt=0.5, description="bid to ask, a fraction; half of it is paid")
    volatility_slippage: float = Field(default=0.0, ge=0, description="slippage in volatilities of one bar")
    impact: float = Field(default=0.0, ge=0, description="slippage in volatilities times √(quantity / volume)")
    lot: float = Field(default=0.0, ge=0, description="smallest unit traded; 0 is any quantity")
    tick: float = Field(default=0.0, ge=0, description="step of prices; 0 is any price")
    min_notional: float = Field(default=0.0, ge=0, description="smallest value of an order; closing is always allowed")
    participation: float = Field(default=0.0, ge=0, le=1, description="most of a bar's volume taken; 0 is no cap")
    account: Literal["margin", "cash"] = Field(
        default="margin", description="a cash account sells only what it holds and borrows nothing"
    )
    leverage: float = Field(default=1.0, gt=0, description="highest gross exposure, as a multiple of equity")
    maintenance: float = Field(
        default=0.25, ge=0, le=1, description="equity over gross below which positions are closed"
    )
    warning: float = Field(
        default=0.30, ge=0, description="equity over gross below which a warning is logged, if above maintenance"
    )
    borrow_rate: Annotated[float, Field(ge=0, lt=2)] | Part = Field(
        default=0.05, description="yearly rate on negative cash, actual/365: a number, or a part that returns a Rate"
    )
    cash_rate: Annotated[float, Field(gt=-1, lt=2)] | Part = Field(
        default=0.0, description="yearly rate on positive cash, actual/365: a number, or a part that returns a Rate"
    )
    short_rate: float = Field(
        default=0.005, ge=0, lt=5, description="yearly rate on the marked value of shorts, actual/365"
    )
    band: float = Field(default=0.0, ge=0, description="no trade while the weight is nearer to its target than this")
    resting: int = Field(default=8, ge=1, le=64, description="most orders that rest at one time, an asset")

    @field_validator("tiers", mode="before")
    @classmethod
    def _rising(cls, rows: Any) -> Any:
        """Judge the rows as a whole: one wish says more than a complaint about one of their numbers."""
        sound = isinstance(rows, list) and all(_is_tier(row) for row in rows)
        if sound and all(row[0] > before[0] for before, row in pairwise(rows)):
            return rows
        raise PydanticCustomError(
            "tiers",
            "wanted rows [value traded this month, fee, maker_fee], the values rising, the fees fractions, as in "
            "[[0, 0.001, 0.0005], [1000000, 0.0008, 0.0004]]",
        )


def _is_tier(row: Any) -> bool:
    if not isinstance(row, list) or len(row) != 3:
        return False
    if not all(isinstance(x, int | float) and not isinstance(x, bool) and math.isfinite(x) for x in row):
        return False
    return bool(row[0] >= 0 and 0 <= row[1] < 0.5 and -0.01 <= row[2] < 0.5)


class GuardPlan(Strict):
    """One limit that the step itself keeps: see `barograph.Guard`."""

    on: Literal["drawdown", "daily_loss", "gross", "net", "position", "turnover", "stop_out", "kill"] = Field(
        description="what is watched, as in on = 'drawdown'"
    )
    limit: float | str = Field(description="a number; for kill a date")
    mode: Literal["no_new_risk", "reduce_only", "flatten"] = "no_new_risk"
    cool_down: int = Field(default=0, ge=0, description="bars that it holds on afterwards")


class Config(Strict):
    """One run: data, features, model, fit schedule, strategy, terms of trade, guards."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="names the run folder")
    data: Part
    observed: list[Part] = Field(default=[], description="histories joined to the data, seen but not traded (VIX)")
    run: Period = Period()
    features: list[Part] = Field(default=[], description="what the model sees; default: the log return")
    model: Part | None = None
    fit: FitPlan | None = None
    strategy: Part
    execution: Execution = Execution()
    guards: list[GuardPlan] = Field(default=[], description="limits on the account, kept by the step", max_length=16)
    paper: PaperPlan = Field(default=PaperPlan(), description="how the config is traded on paper")

    def resolved(self) -> dict[str, Any]:
        """Return every value that can change a result, defaults included, ready to be written as TOML.

        [paper] is left out: it changes none, and may hold what nobody else shall read.
        """
        return self.model_dump(exclude_none=True, exclude={"paper"})

    def redacted(self) -> dict[str, Any]:
        """Return the same, its secrets masked: what may be written down."""
        return cast("dict[str, Any]", redacted(self.resolved()))
