"""What ``settings.apply`` is asked, as a document."""

from datetime import timedelta
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_serializer, model_validator

from dbre.core.errors import UsageError
from dbre.core.units import parse_duration

__all__ = ["ApplySettingsInput", "RevertOn", "watch_seconds"]

_LONGEST_WATCH = timedelta(hours=24)


def _text(value: Any) -> Any:
    """A value as the server reads it: JSON and YAML write numbers and switches without quotes."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) if isinstance(value, int | float) else value


def watch_seconds(text: str) -> float:
    """How long to watch. Raises: UsageError where it is no duration, or longer than a day.

    >>> watch_seconds("10m")
    600.0
    """
    found = parse_duration(text)
    if found > _LONGEST_WATCH:
        raise UsageError(f"watch {text} is longer than a day", hint="write 10m")
    return found.total_seconds()


def _duration(value: Any) -> Any:
    return watch_seconds(value) if isinstance(value, str) else value


Name = Annotated[str, Field(min_length=1, max_length=200)]
Value = Annotated[str, BeforeValidator(_text), Field(max_length=1000)]


class RevertOn(BaseModel):
    """When the change is taken back by itself."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    slo: Name
    """The objective that must not suffer, on the same cluster."""
    burn: float | None = Field(default=None, gt=0)
    """Take back when the error budget burns this many times too fast; without it when the objective pages."""
    watch: Annotated[float, BeforeValidator(_duration), Field(gt=0, le=_LONGEST_WATCH.total_seconds())] = 600.0
    """How long to watch after the last instance was changed: 10m, or seconds."""

    @model_validator(mode="before")
    @classmethod
    def _names_an_objective(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("slo") is None:
            raise UsageError("revert_on names no SLO to watch: add slo (--revert-if-burning SLO)")
        return given


class ApplySettingsInput(BaseModel):
    """Which parameters to change, and where."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: Name
    set: dict[Name, Value] = Field(default_factory=dict)
    """Parameters with their new values, as people write them: 64MB."""
    reset: tuple[Name, ...] = ()
    """Parameters whose stored value is taken away."""
    instances: tuple[Name, ...] = ()
    """Only these instances of the cluster; none means all."""
    revert_on: RevertOn | None = None

    @model_validator(mode="after")
    def _asks_for_something(self) -> "ApplySettingsInput":
        if not self.set and not self.reset:
            raise UsageError(
                "no parameter is given", hint="write dbre settings apply CLUSTER work_mem=64MB, or --reset work_mem"
            )
        wanted = [name.lower() for name in (*self.set, *self.reset)]
        twice = sorted({name for name in wanted if wanted.count(name) > 1})
        if twice:
            raise UsageError(f"{', '.join(twice)} is given twice", hint="name each parameter once")
        return self

    @field_serializer("reset", "instances")
    def _lists(self, value: tuple[str, ...]) -> list[str]:
        return list(value)
