"""What a Redis or Valkey server is, as far as it matters for taking over."""

from collections.abc import Iterator, Mapping

from dbre.core.text import printable
from dbre.engines.redis.facts import identify_product
from dbre.ports.succession import GivesUp, Obstacle, Standing

__all__ = ["standing_of"]

_ALIKE = (
    "appendfsync", "appendonly", "databases", "maxmemory", "maxmemory-policy", "min-replicas-max-lag", "repl-backlog-size",
    "save",
)  # fmt: skip


def standing_of(info: Mapping[str, str], settings: Mapping[str, str], *, guard: int) -> Standing:
    """What INFO and the settings say; ``guard`` is from where on a server counts as closed to writes."""
    product, version, text = identify_product(info)
    return Standing(
        gives_up=GivesUp.BY_CLOSING,
        product=product.value,
        version=version,
        version_text=printable(text, limit=50),
        needs_login=False,
        can_hand_over=True,
        forgets_own=True,
        alike={name: printable(settings[name], limit=200) for name in _ALIKE if name in settings},
        oldest_transaction_seconds=0.0,  # a transaction is one command
        obstacles=tuple(_obstacles(info, settings, guard)),
    )


def _obstacles(info: Mapping[str, str], settings: Mapping[str, str], guard: int) -> Iterator[Obstacle]:
    is_sharded = info.get("cluster_enabled") == "1"
    yield Obstacle(
        rule="not_sharded",
        subject="cluster mode",
        value="on" if is_sharded else "off",
        limit="off",
        source="INFO cluster",
        remedy="CLUSTER FAILOVER on the replica changes the primary of one shard",
        is_met=not is_sharded,
        is_blocking=True,
    )
    if info.get("role") == "slave":
        priority = printable(info.get("slave_priority", "100"), limit=20)
        yield Obstacle(
            rule="may_be_promoted",
            subject="replica-priority",
            value=priority,
            limit="above 0",
            source="INFO replication",
            remedy="choose another one, or CONFIG SET replica-priority 100",
            is_met=priority != "0",
            is_blocking=True,
        )
    has_file = bool(info.get("config_file"))
    yield Obstacle(
        rule="change_lasts",
        subject="configuration file",
        value="there is one" if has_file else "none",
        limit="one that the server may write",
        source="INFO server",
        remedy="start it with a file: without one the change is forgotten at its next restart",
        is_met=has_file,
        is_blocking=False,
    )
    wanted = settings.get("min-replicas-to-write", "0")
    is_closed = wanted.isdigit() and int(wanted) >= guard
    before = int(wanted) - guard if is_closed else 0
    yield Obstacle(
        rule="open_to_writes",
        subject="min-replicas-to-write",
        value=printable(wanted, limit=20),
        limit=f"below {guard}",
        source="CONFIG GET min-replicas-to-write",
        remedy=f"a change of primary that was given up left it closed: CONFIG SET min-replicas-to-write {before}",
        is_met=not is_closed or info.get("role") == "slave",
        is_blocking=False,
    )
