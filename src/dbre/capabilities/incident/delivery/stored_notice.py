"""A notice as a JSON document, and back."""

from collections.abc import Mapping
from dataclasses import asdict, fields
from datetime import datetime
from typing import Any

from dbre.capabilities.incident.notice import Notice, NoticeKind, Urgency

__all__ = ["notice_document", "notice_from"]

_MOMENTS = ("at", "started_at", "ended_at")


def notice_document(notice: Notice) -> dict[str, Any]:
    """Plain values."""
    document = asdict(notice)
    for name in _MOMENTS:
        moment: datetime | None = document[name]
        document[name] = None if moment is None else moment.isoformat()
    return document


def notice_from(document: Mapping[str, Any]) -> Notice:
    """The notice of a document that ``notice_document`` made."""
    values = {one.name: document[one.name] for one in fields(Notice) if one.name in document}
    for name in _MOMENTS:
        text = values.get(name)
        values[name] = None if text is None else datetime.fromisoformat(text)
    values["facts"] = tuple((name, value) for name, value in values.get("facts", ()))
    values["buttons"] = tuple((act, argument) for act, argument in values.get("buttons", ()))
    values["recipients"] = tuple(values.get("recipients", ()))
    return Notice(**{**values, "kind": NoticeKind(values["kind"]), "urgency": Urgency(values["urgency"])})
