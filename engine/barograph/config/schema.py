"""What a config may say: its tables and keys, their types, bounds and defaults."""

from __future__ import annotations

from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, create_model
from pydantic_core import PydanticCustomError

from barograph.config.paper import PaperPlan
from barograph.config.parts import Part, Strict
from barograph.config.secrets import redacted
from barograph.errors import ConfigError
from barograph.execution.terms import MOST_GUARDS, TIERS_WANTED, Terms, tier_rows

__all__ = [
    "ChoosePlan",
    "Config",
    "Convert",
    "Data",
    "Execution",
    "FitPlan",
    "GuardPlan",
    "ModelPlan",
    "Period",
    "RegistryPlan",
    "Span",
    "SweepPlan",
]


class FitPlan(Strict):
    """When the model learns: see `barograph.Fit`."""

    window: int = Field(ge=2, description="training window, in bars")
    every: int | Literal["week", "month", "quarter", "year", "never"] = "year"
    expanding: bool = False
    embargo: int = Field(default=0, ge=0, description="bars left out between training window and decision bar")
    failed: Literal["keep", "stop"] = Field(
        default="keep", description="what a refit that fails does: keeps the model in force and tells, or stops the run"
    )
    trigger: Part | None = Field(default=None, description="a part that asks for a fit beside the schedule")
    check: Part | None = Field(default=None, description="a part that may turn a refit down")


class Convert(Strict):
    """In which currency the account is kept, and by which rates prices in others become prices in it."""

    to: str = Field(min_length=1, description="the currency of the account")
    rates: dict[str, Part | str] = Field(
        description="for each other currency its price in `to`: a loader of one asset, or the symbol of an observed one"
    )
    inverse: list[str] = Field(default=[], description="currencies whose rate is quoted the other way round")


class Data(Part):
    """The loader of the bars, how what it brings is converted, and whether doubtful bars are held."""

    gate: Literal["on", "off"] = Field(
        default="on", description="whether a bar that cannot be told from an error is held until the next one speaks"
    )
    convert: Convert | None = Field(default=None, description="for prices in another currency than the account's")


class ModelPlan(Part):
    """The model, and whether there is one belief for all assets or one for each."""

    each: bool = Field(default=False, description="a belief an asset: every traded one has a filter of its own")


class Period(Strict):
    """What part of the data is decided on; earlier bars warm up features and train the model."""

    start: str | int | None = Field(default=None, description="first decided bar: a date or an index")
    end: str | None = Field(default=None, description="last date used")


def _tiers(rows: Any) -> Any:
    """Judge the rows as a whole: one wish says more than a complaint about one of their numbers."""
    try:
        tier_rows(rows)
    except ConfigError:
        raise PydanticCustomError("tiers", TIERS_WANTED) from None
    return rows


def _key(term: Any) -> Any:
    """Return the type and the field of one term of trade, as `barograph.Terms` declares it."""
    told = term.metadata
    bounds = Field(**{name: told[name] for name in ("ge", "gt", "le", "lt") if name in told})
    kind: Any = int if isinstance(term.default, int) else float
    if "one_of" in told:
        return Literal[told["one_of"]], Field(default=term.default, description=told["about"])
    if "rows" in told:
        kind = Annotated[list[list[float]], BeforeValidator(_tiers)]
        return kind, Field(default=[], description=told["about"])
    kind = Annotated[kind, bounds]
    kind = kind | Part if told.get("series") else kind | None if term.default is None else kind
    return kind, Field(default=term.default, description=told["about"])


if TYPE_CHECKING:

    class Execution(Strict):
        """The terms of trade; what is read by name is declared here, the rest is made from `barograph.Terms`."""

        borrow_rate: float | Part = 0.05
        cash_rate: float | Part = 0.0

else:
    Execution = create_model(
        "Execution",
        __base__=Strict,
        __doc__="The terms of trade; the defaults are honest: costs on, financing on when borrowed.",
        __module__=__name__,
        **{term.name: _key(term) for term in fields(Terms) if "own_table" not in term.metadata},
    )


class GuardPlan(Strict):
    """One limit that the step itself keeps: see `barograph.Guard`."""

    on: Literal["drawdown", "daily_loss", "gross", "net", "position", "turnover", "stop_out", "kill"] = Field(
        description="what is watched, as in on = 'drawdown'"
    )
    limit: float | str = Field(description="a number; for kill a date")
    mode: Literal["no_new_risk", "reduce_only", "flatten"] = "no_new_risk"
    cool_down: int = Field(default=0, ge=0, description="bars that it holds on afterwards")


class Span(Strict):
    """Values at even distances, both ends among them."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False, populate_by_name=True)

    first: int | float = Field(alias="from", description="the first value")
    last: int | float = Field(alias="to", description="the last value")
    points: int | None = Field(default=None, ge=1, le=1_000_000, description="how many values; a grid wants to know")
    scale: Literal["linear", "log"] = Field(
        default="linear", description="log: each the same multiple of the one before"
    )


def _values(values: Any) -> Any:
    """Judge a key's values as a whole: one wish says more than a complaint about each of the two forms."""
    if isinstance(values, list | Span):
        return values
    try:
        return Span.model_validate(values)
    except ValidationError as error:
        told = error.errors()[0]
        where = ".".join(map(str, told["loc"]))
        wanted = "wanted a list of values, or { from = 0.3, to = 0.9, points = 61 }"
        raise PydanticCustomError("values", f"{where + ': ' if where else ''}{wanted}") from None


class SweepPlan(Strict):
    """Which points of a config a sweep runs: keys of it, and the values that each takes."""

    how: Literal["grid", "random", "optuna"] = Field(
        default="grid",
        description="grid: every combination; random: `points` drawn ones; optuna: `points` searched for",
    )
    figure: str = Field(default="sharpe", description="what is shown as best: a figure of metrics.json")
    keys: dict[str, Annotated[list[Any] | Span, BeforeValidator(_values)]] = Field(
        min_length=1, description="key = [values] or { from, to, points }"
    )
    points: int | None = Field(default=None, ge=1, description="how many, where they are drawn or searched for")
    seed: int = Field(default=0, ge=0, description="of the draws, and of the search")
    sampler: Literal["tpe", "random", "qmc"] = Field(default="tpe", description="how optuna searches")
    backend: Literal["compiled", "vectorbt", "dask"] = Field(default="compiled", description="what runs the points")
    scheduler: str | None = Field(
        default=None, description="address of a dask cluster that runs already; default: workers of this machine"
    )


class ChoosePlan(Strict):
    """How the machine itself chooses the values of keys, walk-forward: see `barograph.Choose`."""

    every: int | Literal["week", "month", "quarter", "year", "never"] = "quarter"
    window: int = Field(ge=2, description="returns that a choice looks back on, in bars")
    anchored: bool = Field(default=False, description="look back on all returns so far")
    keys: dict[str, Annotated[list[Any] | Span, BeforeValidator(_values)]] = Field(
        min_length=1, description="key = [values] or { from, to, points }"
    )
    figure: str = Field(default="sharpe", description="what is chosen by, net of costs: a figure of the account")
    penalty: dict[str, float] = Field(default={}, description="figure = weight: what is taken from the figure")


class RegistryPlan(Strict):
    """Where runs, comparisons and sweeps are entered."""

    store: str | Literal[False] | None = Field(
        default=None, description="the file, from the config's folder; default: trials.db of the project; false: none"
    )


class Config(Strict):
    """One run: data, features, model, fit schedule, strategy, terms of trade, guards."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", description="names the run folder")
    data: Data
    observed: list[Part] = Field(default=[], description="histories joined to the data, seen but not traded (VIX)")
    run: Period = Period()
    features: list[Part] = Field(default=[], description="what the model sees; default: the log return")
    model: ModelPlan | None = None
    fit: FitPlan | None = None
    strategy: Part
    execution: Execution = Execution()
    guards: list[GuardPlan] = Field(
        default=[], description="limits on the account, kept by the step", max_length=MOST_GUARDS
    )
    choose: ChoosePlan | None = Field(default=None, description="what the machine itself chooses as it goes")
    sweep: SweepPlan | None = Field(default=None, description="which points `barograph sweep` runs")
    paper: PaperPlan = Field(default=PaperPlan(), description="how the config is traded on paper")
    registry: RegistryPlan = Field(default=RegistryPlan(), description="where its runs are entered as trials")

    def resolved(self) -> dict[str, Any]:
        """Return every value that can change a result, defaults included, ready to be written as TOML.

        [paper], [sweep] and [registry] are left out: they change none, and may hold what nobody else shall read.
        """
        return self.model_dump(exclude_none=True, exclude={"paper", "sweep", "registry"}, by_alias=True)

    def redacted(self) -> dict[str, Any]:
        """Return the same, its secrets masked: what may be written down."""
        return cast("dict[str, Any]", redacted(self.resolved()))
