"""Every command that dbre may ever send to Redis, with the privilege that it needs, as ACL rules write it.

Words are separated by blanks; ``$1`` stands for the first parameter, alone or inside a word. Each word is sent as one
binary-safe string, so that no parameter can become a second word.
"""

from collections.abc import Iterable
from functools import cache

from dbre.core.errors import Unsupported
from dbre.ports.engine import Facet, NamedQuery, Parameter
from dbre.ports.versions import VersionRange, format_version

__all__ = ["PRIVILEGES", "all_commands", "named", "words_of"]

_NAME = Parameter(name="application_name", type="text")
_NAME_OF, _COUNT = Parameter(name="setting", type="text"), Parameter(name="count", type="integer")
_KEY, _CURSOR = Parameter(name="key", type="text"), Parameter(name="cursor", type="integer")
_AT, _NONCE = Parameter(name="at", type="integer"), Parameter(name="nonce", type="text")
_PREVIOUS, _HASH = Parameter(name="previous", type="text"), Parameter(name="hash", type="text")
_HOST, _PORT = Parameter(name="host", type="text"), Parameter(name="port", type="integer")
_MILLISECONDS, _VALUE = Parameter(name="milliseconds", type="integer"), Parameter(name="value", type="text")
_MILLISECONDS = Parameter(name="milliseconds", type="integer")
_DATABASE = Parameter(name="database", type="integer")
_RUN, _SCRIPT, _ELEMENT = (
    Parameter(name="run", type="text"),
    Parameter(name="script", type="text"),
    Parameter(name="element", type="integer"),
)
_CERTIFICATE, _KEY_FILE = Parameter(name="certificate", type="text"), Parameter(name="key_file", type="text")
_ID, _SEQUENCE = Parameter(name="id", type="text"), Parameter(name="sequence", type="integer")

# name, facet, versions, privilege, words, parameters
_TABLE: tuple[tuple[str, Facet, str, str, str, tuple[Parameter, ...]], ...] = (
    (
        "set_name",
        Facet.SESSION,
        ">=6.2",
        "+client|setname",
        "CLIENT SETNAME $1",
        (_NAME,),
    ),
    ("own_session", Facet.SESSION, ">=6.2", "+client|id", "CLIENT ID", ()),
    ("time", Facet.SESSION, ">=6.2", "+time", "TIME", ()),
    ("login", Facet.SESSION, ">=6.2", "+acl|whoami", "ACL WHOAMI", ()),
    ("info", Facet.SESSION, ">=6.2", "+info", "INFO", ()),
    ("role", Facet.PROBE, ">=6.2", "+role", "ROLE", ()),
    # A sorted set, because GT makes the server itself refuse a smaller sequence: a late writer, thawed after its successor,
    # cannot take it back, and no script needs to be allowed. Scores are exact up to 2**53.
    ("heartbeat_write", Facet.PROBE, ">=6.2", "+zadd ~dbre:hb:*", "ZADD dbre:hb:$1 GT $2 sequence", (_ID, _SEQUENCE)),
    ("heartbeat_read", Facet.PROBE, ">=6.2", "+zscore ~dbre:hb:*", "ZSCORE dbre:hb:$1 sequence", (_ID,)),
    # Changes nothing, since XX wants a member that is never there.
    ("heartbeat_check", Facet.PROBE, ">=6.2", "+zadd ~dbre:hb:*", "ZADD dbre:hb:check XX 0 check", ()),
    ("sessions", Facet.ACTIVITY, ">=6.2", "+client|list", "CLIENT LIST", ()),
    ("settings", Facet.SETTINGS, ">=6.2", "+config|get", "CONFIG GET *", ()),
    ("command_statistics", Facet.STATISTICS, ">=6.2", "+info", "INFO commandstats", ()),
)

# Only for those who opted in: not in the grant script, and never tried to find out what a login may do.
_OPT_IN_TABLE: tuple[tuple[str, Facet, str, str, str, tuple[Parameter, ...]], ...] = (
    ("backup_setting", Facet.BACKUP, ">=6.2", "+config|get", "CONFIG GET $1", (_NAME_OF,)),
    ("backup_end_file", Facet.BACKUP, ">=7.0", "+bgrewriteaof", "BGREWRITEAOF", ()),
    # The next ones are sent only to servers that were started from a copy.
    ("backup_writable", Facet.BACKUP, ">=7.0", "+config|set", "CONFIG SET min-replicas-to-write $1", (_COUNT,)),
    ("backup_probe", Facet.BACKUP, ">=7.0", "+set", "SET dbre:recovery:probe 1", ()),
    ("backup_probe_end", Facet.BACKUP, ">=7.0", "+del", "DEL dbre:recovery:probe", ()),
    ("backup_save", Facet.BACKUP, ">=7.0", "+save", "SAVE", ()),
    # Explicit ids make the server refuse a second row of the same number, whoever writes it.
    (
        "canary_write",
        Facet.CANARY,
        ">=6.2",
        "+xadd ~dbre:canary",
        "XADD dbre:canary $1 at $2 nonce $3 previous $4 hash $5",
        (_SEQUENCE, _AT, _NONCE, _PREVIOUS, _HASH),
    ),
    ("canary_newest", Facet.CANARY, ">=6.2", "+xrevrange ~dbre:canary", "XREVRANGE dbre:canary + - COUNT $1", (_COUNT,)),
    ("canary_oldest", Facet.CANARY, ">=6.2", "+xrange ~dbre:canary", "XRANGE dbre:canary - + COUNT $1", (_COUNT,)),
    ("canary_prune", Facet.CANARY, ">=6.2", "+xtrim ~dbre:canary", "XTRIM dbre:canary MINID = $1", (_SEQUENCE,)),
    ("client_push", Facet.CLIENT, ">=6.2", "+rpush ~dbre:client:*", "RPUSH dbre:client:list:$1 $2", (_RUN, _ELEMENT)),
    ("client_list", Facet.CLIENT, ">=6.2", "+lrange ~dbre:client:*", "LRANGE dbre:client:list:$1 0 -1", (_RUN,)),
    ("client_field", Facet.CLIENT, ">=6.2", "+hget ~dbre:client:*", "HGET dbre:client:hash:$1 $2", (_RUN, _KEY)),
    (
        "client_set_field",
        Facet.CLIENT,
        ">=6.2",
        "+hset ~dbre:client:*",
        "HSET dbre:client:hash:$1 $2 $3",
        (_RUN, _KEY, _ELEMENT),
    ),
    (
        "client_swap",
        Facet.CLIENT,
        ">=6.2",
        "+eval +hget +hset ~dbre:client:*",
        "EVAL $1 1 dbre:client:hash:$2 $3 $4 $5",
        (_SCRIPT, _RUN, _KEY, _ELEMENT, _ELEMENT),
    ),
    (
        "client_remove",
        Facet.CLIENT,
        ">=6.2",
        "+unlink ~dbre:client:*",
        "UNLINK dbre:client:list:$1 dbre:client:hash:$2",
        (_RUN, _RUN),
    ),
    ("setting", Facet.SETTINGS, ">=6.2", "+config|get", "CONFIG GET $1", (_NAME_OF,)),
    ("change_setting", Facet.SETTINGS, ">=6.2", "+config|set", "CONFIG SET $1 $2", (_NAME_OF, _VALUE)),
    # No parameter has this name: the server refuses it, for that reason or because the login may change none.
    ("change_nothing", Facet.SETTINGS, ">=6.2", "+config|set", "CONFIG SET dbre-no-parameter 0", ()),
    ("keep_settings", Facet.SETTINGS, ">=6.2", "+config|rewrite", "CONFIG REWRITE", ()),
    ("succession_follow", Facet.SUCCESSION, ">=6.2", "+replicaof", "REPLICAOF $1 $2", (_HOST, _PORT)),
    ("succession_promote", Facet.SUCCESSION, ">=6.2", "+replicaof", "REPLICAOF NO ONE", ()),
    (
        "succession_hand_over",
        Facet.SUCCESSION,
        ">=6.2",
        "+failover",
        "FAILOVER TO $1 $2 TIMEOUT $3",
        (_HOST, _PORT, _MILLISECONDS),
    ),
    ("succession_setting", Facet.SUCCESSION, ">=6.2", "+config|get", "CONFIG GET $1", (_NAME_OF,)),
    ("succession_set", Facet.SUCCESSION, ">=6.2", "+config|set", "CONFIG SET $1 $2", (_NAME_OF, _VALUE)),
    ("succession_keep", Facet.SUCCESSION, ">=6.2", "+config|rewrite", "CONFIG REWRITE", ()),
    ("succession_cut", Facet.SUCCESSION, ">=6.2", "+client|kill", "CLIENT KILL TYPE normal SKIPME yes", ()),
    ("mischief_pause", Facet.MISCHIEF, ">=6.2", "+client|pause", "CLIENT PAUSE $1 WRITE", (_MILLISECONDS,)),
    ("mischief_unpause", Facet.MISCHIEF, ">=6.2", "+client|unpause", "CLIENT UNPAUSE", ()),
    ("mischief_setting", Facet.MISCHIEF, ">=6.2", "+config|get", "CONFIG GET $1", (_NAME_OF,)),
    (
        "mischief_certificate",
        Facet.MISCHIEF,
        ">=7.0",
        "+config|set",
        "CONFIG SET tls-cert-file $1 tls-key-file $2",
        (_CERTIFICATE, _KEY_FILE),
    ),
    ("mischief_kill", Facet.MISCHIEF, ">=6.2", "+client|kill", "CLIENT KILL ID $1", (_ID,)),
    ("select", Facet.INTEGRITY, ">=6.2", "+select", "SELECT $1", (_DATABASE,)),
    ("keyspace", Facet.INTEGRITY, ">=6.2", "+info", "INFO keyspace", ()),
    ("size", Facet.INTEGRITY, ">=6.2", "+dbsize", "DBSIZE", ()),
    ("modules", Facet.INTEGRITY, ">=6.2", "+module|list", "MODULE LIST", ()),
    ("scan", Facet.INTEGRITY, ">=6.2", "+scan ~*", "SCAN $1 COUNT 1000", (_CURSOR,)),
    ("type", Facet.INTEGRITY, ">=6.2", "+type ~*", "TYPE $1", (_KEY,)),
    ("ttl", Facet.INTEGRITY, ">=6.2", "+pttl ~*", "PTTL $1", (_KEY,)),
    ("value_bytes", Facet.INTEGRITY, ">=6.2", "+memory|usage ~*", "MEMORY USAGE $1", (_KEY,)),
    ("value_string", Facet.INTEGRITY, ">=6.2", "+get ~*", "GET $1", (_KEY,)),
    ("value_list", Facet.INTEGRITY, ">=6.2", "+lrange ~*", "LRANGE $1 0 -1", (_KEY,)),
    ("value_hash", Facet.INTEGRITY, ">=6.2", "+hgetall ~*", "HGETALL $1", (_KEY,)),
    ("value_set", Facet.INTEGRITY, ">=6.2", "+smembers ~*", "SMEMBERS $1", (_KEY,)),
    ("value_zset", Facet.INTEGRITY, ">=6.2", "+zrange ~*", "ZRANGE $1 0 -1 WITHSCORES", (_KEY,)),
    ("value_stream", Facet.INTEGRITY, ">=6.2", "+xrange ~*", "XRANGE $1 - +", (_KEY,)),
    ("value_other", Facet.INTEGRITY, ">=6.2", "+dump ~*", "DUMP $1", (_KEY,)),
)

PRIVILEGES = tuple(dict.fromkeys(row[3] for row in _TABLE))
"""All that the features need, in the words of ``Feature.privilege``."""


@cache
def all_commands() -> tuple[NamedQuery, ...]:
    """Every command, in the order of the table."""
    return tuple(
        NamedQuery(
            name=name,
            facet=facet,
            versions=versions,
            privilege=privilege,
            text=text,
            source=f"redis/commands.py:{name}",
            parameters=parameters,
        )
        for name, facet, versions, privilege, text, parameters in (*_TABLE, *_OPT_IN_TABLE)
    )


def named(name: str, *, version: tuple[int, ...] | None = None) -> NamedQuery:
    """One command. Raises: Unsupported where it is for other versions only."""
    (found,) = [command for command in all_commands() if command.name == name]
    if version is not None and version not in VersionRange.parse(found.versions):
        raise Unsupported(f"{name.replace('_', ' ')} needs version {found.versions}, and this is {format_version(version)}")
    return found


def words_of(command: NamedQuery, parameters: Iterable[object]) -> list[bytes]:
    """The words of a command as they are sent.

    >>> words_of(named("heartbeat_read"), ["a b"])
    [b'ZSCORE', b'dbre:hb:a b', b'sequence']
    """
    values = {f"${number}": str(value) for number, value in enumerate(parameters, start=1)}
    if len(values) != len(command.parameters):
        raise TypeError(f"{command.name} takes {len(command.parameters)} parameters, not {len(values)}")
    return [_fill(word, values).encode("utf-8", "surrogateescape") for word in command.text.split(" ")]


def _fill(word: str, values: dict[str, str]) -> str:
    head, dollar, number = word.partition("$")
    return head + values[dollar + number] if dollar else word
