"""Whether a follower would be let in: a login for replication is tried, for what pg_hba.conf means only the server can say."""

import asyncio

import psycopg

from dbre.core.text import printable
from dbre.core.units import format_duration
from dbre.engines.postgres.conninfo import conninfo_for
from dbre.engines.postgres.faults import FAULTS
from dbre.ports.engine import Access
from dbre.ports.succession import Following, NoControl, Obstacle

__all__ = ["entry_of"]


async def entry_of(access: Access, following: Following) -> Obstacle | None:
    """Log in as a walsender's client, which needs REPLICATION and a line of pg_hba.conf, and leave; no slot is touched.

    The view pg_hba_file_rules would need a superuser, and would not say which line a login meets.
    """
    try:
        conninfo = conninfo_for(following).reveal()
    except NoControl:
        return None  # another check says that no login is known
    limit = access.timeouts.connect_seconds
    why = None
    try:
        async with asyncio.timeout(limit):
            link = await psycopg.AsyncConnection.connect(conninfo, replication="true", autocommit=True)
        link.pgconn.finish()
    except TimeoutError:
        why = f"no answer within {format_duration(limit)}"
    except FAULTS.raised as error:
        why = FAULTS.translate(error, access).message
    return Obstacle(
        rule="lets_replication_in",
        subject="the login of followers",
        value=printable(why, limit=300) if why is not None else "a login for replication succeeds",
        limit="let in from the machine of the old primary; tried from this one",
        source="replication connection, ended at once (privilege: REPLICATION of that login)",
        remedy="a line of pg_hba.conf, such as: host replication USER ADDRESS scram-sha-256; then pg_reload_conf(); "
        "or correct replication_user and replication_password",
        is_met=why is None,
        is_blocking=True,
    )
