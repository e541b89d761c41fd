"""The section ``schedules`` of ``dbre.yaml``."""

import json
from collections.abc import Iterable
from datetime import timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, Field, JsonValue

from dbre.core.config.fields import Duration, Name, between
from dbre.core.config.section import Document, Fault, Section
from dbre.core.errors import UsageError
from dbre.core.operation.schedule.model import Misfire, Schedule
from dbre.core.operation.schedule.slots import Cron, parse_zone

__all__ = ["SCHEDULES", "ScheduleDocument", "schedules_from"]


def _zone(name: str) -> str:
    parse_zone(name)
    return name


class ScheduleDocument(Document):
    """One operation that begins by the calendar."""

    name: Name = Field(description="Name in commands and in the audit log, where it acts as schedule:NAME.")
    cron: str = Field(
        max_length=200,
        description="Minute, hour, day of month, month, day of week; or @hourly, @daily, @weekly, @monthly, @yearly.",
        examples=["30 2 * * *", "0 */6 * * mon-fri"],
    )
    time_zone: Annotated[str, AfterValidator(_zone)] = Field(
        default="UTC", max_length=100, description="Whose clocks the expression is read on.", examples=["Europe/Madrid"]
    )
    kind: str = Field(min_length=1, max_length=100, description="Kind of the operation.", examples=["fleet.check"])
    input: dict[str, JsonValue] = Field(default_factory=dict, description="Its input.", examples=[{"cluster": "orders"}])
    jitter: Annotated[Duration, between("1s", "24h")] | None = Field(
        default=None, description="Begin up to this much later; how much is drawn anew for each slot, alike everywhere."
    )
    misfire: Misfire = Field(
        default=Misfire.RUN_ONCE,
        description="What becomes of slots that came while nobody scheduled: the last one runs late, or none does.",
    )
    misfire_grace: Annotated[Duration, between("1s", "24h")] = Field(
        default=timedelta(minutes=5), description="How late a slot may be and still count as in time."
    )
    priority: int = Field(default=4, ge=0, le=9, description="9 first.")
    zone: Name | None = Field(default=None, description="Whose workers run it.")
    confirm: str | None = Field(
        default=None,
        min_length=1,
        max_length=300,
        description="What a severe operation asks to be typed, the name of its target: whoever wrote it here confirmed it.",
    )
    enabled: bool = Field(default=True, description="false: no slot runs.")


def _faults(data: Any) -> Iterable[Fault]:
    seen: set[str] = set()
    for position, one in enumerate(data if isinstance(data, list) else []):
        if not isinstance(one, dict):
            continue
        name = one.get("name")
        if isinstance(name, str):
            if name in seen:
                yield Fault(path=(position, "name"), message=f"schedule {name} is there twice", hint="names are unique")
            seen.add(name)
        if isinstance(one.get("cron"), str):
            yield from _cron_faults(position, one)


def _cron_faults(position: int, one: dict[str, Any]) -> Iterable[Fault]:
    try:
        zone = parse_zone(str(one.get("time_zone", "UTC")))
    except UsageError:
        zone = parse_zone("UTC")  # the field tells of it itself
    try:
        Cron.parse(one["cron"], zone)
    except UsageError as error:
        yield Fault(path=(position, "cron"), message=error.message, hint=error.hint)


def schedules_from(documents: tuple[ScheduleDocument, ...]) -> tuple[Schedule, ...]:
    """The schedules that a configuration holds."""
    return tuple(
        Schedule(
            name=one.name,
            cron=Cron.parse(one.cron, parse_zone(one.time_zone)),
            kind=one.kind,
            input=json.loads(json.dumps(one.input)),
            jitter=one.jitter or timedelta(0),
            misfire=one.misfire,
            misfire_grace=one.misfire_grace,
            priority=one.priority,
            zone=one.zone,
            is_enabled=one.enabled,
            confirm=one.confirm,
        )
        for one in documents
    )


SCHEDULES: Section[tuple[ScheduleDocument, ...]] = Section(
    key="schedules",
    shape=tuple[ScheduleDocument, ...],
    default=tuple,
    summary="operations that begin by the calendar",
    faults=_faults,
)
"""The section that the composition root hands to the loader."""
