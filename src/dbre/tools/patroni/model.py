"""What Patroni answers with. Texts come from a network: they are made fit to be shown, and numbers may be missing."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self
from urllib.parse import urlsplit

from dbre.core.text import printable

__all__ = ["ClusterView", "Member", "NodeState", "SwitchoverAnswer", "SwitchoverOutcome", "TimelineChange"]

LEADERS = ("leader", "standby_leader")
_SYNCHRONOUS = ("sync_standby", "quorum_standby")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One member, as the consensus store has it."""

    name: str
    role: str  # leader, standby_leader, sync_standby, quorum_standby, replica
    state: str  # running, streaming, in archive recovery, stopped, start failed...
    host: str | None
    port: int | None
    api: str | None  # host and port of its REST API, as it tells others
    timeline: int | None
    lag_bytes: int | None  # None: unknown, which is not 0
    is_restart_pending: bool
    tags: Mapping[str, Any]

    @property
    def is_leader(self) -> bool:
        """Whether it holds the lease."""
        return self.role in LEADERS

    @property
    def is_synchronous(self) -> bool:
        """Whether it is among those of which commits wait for one or more."""
        return self.role in _SYNCHRONOUS

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """One of ``/cluster``'s members. Raises: KeyError, TypeError, ValueError."""
        tags = given.get("tags") or {}
        return cls(
            name=_text(given["name"]),
            role=_text(given["role"]),
            state=_text(given.get("state", "")),
            host=_text(given["host"]) if given.get("host") else None,
            port=int(given["port"]) if given.get("port") else None,
            api=_text(urlsplit(str(given["api_url"])).netloc) if given.get("api_url") else None,
            timeline=_number(given.get("timeline")),
            lag_bytes=_number(given.get("lag")),
            is_restart_pending=bool(given.get("pending_restart")),
            tags={_text(key): value for key, value in tags.items()},
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ClusterView:
    """The whole cluster, as the consensus store has it."""

    scope: str | None
    members: tuple[Member, ...]
    is_paused: bool
    scheduled_switchover: str | None  # from, to and when

    @property
    def leader(self) -> Member | None:
        """Who holds the lease; None where nobody does."""
        return next((one for one in self.members if one.is_leader), None)

    @property
    def is_standby_cluster(self) -> bool:
        """Whether its leader follows another cluster, and takes no writes."""
        return self.leader is not None and self.leader.role == "standby_leader"

    def member(self, name: str) -> Member | None:
        """The member of a name."""
        return next((one for one in self.members if one.name == name), None)

    @classmethod
    def read(cls, given: Mapping[str, Any]) -> Self:
        """``/cluster``. Raises: KeyError, TypeError, ValueError, AttributeError."""
        planned = given.get("scheduled_switchover")
        words = None
        if planned:
            words = f"from {_text(planned.get('from'))} to {_text(planned.get('to', 'anyone'))} at {_text(planned.get('at'))}"
        return cls(
            scope=_text(given["scope"]) if given.get("scope") else None,
            members=tuple(Member.read(one) for one in given["members"]),
            is_paused=given.get("pause") is True,
            scheduled_switchover=words,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeState:
    """One node, as its own Patroni has it."""

    url: str
    name: str
    scope: str
    version: str  # of Patroni
    role: str  # primary, replica, standby_leader
    state: str
    timeline: int | None
    system_id: str | None
    server_version: int | None
    dcs_last_seen: int | None  # Unix seconds
    watchdog_failed: bool
    waits_for_restart: frozenset[str] = frozenset()  # the settings, in lower case; versions before 4 tell none

    @classmethod
    def read(cls, url: str, given: Mapping[str, Any]) -> Self:
        """``/patroni``. Raises: KeyError, TypeError, ValueError."""
        about = given["patroni"]
        return cls(
            url=url,
            name=_text(about.get("name", "")),
            scope=_text(about["scope"]),
            version=_text(about.get("version", "")),
            role=_text(given["role"]),
            state=_text(given.get("state", "")),
            timeline=_number(given.get("timeline")),
            system_id=_text(given["database_system_identifier"]) if given.get("database_system_identifier") else None,
            server_version=_number(given.get("server_version")),
            dcs_last_seen=_number(given.get("dcs_last_seen")),
            watchdog_failed=bool(given.get("watchdog_failed")),
            waits_for_restart=frozenset(_text(name).lower() for name in given.get("pending_restart_reason") or ()),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class TimelineChange:
    """One promotion that Patroni remembers: the timeline that ended, where, and who went on."""

    timeline: int
    position: int
    reason: str
    at: str | None
    leader: str | None


class SwitchoverOutcome(StrEnum):
    """What became of a switchover."""

    DONE = "done"  # another node leads
    REFUSED = "refused"  # nothing was begun
    UNKNOWN = "unknown"  # it may go on: the cluster has to be watched


@dataclass(frozen=True, slots=True, kw_only=True)
class SwitchoverAnswer:
    """What Patroni said to a switchover that was asked for."""

    outcome: SwitchoverOutcome
    text: str
    status: int | None = None  # of HTTP; None: no answer came
    evidence: Mapping[str, object] = field(default_factory=dict)


def _text(value: object) -> str:
    return printable(str(value), limit=200)


def _number(value: object) -> int | None:
    """A number, where one is known: Patroni writes the word "unknown" where it is not."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    try:
        return int(value)
    except ValueError:
        return None
