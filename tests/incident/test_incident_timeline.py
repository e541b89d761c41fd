"""Lines of a timeline, in words."""

from datetime import UTC, datetime
from uuid import UUID

from dbre.capabilities.incident.timeline import happening_of
from dbre.core.events.model import Event


def test_people_who_were_told_are_named_as_people_write_names() -> None:
    data = {"incident_id": "i", "reason": "level", "level": 2, "people": ["ana", "bea"]}
    event = Event(
        id=UUID(int=1),
        sequence=1,
        kind="oncall.escalated",
        subject="incident/i",
        at=datetime(2026, 11, 21, tzinfo=UTC),
        data=data,
    )
    happening = happening_of(event)
    assert happening is not None
    assert happening.entry.text == "oncall escalated, reason level, level 2, people ana and bea"
