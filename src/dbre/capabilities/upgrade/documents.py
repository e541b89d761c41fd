"""What the operations of this capability are asked, as documents."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from dbre.core.errors import UsageError

__all__ = ["MinorInput", "ParametersInput", "RestartInput"]


def _text(value: Any) -> Any:
    """A value as the server reads it: JSON and YAML write numbers and switches without quotes."""
    if isinstance(value, bool):
        return "on" if value else "off"
    return str(value) if isinstance(value, int | float) else value


Name = Annotated[str, Field(min_length=1, max_length=200)]
Value = Annotated[str, BeforeValidator(_text), Field(max_length=1000)]


class RestartInput(BaseModel):
    """Which cluster, and what becomes of its primary."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cluster: Name
    in_place: bool = False
    """Restart the primary as primary, instead of another one taking over."""
    back: bool = False
    """Make the primary of before the primary again at the end."""

    @model_validator(mode="after")
    def _one_of_them(self) -> "RestartInput":
        if self.in_place and self.back:
            raise UsageError("--in-place and --back exclude each other: in place nobody else becomes primary")
        return self


class MinorInput(RestartInput):
    """The same, with other programs."""


class ParametersInput(RestartInput):
    """The same, with settings that need it."""

    set: dict[Name, Value] = Field(min_length=1)
    """Parameters with their new values, as people write them: 64MB."""

    @model_validator(mode="after")
    def _each_once(self) -> "ParametersInput":
        wanted = [name.lower() for name in self.set]
        twice = sorted({name for name in wanted if wanted.count(name) > 1})
        if twice:
            raise UsageError(f"{', '.join(twice)} is given twice", hint="name each parameter once")
        return self
