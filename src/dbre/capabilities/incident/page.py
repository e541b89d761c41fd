"""One incident as a page for a terminal."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from dbre.core.text import printable

__all__ = ["page_of"]

_FACTS = (
    ("state", "state"),
    ("severity", "severity"),
    ("cluster", "cluster"),
    ("in the hands of", "assignee"),
    ("began", "started_at"),
    ("detected", "detected_at"),
    ("acknowledged", "acknowledged_at"),
    ("mitigated", "mitigated_at"),
    ("resolved", "resolved_at"),
    ("root cause", "root_cause"),
)


def page_of(item: Mapping[str, Any]) -> str:
    """The rows of ``dbre incident show`` as text; whatever a database said stays on its line."""
    return "\n".join(_lines(item))


def _lines(item: Mapping[str, Any]) -> Iterator[str]:
    yield f"{item['name']}: {printable(item['title'])}"
    yield ""
    for title, key in _FACTS:
        yield f"  {title + ':':<17}{_text(item[key])}"
    if item["has_data_loss"]:
        yield f"  {'data:':<17}lost"
    yield f"  {'may go to:':<17}{', '.join(item['next_states']).replace('_', ' ') or '-'}"
    yield from _block(
        "Alerts",
        [
            f"{_text(a['fired_at'])}  {_text(a['severity'])} {_text(a['rule'])} of {_text(a['instance'])}"
            f"{', over ' + _text(a['resolved_at']) if a['resolved_at'] else ''}"
            for a in item["alerts"]
        ],
    )
    yield from _block(
        "Cost", [f"{_text(c['instance'])}: {c['bad']} bad events, {_share(c['consumed_ratio'])}" for c in item["costs"]]
    )
    yield from _block(
        "Actions",
        [f"{a['name']} {a['state']}, {_text(a['owner'])} until {a['due']}: {_text(a['title'])}" for a in item["actions"]],
    )
    yield from _block("Timeline", [_entry(one) for one in item["timeline"]])


def _block(title: str, lines: list[str]) -> Iterator[str]:
    if lines:
        yield ""
        yield title
        for line in lines:
            yield f"  {line}"


def _entry(one: Mapping[str, Any]) -> str:
    who = f" ({_text(one['actor'])})" if one["actor"] else ""
    return f"{_text(one['at'])}  {one['kind']:<12}  {printable(one['text'])}{who}"


def _text(value: object) -> str:
    if value is None:
        return "-"
    text = str(value)
    try:
        return f"{datetime.fromisoformat(text):%Y-%m-%d %H:%M:%SZ}"
    except ValueError:
        return printable(text)


def _share(value: float | None) -> str:
    return "share of the budget not measured" if value is None else f"{value:.1%} of the budget"
