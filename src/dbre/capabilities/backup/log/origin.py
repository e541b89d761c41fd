"""Which server writes the log of a cluster now, and whose log it is."""

from dataclasses import dataclass

from dbre.capabilities.backup.documents import PolicyDocument
from dbre.capabilities.backup.ground import BackupGround
from dbre.core.errors import Conflict, DbreError, Denied, Unreachable, Unsupported
from dbre.core.fleet import Cluster
from dbre.core.secrets import prepare_secrets
from dbre.ports.backup.engine import BackupPort
from dbre.ports.backup.log_source import HasLogSource, LogSource
from dbre.ports.engine import Access
from dbre.ports.session import Role

__all__ = ["LogOrigin", "find_origin", "receiver_name"]

_SESSION = "dbre:log"


@dataclass(frozen=True, slots=True, kw_only=True)
class LogOrigin:
    """The primary of a cluster as a source of log."""

    cluster: Cluster
    instance: str
    access: Access
    port: BackupPort
    system_id: str
    timeline: int
    segment_bytes: int | None
    position_example: str  # how the engine writes positions

    @property
    def source(self) -> LogSource | None:
        """What the server keeps for us; None where the engine keeps nothing."""
        return self.port.log_source(self.access) if isinstance(self.port, HasLogSource) else None


def receiver_name(cluster: str) -> str:
    """What slot and session are called on servers of a cluster: every control plane says the same, so that one receives.

    >>> receiver_name("orders-eu")
    'dbre_orders_eu'
    """
    return ("dbre_" + "".join(letter if letter.isalnum() else "_" for letter in cluster.lower()))[:63]


async def find_origin(
    ground: BackupGround, cluster: Cluster, policy: PolicyDocument, *, known: LogOrigin | None = None
) -> LogOrigin:
    """Ask every instance who it is, and survey the primary, unless it is ``known``: a survey measures every database.

    Raises: Unreachable where no primary answers; Conflict where there are two on one timeline; Unsupported.
    """
    await prepare_secrets([cluster.password])
    engine = ground.engines.get(cluster.engine)
    port = ground.port_of(cluster, provider=policy.provider)
    primaries: list[tuple[int, str, Access, str | None]] = []
    failure: DbreError | None = None
    for instance in cluster.instances:
        access = Access.to(cluster, instance.address, application_name=_SESSION)
        server = engine.connect(access)
        try:
            identity = await server.session.identify()
        except (Unreachable, Unsupported, Denied) as error:  # a replica that lets nobody in must not stop the log
            failure = error
            continue
        finally:
            await server.aclose()
        if identity.role is Role.PRIMARY:
            primaries.append((identity.timeline or 0, instance.name, access, identity.system_id))
    if not primaries:
        raise Unreachable(
            f"no primary of cluster {cluster.name} answers: its log is received from nobody"
            + (f" ({failure.message})" if failure is not None else ""),
            hint=failure.hint if failure is not None and failure.hint else f"dbre fleet topology {cluster.name}",
            context={"cluster": cluster.name, "instances": len(cluster.instances)},
        )
    primaries.sort(key=lambda one: (-one[0], one[1]))
    if len(primaries) > 1 and primaries[0][0] == primaries[1][0]:
        names = ", ".join(one[1] for one in primaries)
        raise Conflict(
            f"cluster {cluster.name} has {len(primaries)} primaries on one timeline: {names}",
            hint="two servers take writes: fence one of them; the log of neither is received until then",
            context={"cluster": cluster.name},
        )
    timeline, name, access, system_id = primaries[0]
    if known is not None and (known.instance, known.timeline, known.system_id) == (name, timeline, system_id):
        return known
    survey = await port.survey(access)
    return LogOrigin(
        cluster=cluster,
        instance=name,
        access=access,
        port=port,
        system_id=survey.system_id,
        timeline=survey.timeline,
        segment_bytes=survey.segment_bytes,
        position_example="" if survey.position is None else survey.position.text,
    )
