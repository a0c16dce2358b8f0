"""What the [paper] table of a config may say: when to look, where bars come from, what to watch and whom to tell."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import Field, ValidationInfo, field_validator

from barograph.config.parts import Part, Strict
from barograph.data.closes import SECOND
from barograph.data.closes import duration as nanoseconds
from barograph.errors import ConfigError, nearest_zone

__all__ = ["KINDS", "SEVERITIES", "AlertPlan", "ClosesPlan", "PaperPlan", "Recipient", "WatchPlan", "seconds"]

KINDS: Final = {
    "regime_change": "warning",
    "early_warning": "info",
    "order_filled": "info",
    "order_rejected": "warning",
    "guard": "warning",
    "drawdown": "warning",
    "var_breach": "warning",
    "stale_data": "critical",
    "bad_data": "warning",
    "model_health": "warning",
    "missed_cycle": "critical",
    "late_cycle": "warning",
    "command": "info",
    "daily_summary": "info",
    "weekly_summary": "info",
    "heartbeat": "info",
    "broker": "critical",
    "calendar_end": "warning",
    "correction": "info",
}
"""Every kind of alert, and how severe it is."""

SEVERITIES: Final = ("info", "warning", "critical")

Kind = Literal[
    "regime_change", "early_warning", "order_filled", "order_rejected", "guard", "drawdown", "var_breach",
    "stale_data", "bad_data", "model_health", "missed_cycle", "late_cycle", "command", "daily_summary",
    "weekly_summary", "heartbeat", "broker", "calendar_end", "correction",
]  # fmt: skip
Severity = Literal["info", "warning", "critical"]
Probability = Annotated[float, Field(gt=0, lt=1)]
Duration = Annotated[str, Field(pattern=r"^[1-9]\d*(s|m|h|d)$")]
Clock = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")]
Closing = Annotated[str, Field(pattern=r"^(([01]\d|2[0-3]):[0-5]\d|24:00)$")]
Hours = Annotated[str, Field(pattern=r"^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d$")]


def seconds(duration: str) -> int:
    """Return a duration's seconds.

    >>> seconds("90s"), seconds("5m"), seconds("2h"), seconds("1d")
    (90, 300, 7200, 86400)
    """
    return nanoseconds(duration) // SECOND


def _zone(zone: str, key: str) -> str:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ConfigError(f"{key} is {zone!r}{nearest_zone(zone)}; wanted one like 'America/Sao_Paulo'") from None
    return zone


class WatchPlan(Strict):
    """What is worth an alert at a close; all of it is computed from the bars so far."""

    probability: Probability = Field(default=0.7, description="filtered probability from which a new regime is told")
    dwell: int = Field(default=2, ge=1, description="closes in a row that a new regime must be so likely")
    early_warning: Probability | None = Field(
        default=0.3, description="predicted probability of leaving the regime that is worth a warning; off if left out"
    )
    horizon: int = Field(default=5, ge=1, description="bars ahead that the early warning looks")
    danger: list[Annotated[int, Field(ge=0)]] = Field(
        default=[], description="regimes whose entering is warned of; any leaving of the regime if left out"
    )
    drawdown: list[Probability] = Field(default=[0.1, 0.2, 0.3], description="drawdowns that are told, once each")
    var: Probability | None = Field(default=0.01, description="level of the value at risk whose breach is told")
    cusum: float = Field(
        default=30.0, gt=0, description="shortfall of log-likelihood, in standard deviations, that is unhealthy"
    )
    slack: float = Field(default=0.5, ge=0, description="shortfall a bar that is forgiven, in standard deviations")
    entropy: Probability = Field(default=0.9, description="mean share of the largest entropy that is unhealthy")
    window: int = Field(default=20, ge=2, description="bars that entropy and dwell are judged over")
    stay: float = Field(default=6.0, gt=1, description="times its expected stay after which a regime is out of range")
    daily_summary: bool = False
    weekly_summary: bool = True


class Recipient(Strict):
    """Somebody who is told: an apprise URL and what goes there."""

    url: str = Field(min_length=1, repr=False, description="an apprise URL; ${NAME} stands for an environment variable")
    name: str | None = Field(
        default=None, pattern=r"^[A-Za-z][\w-]*$", description="what the outbox calls them; default: their number"
    )
    kinds: list[Kind] = Field(default=[], description="only these kinds; all if left out")
    severity: Severity = Field(default="info", description="the least severe that goes there")
    template: str | None = Field(default=None, description="folder of templates that stand in for ours")


class AlertPlan(Strict):
    """Whom to tell, and when not to."""

    to: list[Recipient] = Field(default=[])
    quiet_from: Clock | None = Field(default=None, description="start of the quiet hours; what is critical goes out")
    quiet_until: Clock | None = Field(
        default=None, validate_default=True, description="end of the quiet hours; what waited goes out then"
    )
    time_zone: str = "UTC"
    at_most: int = Field(
        default=20, ge=1, description="messages an hour to one recipient, all together; the rest goes in a digest"
    )
    heartbeat: Duration | None = Field(default=None, description="how often to say that all is well")
    give_up: Duration = Field(
        default="2d", description="how long, and as often as there is time for, a message is tried"
    )

    @field_validator("to", mode="before")
    @classmethod
    def _tables(cls, to: Any) -> Any:
        # Pydantic would show what it found, and that may be a URL with a password.
        if not isinstance(to, list) or not all(isinstance(one, dict | Recipient) for one in to):
            raise ConfigError('paper.alerts.to is no list of tables; wanted [[paper.alerts.to]] with url = "..."')
        return to

    @field_validator("to")
    @classmethod
    def _apart(cls, to: list[Recipient]) -> list[Recipient]:
        names = [one.name for one in to if one.name is not None]
        if twice := [name for name in names if names.count(name) > 1]:
            raise ConfigError(f"paper.alerts.to: two recipients are named {twice[0]!r}; give each a name of its own")
        return to

    @field_validator("time_zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        return _zone(zone, "paper.alerts.time_zone")

    @field_validator("quiet_until")
    @classmethod
    def _paired(cls, until: str | None, info: ValidationInfo) -> str | None:
        if (until is None) != (info.data.get("quiet_from") is None):
            raise ConfigError("paper.alerts: quiet_from and quiet_until belong together; give both or neither")
        return until

    def recipients(self) -> dict[str, Recipient]:
        """Return the recipients by what the outbox calls them: their name, or their number from 1 on."""
        return {one.name or str(n): one for n, one in enumerate(self.to, start=1)}


class ClosesPlan(Strict):
    """When the bars of the source close, where the bars so far do not say it."""

    anchor: Literal["open", "clock"] = Field(
        default="open", description="whether bars are counted from the opening, or stand on a clock"
    )
    time_zone: str = Field(default="", description="the clock's zone; the exchange's if left out")
    begin: Clock = Field(default="00:00", description="a time of day at which a bar of the clock begins")
    breaks: bool = Field(default=True, description="whether bars begin anew after the midday break")
    over: Literal["nothing", "breaks", "all"] = Field(default="nothing", description="which ends a last bar runs over")
    hours: Hours | None = Field(default=None, description="a day longer than the session, such as 04:00-20:00")
    times: list[Closing] = Field(default=[], description="the times of day at which bars close, whatever the step")

    @field_validator("time_zone")
    @classmethod
    def _known(cls, zone: str) -> str:
        return zone and _zone(zone, "paper.closes.time_zone")


class PaperPlan(Strict):
    """How a config is traded on paper."""

    store: str | None = Field(default=None, description="URL of the database; ${NAME} is an environment variable")
    feeds: list[Part] = Field(default=[], description="where new bars come from, best first; default: [data], again")
    every: Literal["session", "week", "month"] | Duration = Field(
        default="session", description="one bar a session, week or month, or so long a bar"
    )
    closes: ClosesPlan | None = Field(default=None, description="when bars close; learned from the bars if left out")
    delay: Duration = Field(default="5m", description="time after a close until its bar is looked for")
    retry: Duration = Field(default="1m", description="time until the next look when the bar is not there yet")
    patience: Duration = Field(default="2h", description="time after which a bar is late, and an asset missing")
    overlap: int = Field(default=5, ge=1, description="past bars read again, to see whether they were rewritten")
    tolerance: float = Field(default=1e-6, ge=0, description="relative change of a price that counts as revised")
    revised: Literal["alert", "reduce_only"] = Field(default="alert", description="what a revised past bar does")
    stale: Literal["alert", "reduce_only"] = Field(default="alert", description="what stale data do")
    unhealthy: Literal["alert", "reduce_only"] = Field(default="alert", description="what an unhealthy model does")
    broker: Part | None = Field(default=None, description="a testnet that the paper orders are mirrored to")
    watch: WatchPlan = WatchPlan()
    alerts: AlertPlan = AlertPlan()
