"""What speaks for and against a planned change of primary: pure rules over what was seen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["CheckState", "PreCheck", "blocking", "check_row"]


class CheckState(StrEnum):
    """What a check says."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class PreCheck:
    """One thing that was looked at before anything is done. All text is printable."""

    rule: str  # stable: one_primary, lag_bytes
    subject: str  # the cluster, an instance, a route
    state: CheckState
    value: str  # what was found, with units
    limit: str  # what it should be
    source: str  # by which statement, setting or question it was seen
    remedy: str | None = None  # where it is not ok


def blocking(checks: Sequence[PreCheck]) -> list[PreCheck]:
    """Those because of which nothing is begun."""
    return [one for one in checks if one.state is CheckState.FAIL]


def check_row(one: PreCheck) -> Mapping[str, str | None]:
    """As lists show it."""
    return {
        "state": one.state.value,
        "rule": one.rule,
        "subject": one.subject,
        "value": one.value,
        "limit": one.limit,
        "source": one.source,
        "remedy": None if one.state is CheckState.OK else one.remedy,
    }
