"""The page templates, and the one function that renders them."""

import json
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from markupsafe import Markup, escape
from starlette.requests import Request

from dbre import __version__
from dbre.capabilities.slo import SloStatus, state_of
from dbre.core.identity.model import Permission
from dbre.core.text import counted, printable
from dbre.core.units import format_bytes, format_duration, format_percent

__all__ = ["render"]


def render(request: Request, template: str, **values: object) -> str:
    """One page or fragment; every value is escaped, control characters are made visible."""
    session = getattr(request.state, "session", None)
    shared = {
        "nonce": request.state.nonce,
        "path": request.url.path,
        "csrf_token": session.csrf_token if session else None,
        "principal_name": session.principal.name if session else None,
        "is_admin": session is not None and session.principal.may(Permission.ADMINISTER, {}),
        "attention": getattr(request.state, "attention", None),
        "version": __version__,
    }
    return _environment().get_template(template).render(shared | values)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(default=True, default_for_string=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: printable(value) if isinstance(value, str) and not hasattr(value, "__html__") else value,
    )
    environment.filters |= {"duration": _duration, "percent": _percent, "when": _when, "number": _number, "slo_state": state_of}
    environment.filters |= {"pretty": _pretty, "lines": _lines, "slo_path": _slo_path, "coordinates": _coordinates}
    environment.filters |= {"bytes": format_bytes, "counted": counted}
    return environment


def _duration(seconds: float | None) -> str:
    return "unknown" if seconds is None else format_duration(float(seconds))


def _percent(ratio: float | Decimal | None, digits: int = 2) -> str:
    return "unknown" if ratio is None else format_percent(float(ratio), digits=digits)


def _when(moment: datetime | None) -> str:
    return "never" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _slo_path(status: SloStatus) -> str:
    path = f"/slo/{quote(status.name, safe='')}/{quote(status.cluster, safe='')}"
    return f"{path}?group={quote(status.group, safe='')}" if status.group else path


def _pretty(value: object) -> Markup:
    """JSON over several lines; ASCII alone, so that no control character of a database is in it."""
    return escape(json.dumps(value, indent=2, sort_keys=True, default=str))


def _coordinates(points: str) -> Markup:
    """Points of a chart, which are ours and as many as there are: nothing is cut. Raises: ValueError for anything else."""
    if not set(points) <= set("0123456789.,- "):
        raise ValueError("coordinates are numbers")
    return Markup(points)  # noqa: S704 -- digits, dots, commas and blanks alone


_LONGEST_LINE = 50_000  # characters; a paragraph of Markdown is one line


def _lines(text: str) -> Markup:
    """A text of several lines, whose other control characters are made visible."""
    return Markup("\n").join(escape(printable(line, limit=_LONGEST_LINE)) for line in text.split("\n"))


def _number(value: float | None, digits: int = 1) -> str:
    return "unknown" if value is None else f"{float(value):,.{digits}f}"
