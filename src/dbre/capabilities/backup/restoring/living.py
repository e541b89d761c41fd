"""The living primary of a cluster, for what is compared with it or copied beside it."""

from dataclasses import replace

from dbre.capabilities.backup.ground import BackupGround
from dbre.core.errors import DbreError, Unreachable, Unsupported
from dbre.core.fleet import Cluster
from dbre.ports.backup.tables import TableCopies, TableEngine
from dbre.ports.contact import contact
from dbre.ports.engine import Access, Timeouts
from dbre.ports.session import Role

__all__ = ["PATIENT", "find_primary_access", "patient", "table_copies_of"]

PATIENT = Timeouts(connect_seconds=30.0, statement_seconds=6 * 3_600.0, lock_seconds=5.0)
"""Whole tables are read; locks of others are not waited for long."""


def patient(access: Access, *, database: str | None) -> Access:
    """The access to another database, with time to read a whole table."""
    return replace(access, database=database or access.database, timeouts=PATIENT)


async def find_primary_access(ground: BackupGround, cluster: Cluster, *, purpose: str) -> Access:
    """The server that takes writes. Raises: Unreachable where none answers that does."""
    problems: list[DbreError] = []
    for one in cluster.instances:
        try:
            async with contact(ground.engines, cluster, one.address, purpose=purpose) as server:
                if (await server.session.identify()).role is Role.PRIMARY:
                    return Access.to(cluster, one.address, application_name=purpose)
        except DbreError as problem:
            problems.append(problem)
    if problems:
        raise problems[0]
    raise Unreachable(f"no server of {cluster.name} takes writes", hint=f"dbre fleet doctor {cluster.name}")


def table_copies_of(ground: BackupGround, cluster: Cluster) -> TableCopies:
    """How the cluster's engine handles single tables. Raises: Unsupported."""
    engine = ground.engines.get(cluster.engine)
    if not isinstance(engine, TableEngine):
        raise Unsupported(
            f"single tables of {cluster.engine} cannot be compared or brought back", hint="dbre backup restore brings all back"
        )
    return engine.table_copies()
