"""Check ``topology``: one primary that takes writes, members of one cluster and one version, TLS on the way."""

from collections.abc import Iterator, Sequence

from dbre.capabilities.review.looking import ClusterLook
from dbre.core.checks import Finding, Severity
from dbre.core.errors import DbreError
from dbre.core.fleet import Cluster, TlsMode
from dbre.core.text import printable
from dbre.ports.session import Role, ServerIdentity

__all__ = ["check_topology"]


async def check_topology(look: ClusterLook) -> Sequence[Finding]:
    """Rules ``fleet.several_primaries``, ``no_primary``, ``primary_read_only``, ``foreign_instance``, ..."""
    try:
        instances = await look.instances()
    except DbreError:  # check ``contact`` says why nobody could be asked
        return []
    seen = [(one.name, one.identity) for one in instances if one.identity is not None]
    return [
        *_primaries(look.cluster, seen, is_complete=len(seen) == len(instances)),
        *_unlike_members(look.cluster, seen),
        *_tls(look.cluster),
    ]


def _primaries(cluster: Cluster, seen: Sequence[tuple[str, ServerIdentity]], *, is_complete: bool) -> Iterator[Finding]:
    primaries = [(name, identity) for name, identity in seen if identity.role is Role.PRIMARY]
    names = [name for name, _ in primaries]
    if len(primaries) > 1:
        yield Finding(
            rule="fleet.several_primaries",
            severity=Severity.CRITICAL,
            subject=cluster.name,
            summary=f"{len(primaries)} instances take writes: {', '.join(names)}",
            evidence={"primaries": names},
            fix="find out which one clients write to, and fence the others",
        )
    if not primaries and is_complete:
        yield Finding(
            rule="fleet.no_primary",
            severity=Severity.CRITICAL,
            subject=cluster.name,
            summary=f"none of the {len(seen)} instances is a primary",
            fix="promote one, or add the primary to the inventory",
        )
    for name, identity in primaries:
        if identity.is_read_only:
            yield Finding(
                rule="fleet.primary_read_only",
                severity=Severity.ERROR,
                subject=name,
                summary="it is the primary, and refuses what clients want to write: transactions are read-only by default",
                fix=f"find out who made it so, and why: dbre settings show {cluster.name} --name read_only",
            )


def _unlike_members(cluster: Cluster, seen: Sequence[tuple[str, ServerIdentity]]) -> Iterator[Finding]:
    systems = {name: identity.system_id for name, identity in seen if identity.system_id is not None}
    if len(set(systems.values())) > 1:
        yield Finding(
            rule="fleet.foreign_instance",
            severity=Severity.ERROR,
            subject=cluster.name,
            summary=f"its instances belong to {len(set(systems.values()))} different clusters",
            evidence={"system_ids": systems},
            fix="correct host and port of the instances: dbre fleet topology shows who is who",
        )
    versions = {name: identity.version_text for name, identity in seen}
    if len(set(versions.values())) > 1:
        shown = ", ".join(f"{name} {printable(version, limit=60)}" for name, version in versions.items())
        yield Finding(
            rule="fleet.versions_differ",
            severity=Severity.WARNING,
            subject=cluster.name,
            summary=f"its instances run different versions: {shown}",
            evidence={"versions": versions},
            fix="finish the upgrade",
        )


def _tls(cluster: Cluster) -> Iterator[Finding]:
    if cluster.password is not None and cluster.tls in (TlsMode.DISABLE, TlsMode.PREFER) and not _is_local(cluster):
        yield Finding(
            rule="fleet.tls_not_required",
            severity=Severity.INFO,
            subject=cluster.name,
            summary=f"tls is {cluster.tls}: connections may go over the network in the clear",
            evidence={"tls": cluster.tls.value},
            fix="set tls: verify-full",
        )


def _is_local(cluster: Cluster) -> bool:
    hosts = [instance.address.host for instance in cluster.instances]
    return all(host.startswith(("/", "127.")) or host in ("::1", "localhost") for host in hosts)
