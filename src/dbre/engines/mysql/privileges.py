"""What a login may do, read from the grants that the server prints for it."""

import re
from collections.abc import Iterable

from dbre.engines.mysql.facts import (
    ADMINISTER,
    CREATE_HEARTBEAT,
    LOGIN,
    MONITOR,
    MONITOR_NAMES,
    PERFORMANCE_SCHEMA,
    PROCESS,
    READ_HEARTBEAT,
    WRITE_HEARTBEAT,
)

__all__ = ["held_privileges"]

_NAME = r"`((?:[^`]|``)*)`|(\*)"
_GRANT = re.compile(rf"GRANT (?P<words>[A-Z ,()_`a-z0-9]+?) ON (?:TABLE )?(?:{_NAME})\.(?:{_NAME}) TO ")


def held_privileges(lines: Iterable[str]) -> frozenset[str]:
    """The privileges that ``SHOW GRANTS`` prints, in the words of the SQL headers.

    Grants on single columns do not count, since our statements need whole tables. A database name in a grant is a pattern in
    which ``_`` stands for any character, unless a backslash precedes it.

    >>> sorted(held_privileges(["GRANT PROCESS, SLAVE MONITOR ON *.* TO `dbre`@`%`"]))
    ['PROCESS', 'REPLICA MONITOR', 'USAGE']
    """
    held = {LOGIN}
    on_heartbeat: set[str] = set()
    for line in lines:
        match = _GRANT.match(line)
        if match is None:
            continue
        words = {word.strip() for word in match["words"].split(",")}
        database, table = _unquote(match[2], match[3]), _unquote(match[4], match[5])
        everything = bool(words & {"ALL PRIVILEGES", "ALL"})
        if database == "*":
            held |= {name for name in (PROCESS, MONITOR, ADMINISTER) if everything or words & _names_of(name)}
        if table == "*" and database in ("*", "performance_schema") and (everything or "SELECT" in words):
            held.add(PERFORMANCE_SCHEMA)
        if _covers(database, "dbre") and table in ("*", "heartbeat"):
            on_heartbeat |= {"SELECT", "INSERT", "UPDATE", "CREATE"} if everything else words
    held |= {READ_HEARTBEAT} if "SELECT" in on_heartbeat else set()
    held |= {WRITE_HEARTBEAT} if {"SELECT", "INSERT", "UPDATE"} <= on_heartbeat else set()
    held |= {CREATE_HEARTBEAT} if "CREATE" in on_heartbeat else set()
    return frozenset(held)


def _unquote(quoted: str | None, star: str | None) -> str:
    return star or (quoted or "").replace("``", "`")


def _names_of(privilege: str) -> set[str]:
    return MONITOR_NAMES if privilege == MONITOR else {privilege}


def _covers(pattern: str, database: str) -> bool:
    if pattern == "*":
        return True
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    wild = {"%": ".*", "_": "."}
    return re.fullmatch("".join(wild.get(part) or re.escape(part[-1]) for part in parts), database, re.DOTALL) is not None
