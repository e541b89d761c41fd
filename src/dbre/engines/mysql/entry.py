"""Whether a follower would be let in: its login is tried, and what it holds is read."""

from dataclasses import replace

from dbre.core.text import printable
from dbre.engines.mysql.connection import open_connection
from dbre.engines.mysql.faults import FAULTS
from dbre.engines.mysql.link import STATEMENT_GRACE_SECONDS, ask_named
from dbre.ports.engine import Access
from dbre.ports.succession import Following, Obstacle

__all__ = ["entry_of"]

_ENOUGH = ("REPLICATION SLAVE", "ALL PRIVILEGES")


async def entry_of(access: Access, following: Following) -> Obstacle | None:
    """Log in with the follower's login, read its grants, and leave. None: nobody says with what login followers come."""
    if following.user is None:
        return None
    theirs = replace(access, user=following.user, password=following.password, database=None)
    limit = access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
    try:
        connection = await open_connection(theirs, what="succession")
        try:
            rows = await ask_named(connection, "grants", limit_seconds=limit)
        finally:
            connection.abort()
        granted = [str(next(iter(row.values()))) for row in rows]
        why = None if any(word in line for line in granted for word in _ENOUGH) else "it lacks REPLICATION SLAVE"
    except FAULTS.raised as error:
        why = FAULTS.translate(error, theirs).message
    return Obstacle(
        rule="lets_replication_in",
        subject="the login of followers",
        value=printable(why, limit=300) if why is not None else "the login succeeds, and may receive the log",
        limit="let in from the machine of the old primary; tried from this one",
        source="login of replication_user, ended at once; SHOW GRANTS (privilege: REPLICATION SLAVE of that login)",
        remedy="GRANT REPLICATION SLAVE ON *.* TO the replication_user, for the old primary's address too",
        is_met=why is None,
        is_blocking=True,
    )
