"""Writes a DAG for Airflow or a flow for Prefect: one readable file that holds no secret and needs no package of dbre."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from importlib.resources import files
from typing import Any
from urllib.parse import urlsplit

from dbre.core.errors import UsageError
from dbre.core.operation.orchestrators.literal import literal
from dbre.core.text import printable, quoted

__all__ = ["ExportRequest", "Orchestrator", "render"]

_PLACE = re.compile(r"@([A-Z]+)@")
_NAME = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,100}")
_CONNECTION = re.compile(r"[a-z0-9][a-z0-9-]{0,60}")
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class Orchestrator(StrEnum):
    """For whom a file can be written."""

    AIRFLOW = "airflow"
    PREFECT = "prefect"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportRequest:
    """What the file is to submit, where, and when."""

    name: str  # of the DAG or flow
    description: str
    url: str  # of dbre's control plane
    request: Mapping[str, Any]  # the body of POST /api/v1/operations
    start: date  # from when on the schedule counts
    schedule: str | None = None  # five fields of cron; None: run by hand
    time_zone: str = "UTC"  # of the schedule
    cancel_when_killed: bool = True
    patience_seconds: float = 900.0  # how long an unreachable control plane is waited for
    token_variable: str = "DBRE_TOKEN"  # noqa: S105 - the name of a variable
    token_connection: str = "dbre"  # noqa: S105 - the name of a connection or of a secret block


def render(orchestrator: Orchestrator, asked: ExportRequest, *, version: str) -> str:
    """The source of the file. Raises: UsageError for a name, address, schedule or time zone that cannot be used."""
    _check(asked)
    settings = {
        "name": asked.name,
        "description": asked.description,
        "url": asked.url.rstrip("/"),
        "request": dict(asked.request),
        "schedule": asked.schedule,
        "time_zone": asked.time_zone,
        "start": asked.start.isoformat(),
        "cancel_when_killed": asked.cancel_when_killed,
        "patience_seconds": asked.patience_seconds,
        "token_variable": asked.token_variable,
        "token_connection": asked.token_connection,
    }
    values = {
        "TITLE": f"Run {asked.name} through dbre, once a run.",
        "VERSION": version,
        "VARIABLE": asked.token_variable,
        "CONNECTION": asked.token_connection,
        "SETTINGS": literal(settings),
        "CLIENT": _template("client"),
    }
    return _PLACE.sub(lambda match: values[match[1]], _template(orchestrator.value))


def _template(name: str) -> str:
    return (files(__package__) / f"{name}.py.txt").read_text(encoding="utf-8")


def _check(asked: ExportRequest) -> None:
    for what, text, pattern in (
        ("name", asked.name, _NAME),
        ("token variable", asked.token_variable, _VARIABLE),
        ("connection", asked.token_connection, _CONNECTION),
    ):
        if not pattern.fullmatch(text):
            raise UsageError(f"{what} {quoted(text, limit=80)} is not of the form {pattern.pattern}")
    _check_url(asked.url)
    if asked.schedule is not None:
        _check_schedule(asked.schedule, asked.time_zone)


def _check_url(url: str) -> None:
    parts = urlsplit(url)
    shown = printable(url, limit=200) if "@" not in url else "that address"
    if parts.scheme not in ("http", "https") or not parts.hostname or not url.isprintable() or " " in url:
        raise UsageError(f"{shown} is not the address of a control plane", hint="write --url https://dbre.example:8443")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise UsageError(f"{shown} holds more than scheme, host, port and path", hint="the token belongs to the orchestrator")
    if parts.scheme == "http" and parts.hostname not in _LOOPBACK:
        raise UsageError(f"{shown} would send the token unencrypted", hint="put TLS before the control plane: https://...")


def _check_schedule(schedule: str, time_zone: str) -> None:
    from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

    from croniter import croniter

    if len(schedule.split()) != 5 or not croniter.is_valid(schedule):
        raise UsageError(f"{quoted(schedule, limit=80)} is not five fields of cron", hint="--schedule '0 3 * * 1-5'")
    try:
        ZoneInfo(time_zone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise UsageError(f"{quoted(time_zone, limit=80)} is not a time zone", hint="--time-zone Europe/Berlin") from error
