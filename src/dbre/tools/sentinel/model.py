"""What one Sentinel says of a primary that it watches. Source: Redis documentation, High availability with Redis Sentinel."""

from collections.abc import Mapping
from dataclasses import dataclass

from dbre.core.fleet import Address
from dbre.core.text import printable

__all__ = ["ReplicaWord", "SentinelWord"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaWord:
    """A replica as a Sentinel sees it."""

    address: Address | None
    flags: frozenset[str]  # slave, s_down, disconnected
    is_linked: bool  # with its primary
    priority: int  # 0: never promoted; the lowest of the others first
    offset: int | None

    @property
    def is_down(self) -> bool:
        """Whether the Sentinel cannot talk to it."""
        return bool(self.flags & {"s_down", "o_down", "disconnected"})

    @classmethod
    def read(cls, fields: Mapping[str, str]) -> "ReplicaWord":
        """One entry of ``SENTINEL REPLICAS``."""
        return cls(
            address=_address(fields),
            flags=_flags(fields),
            is_linked=fields.get("master-link-status") == "ok",
            priority=_number(fields, "slave-priority") or 0,
            offset=_number(fields, "slave-repl-offset"),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SentinelWord:
    """A primary and its surroundings, as one Sentinel sees them."""

    sentinel: Address
    primary: Address | None
    flags: frozenset[str]  # master, s_down, o_down, failover_in_progress
    epoch: int | None  # of the configuration: each failover makes a new one
    others: int | None  # Sentinels that it knows besides itself
    quorum: int | None  # how many must find the primary dead
    down_after_ms: int | None
    failover_timeout_ms: int | None
    replicas: tuple[ReplicaWord, ...]
    quorum_error: str | None  # why no failover could be agreed on now; None: it could

    @property
    def is_failing_over(self) -> bool:
        """Whether a failover goes on."""
        return bool(self.flags & {"failover_in_progress", "force_failover", "promoted"})

    @classmethod
    def read(
        cls,
        sentinel: Address,
        fields: Mapping[str, str],
        replicas: tuple[Mapping[str, str], ...],
        quorum_error: str | None,
    ) -> "SentinelWord":
        """The answer to ``SENTINEL MASTER`` with those to ``SENTINEL REPLICAS`` and ``SENTINEL CKQUORUM``."""
        return cls(
            sentinel=sentinel,
            primary=_address(fields),
            flags=_flags(fields),
            epoch=_number(fields, "config-epoch"),
            others=_number(fields, "num-other-sentinels"),
            quorum=_number(fields, "quorum"),
            down_after_ms=_number(fields, "down-after-milliseconds"),
            failover_timeout_ms=_number(fields, "failover-timeout"),
            replicas=tuple(ReplicaWord.read(one) for one in replicas),
            quorum_error=printable(quorum_error, limit=200) if quorum_error is not None else None,
        )


def _address(fields: Mapping[str, str]) -> Address | None:
    port = _number(fields, "port")
    host = printable(fields.get("ip", ""), limit=253)
    return Address(host, port) if host and port is not None and 0 < port < 65_536 else None


def _flags(fields: Mapping[str, str]) -> frozenset[str]:
    return frozenset(printable(fields.get("flags", ""), limit=200).split(","))


def _number(fields: Mapping[str, str], name: str) -> int | None:
    text = fields.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else None
