"""Which server of a cluster is copied, and what it says of itself."""

from collections.abc import Sequence
from dataclasses import dataclass

from dbre.core.errors import DbreError, PrecheckFailed, Unreachable
from dbre.core.fleet import Cluster, Instance
from dbre.core.secrets import prepare_secrets
from dbre.core.text import printable
from dbre.ports.backup.engine import BackupPort
from dbre.ports.backup.model import Problem, SourceSurvey
from dbre.ports.engine import Access

__all__ = ["NotCopyable", "Source", "find_primary", "find_source", "require_copyable"]


class NotCopyable(PrecheckFailed):
    """Something stands in the way of a copy; nothing was begun."""

    code = "backup.not_copyable"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One server, surveyed."""

    instance: str
    access: Access
    survey: SourceSurvey
    warnings: tuple[str, ...] = ()


async def find_source(
    port: BackupPort, cluster: Cluster, *, from_replica: bool, instance: str | None = None, application_name: str
) -> Source:
    """The server that is copied: the one named, else a replica where one is wanted and answers, else the primary.

    Raises: UsageError for a name that the cluster lacks; Unreachable where no server that could be copied answers.
    """
    await prepare_secrets([cluster.password])
    chosen = [one for one in cluster.instances if instance is None or one.name == instance]
    if not chosen:
        raise NotCopyable(
            f"cluster {cluster.name} has no instance {printable(instance or '', limit=80)}",
            hint=f"it has {', '.join(one.name for one in cluster.instances)}",
        )
    found, errors = await _surveys(port, cluster, chosen, application_name)
    wanted = [one for one in found if instance is not None or one.survey.is_replica == from_replica]
    if wanted:
        return wanted[0]
    primaries = [one for one in found if not one.survey.is_replica]
    if primaries and from_replica:
        (first, *_) = primaries
        told = f"no replica of {cluster.name} can be copied, so the primary {first.instance} is"
        return Source(instance=first.instance, access=first.access, survey=first.survey, warnings=(told,))
    if errors and not found:
        raise errors[0]
    seen = "only replicas answer" if found else "no server answers"
    raise Unreachable(
        f"cluster {cluster.name} has no primary to copy: {seen}",
        hint="set from_replica: true in the policy to copy a replica" if found else f"dbre fleet doctor {cluster.name}",
    )


async def find_primary(port: BackupPort, cluster: Cluster, *, application_name: str) -> Source:
    """The server that takes writes. Raises: Unreachable."""
    return await find_source(port, cluster, from_replica=False, application_name=application_name)


def require_copyable(source: Source) -> tuple[str, ...]:
    """What is doubtful about a source, as sentences. Raises: NotCopyable with everything that stands in the way."""
    blocking = [one for one in source.survey.problems if one.is_blocking]
    if blocking:
        raise NotCopyable(
            f"{source.instance} cannot be copied: " + "; ".join(printable(one.message, limit=300) for one in blocking),
            hint="; ".join(dict.fromkeys(printable(one.hint, limit=300) for one in blocking)),
            context={"instance": source.instance, "problems": [one.rule for one in blocking]},
        )
    return tuple(_sentence(one) for one in source.survey.problems)


async def _surveys(
    port: BackupPort, cluster: Cluster, instances: Sequence[Instance], application_name: str
) -> tuple[list[Source], list[DbreError]]:
    """One after the other: a survey costs the server little, and the order of the configuration decides."""
    found: list[Source] = []
    errors: list[DbreError] = []
    for one in instances:
        access = Access.to(cluster, one.address, application_name=application_name)
        try:
            found.append(Source(instance=one.name, access=access, survey=await port.survey(access)))
        except DbreError as error:
            errors.append(error)
    return found, errors


def _sentence(problem: Problem) -> str:
    return f"{printable(problem.message, limit=300)} ({printable(problem.hint, limit=200)})"
