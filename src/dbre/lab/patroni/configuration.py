"""The configuration of one node that Patroni runs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dbre.core.secrets import Secret
from dbre.lab.postgres.server import AUTHENTICATION, FAST, REPLICATION_USER, SETTINGS

__all__ = ["BOOTSTRAP", "NAMESPACE", "REST_USER", "NodeParts", "node_configuration"]

NAMESPACE = "/service/"
REST_USER = "dbre"
BOOTSTRAP: Mapping[str, Any] = {"ttl": 120, "loop_wait": 1, "retry_timeout": 30, "primary_start_timeout": 300}
"""While the first node is made: a lease that ends during initdb begins it anew for ever. The preset's follow afterwards."""
_IN_STORE = ("max_connections", "wal_level", "wal_log_hints")
"""Settings that Patroni takes from the consensus store alone, because all nodes must agree on them."""

_FAST: Mapping[str, str] = {**FAST, "full_page_writes": "on"}  # pg_rewind copies from no server without them
_PROMPT: Mapping[str, str] = {
    "wal_sender_timeout": "10s",
    "wal_receiver_timeout": "10s",
    "tcp_user_timeout": "10s",
    "client_connection_check_interval": "10s",
}
"""What a server has to be told so that it notices who is gone; ``dbre ha settings`` asks for all of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeParts:
    """What tells one node from another."""

    scope: str
    name: str
    address: str
    clients: str  # the network that is let in
    port: int
    rest_port: int
    directory: Path  # of the node, for its password file
    data_directory: Path
    bindir: Path
    etcd: Sequence[str]  # host:port of each member
    etcd_login: tuple[str, Secret] | None
    superuser: str
    password: Secret
    is_durable: bool
    settings: Mapping[str, str] = field(default_factory=dict)
    tags: Mapping[str, Any] = field(default_factory=dict)
    watchdog: Mapping[str, Any] = field(default_factory=lambda: {"mode": "off"})


def node_configuration(parts: NodeParts) -> dict[str, Any]:
    """As Patroni reads it; it holds passwords."""
    where, secret = f"{parts.address}:{parts.port}", parts.password.reveal()
    replication = {"username": REPLICATION_USER, "password": secret, "sslmode": "disable"}
    etcd: dict[str, Any] = {"hosts": list(parts.etcd)}
    if parts.etcd_login is not None:
        etcd |= {"username": parts.etcd_login[0], "password": parts.etcd_login[1].reveal()}
    return {
        "scope": parts.scope,
        "name": parts.name,
        "namespace": NAMESPACE,
        "restapi": {
            "listen": f"{parts.address}:{parts.rest_port}",
            "connect_address": f"{parts.address}:{parts.rest_port}",
            "authentication": {"username": REST_USER, "password": secret},
        },
        "etcd3": etcd,
        "bootstrap": {
            "dcs": {**BOOTSTRAP, "maximum_lag_on_failover": 1_048_576, "postgresql": _shared(parts)},
            "initdb": [{"encoding": "UTF8"}, {"locale": "C"}, "data-checksums", "no-sync", "no-instructions"],
        },
        "postgresql": {
            "listen": where,
            "connect_address": where,
            "data_dir": str(parts.data_directory),
            "bin_dir": str(parts.bindir),
            "pgpass": str(parts.directory / "pgpass"),
            "authentication": {
                "superuser": {"username": parts.superuser, "password": secret, "sslmode": "disable"},
                "replication": replication,
            },
            "parameters": _own(parts),
            "pg_hba": [line for line in AUTHENTICATION.format(clients=parts.clients).splitlines() if line[0] != "#"],
            "basebackup": [{"checkpoint": "fast"}, *([] if parts.is_durable else ["no-sync"])],
        },
        "watchdog": dict(parts.watchdog),
        "tags": dict(parts.tags),
    }


def _shared(parts: NodeParts) -> dict[str, Any]:
    given = {**SETTINGS, **parts.settings}
    return {"use_pg_rewind": True, "use_slots": True, "parameters": {name: given[name] for name in _IN_STORE}}


def _own(parts: NodeParts) -> dict[str, Any]:
    given = {**SETTINGS, **({} if parts.is_durable else _FAST), **_PROMPT, **parts.settings}
    return {name: value for name, value in given.items() if name not in _IN_STORE}
