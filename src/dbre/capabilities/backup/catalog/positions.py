"""Positions of a log as JSON, for columns that hold them."""

from typing import Any

from dbre.ports.backup.model import LogPosition

__all__ = ["position_of", "position_value"]


def position_value(position: LogPosition | None) -> dict[str, Any] | None:
    """What a column holds."""
    if position is None:
        return None
    return {"timeline": position.timeline, "value": position.value, "text": position.text}


def position_of(value: Any) -> LogPosition | None:
    """Back to the position."""
    if value is None:
        return None
    return LogPosition(timeline=int(value["timeline"]), value=int(value["value"]), text=str(value["text"]))
