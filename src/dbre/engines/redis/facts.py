"""What is true of Redis and Valkey, as data: products, versions, privileges, and what each error word means."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from dbre.ports.engine import Blame
from dbre.ports.versions import parse_version

__all__ = [
    "DEFAULT_PORT",
    "ERRORS",
    "HEARTBEAT_PREFIX",
    "IMMUTABLE_SETTINGS",
    "LOGIN",
    "SECRET_SETTINGS",
    "TESTED_VERSIONS",
    "Meaning",
    "Product",
    "identify_product",
    "meaning_of",
]

DEFAULT_PORT = 6379
HEARTBEAT_PREFIX = "dbre:hb:"

LOGIN = "AUTH"
"""What every login may do: no rule is needed for it."""


class Product(StrEnum):
    """Servers that speak this protocol."""

    REDIS = "redis"
    VALKEY = "valkey"


TESTED_VERSIONS = {Product.REDIS: ((7, 0),), Product.VALKEY: ()}
"""Versions on which every command is proved."""


def identify_product(server: Mapping[str, str]) -> tuple[Product, tuple[int, ...], str]:
    """Product, version and version text from the ``server`` section of INFO; other forks count as Redis.

    Valkey keeps ``redis_version`` at 7.2.4 for old clients and tells its own version beside it.
    """
    if server.get("server_name") == "valkey" or "valkey_version" in server:
        product, text = Product.VALKEY, server.get("valkey_version", "")
    else:
        product, text = Product.REDIS, server.get("redis_version", "")
    numbers = text.split("-")[0]
    return product, parse_version(numbers) if numbers.replace(".", "").isdigit() else (), text


@dataclass(frozen=True, slots=True)
class Meaning:
    """What one error word says; ``prefix`` tells apart the errors that share the word ``ERR``."""

    word: str
    blame: Blame
    retryable: bool
    name: str
    prefix: str = ""


_BAD, _OURS = Blame.BAD, Blame.EXCLUDED

ERRORS: tuple[Meaning, ...] = (
    Meaning("ASK", _OURS, False, "slot lives elsewhere"),
    Meaning("BUSY", _BAD, True, "a script keeps the server busy"),
    Meaning("CLUSTERDOWN", _BAD, True, "cluster down"),
    Meaning("CROSSSLOT", _OURS, False, "keys in several slots"),
    Meaning("DENIED", _OURS, False, "protected mode refuses strangers"),
    Meaning("ERR", _OURS, False, "error"),
    Meaning("ERR", _BAD, True, "too many connections", prefix="max number of clients"),
    Meaning("EXECABORT", _OURS, False, "transaction refused"),
    Meaning("IOERR", _BAD, True, "connection to another server failed"),
    Meaning("LOADING", _BAD, True, "server loads its data"),
    Meaning("MASTERDOWN", _BAD, True, "replica without its primary"),
    Meaning("MISCONF", _BAD, False, "server stopped writes, because it cannot save"),
    Meaning("MOVED", _OURS, False, "slot lives elsewhere"),
    Meaning("NOAUTH", _OURS, False, "login needed"),
    Meaning("NOPERM", _OURS, False, "privilege missing"),
    Meaning("NOREPLICAS", _BAD, True, "too few replicas for writes"),
    Meaning("NOSCRIPT", _OURS, False, "no such script"),
    Meaning("OOM", _BAD, False, "out of memory"),
    Meaning("READONLY", _BAD, False, "read-only replica where writes were due"),
    Meaning("TRYAGAIN", _BAD, True, "slot on its way to another server"),
    Meaning("UNKILLABLE", _BAD, True, "a script keeps the server busy"),
    Meaning("WRONGPASS", _OURS, False, "login refused"),
    Meaning("WRONGTYPE", _OURS, False, "key of another type"),
)
_UNLISTED = Meaning("", _OURS, False, "error")


def meaning_of(word: str, text: str) -> Meaning:
    """The entry for an error; the one with the right prefix first; else "excluded": what nobody listed must not spend a budget.

    Source: error replies in the sources of Redis 7; SLI taxonomy of dbre.
    """
    named = [meaning for meaning in ERRORS if meaning.word == word and text.startswith(meaning.prefix)]
    return max(named, key=lambda meaning: len(meaning.prefix), default=_UNLISTED)


SECRET_SETTINGS = frozenset(
    {
        "masterauth", "masteruser", "primaryauth", "primaryuser", "requirepass", "tls-client-key-file-pass",
        "tls-key-file-pass",
    }
)  # fmt: skip
"""Parameters whose value is a secret, or half of a login."""

IMMUTABLE_SETTINGS = frozenset(
    {
        "aclfile", "always-show-logo", "aof-rewrite-cpulist", "appenddirname", "appendfilename", "bgsave-cpulist",
        "bio-cpulist", "bio_cpulist", "aof_rewrite_cpulist", "bgsave_cpulist", "server_cpulist", "cluster-config-file",
        "cluster-enabled", "cluster-port", "daemonize", "databases", "disable-thp", "enable-debug-command",
        "enable-module-command", "enable-protected-configs", "io-threads", "io-threads-do-reads", "logfile",
        "pidfile", "rdbchecksum", "server-cpulist", "set-proc-title",
        "socket-mark-id", "supervised", "syslog-enabled", "syslog-facility", "syslog-ident", "tcp-backlog", "unixsocket",
        "unixsocketperm", "use-exit-on-panic",
    }
)  # fmt: skip
"""Parameters that CONFIG SET refuses and no command changes (replicaof has one); a test compares them with a real server.

Source: IMMUTABLE_CONFIG in src/config.c of Redis 7.0.
"""
