"""Whether the next copy is a full or an incremental one, on which set it stands, and why. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from dbre.capabilities.backup.documents import PolicyDocument, VaultDocument
from dbre.capabilities.backup.log.gaps import ancestry
from dbre.capabilities.backup.model import BackupSet, Catalog, SetState
from dbre.capabilities.backup.policy.recipients import why_shut_out
from dbre.capabilities.backup.retention.rules import by_age, is_whole
from dbre.core.errors import Conflict, PrecheckFailed
from dbre.core.units import format_bytes, format_duration, format_percent
from dbre.ports.backup.model import ChecksumState, CopyKind, SourceSurvey

__all__ = ["Choice", "NoSuchCopy", "chain_of", "choose"]

_INCREMENTS = frozenset({CopyKind.INCREMENTAL, CopyKind.DIFFERENTIAL})
_FORECAST_SHARE = 0.8
"""Of the recovery time objective: a chain that needs more is not made longer. Source: backup.md 4.2."""


class NoSuchCopy(PrecheckFailed):
    """The kind of copy that was asked for cannot be made now."""

    code = "backup.no_such_copy"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """What is copied next."""

    kind: CopyKind
    parent: BackupSet | None
    reason: str  # one sentence, for people


def chain_of(catalog: Catalog, newest: BackupSet) -> tuple[BackupSet, ...]:
    """A set and all on which it stands, the full one first; shorter where the catalog has lost one."""
    chain = [newest]
    while chain[-1].parent_id is not None and (parent := catalog.get(chain[-1].parent_id)) is not None:
        if parent in chain:
            break
        chain.append(parent)
    return tuple(reversed(chain))


def choose(
    asked: CopyKind | None,
    kinds: Sequence[CopyKind],
    catalog: Catalog,
    policy: PolicyDocument,
    survey: SourceSurvey,
    *,
    forecast_seconds: float | None = None,
    vaults: Sequence[VaultDocument] = (),
) -> Choice:
    """The next copy of a server; ``asked`` None leaves it to the policy, ``forecast_seconds`` is what a restore takes now.

    Raises: NoSuchCopy where an incremental one was asked for and none can be made, or the engine lacks the kind.
    """
    whole = CopyKind.FULL if CopyKind.FULL in kinds else kinds[0]
    if asked is not None and asked not in kinds:
        raise NoSuchCopy(
            f"{survey.product} is not copied as {asked} by provider {policy.provider}",
            hint=f"it can be copied as {', '.join(kinds)}; a policy with provider: dump copies rows (logical)",
        )
    if asked is not None and asked not in _INCREMENTS:
        return Choice(kind=asked, parent=None, reason=f"a {asked} copy was asked for")
    parent, reason = _parent(kinds, catalog, policy, survey, forecast_seconds, vaults)
    if parent is not None and asked is CopyKind.DIFFERENTIAL:
        full = chain_of(catalog, parent)[0]
        if (forgotten := _forgotten(full, survey)) is not None:
            raise NoSuchCopy(
                f"no {asked} copy can be made: {forgotten}", hint="take a full one: dbre backup take CLUSTER --kind full"
            )
        return Choice(kind=asked, parent=full, reason=f"what changed since full set {full.id}")
    if parent is not None:
        return Choice(kind=CopyKind.INCREMENTAL, parent=parent, reason=reason)
    if asked is not None:
        raise NoSuchCopy(f"no {asked} copy can be made: {reason}", hint="take a full one: dbre backup take CLUSTER --kind full")
    return Choice(kind=whole, parent=None, reason=reason)


def _parent(
    kinds: Sequence[CopyKind],
    catalog: Catalog,
    policy: PolicyDocument,
    survey: SourceSurvey,
    forecast_seconds: float | None,
    vaults: Sequence[VaultDocument],
) -> tuple[BackupSet | None, str]:
    if CopyKind.INCREMENTAL not in kinds:
        return None, "this kind of copy has no increments"
    if not survey.can_increment:
        return None, f"the server gives no increments: {survey.why_no_increment or 'it does not say why'}"
    sealed = by_age(one for one in catalog.sets if one.state is SetState.SEALED and one.provider == policy.provider)
    if not sealed:
        return None, "there is no sealed set yet"
    newest = sealed[-1]
    chain = chain_of(catalog, newest)
    found = (
        _broken(chain, catalog, policy, survey)
        or why_shut_out(chain, vaults, policy.vaults)
        or _too_long(chain, policy, forecast_seconds)
    )
    if found is not None:
        return None, found
    return newest, f"increment {len(chain)} of at most {policy.longest_chain} on full set {chain[0].id}"


def _broken(chain: Sequence[BackupSet], catalog: Catalog, policy: PolicyDocument, survey: SourceSurvey) -> str | None:
    """Why nothing can stand on a chain, if so."""
    newest = chain[-1]
    if newest.system_id != survey.system_id:
        return (
            f"the server is another one now: system {survey.system_id}, and set {newest.id} is of system {newest.system_id}"
            " (rebuilt, or upgraded)"
        )
    if not is_whole(chain[0]) or any(one.state is not SetState.SEALED for one in chain):
        return f"the chain of set {newest.id} is not complete"
    if newest.stop is None or not _is_ancestor(newest, catalog, survey):
        return f"set {newest.id} does not lie on the history of timeline {survey.timeline}"
    if survey.has_checksums is not None and (newest.checksums is ChecksumState.OFF) == survey.has_checksums:
        return f"page checksums were switched {'on' if survey.has_checksums else 'off'} since set {newest.id}"
    if newest.checksums is ChecksumState.BAD:
        return f"set {newest.id} has damaged pages"
    if survey.version and newest.version_text.split(".")[0] != str(survey.version[0]):
        return f"set {newest.id} is of version {newest.version_text}, and the server runs {survey.version_text}"
    if (forgotten := _forgotten(newest, survey)) is not None:
        return forgotten
    missing = [name for name in policy.vaults if any(name not in one.vaults for one in chain)]
    return f"vault {missing[0]} does not have the whole chain of set {newest.id}" if missing else None


def _forgotten(parent: BackupSet, survey: SourceSurvey) -> str | None:
    """Why the server no longer knows what changed since a set, if so."""
    kept = survey.increments_from
    if kept is None or parent.start is None or parent.start.value >= kept.value:
        return None
    return (
        f"set {parent.id} begins at {parent.start.text}, and the server no longer knows what changed since:"
        " it keeps too little (PostgreSQL: wal_summary_keep_time)"
    )


def _is_ancestor(newest: BackupSet, catalog: Catalog, survey: SourceSurvey) -> bool:
    assert newest.stop is not None  # noqa: S101 -- the caller looked
    if newest.stop.timeline == survey.timeline:
        return True
    try:
        line = ancestry([one for one in catalog.switches if one.system_id == survey.system_id], survey.timeline)
    except Conflict:
        return False
    stop = newest.stop
    return any(span.timeline == stop.timeline and (span.end is None or stop.value <= span.end) for span in line)


def _too_long(chain: Sequence[BackupSet], policy: PolicyDocument, forecast_seconds: float | None) -> str | None:
    """Why a full copy is due although an incremental one could be made, if so."""
    full, increments = chain[0], chain[1:]
    if len(increments) >= policy.longest_chain:
        return f"the chain has {len(increments)} increments; longest_chain is {policy.longest_chain}"
    grown = sum(one.bytes_source for one in increments)
    if full.bytes_source and grown > policy.largest_chain_ratio * full.bytes_source:
        return (
            f"the increments hold {format_bytes(grown)}, {format_percent(grown / full.bytes_source, digits=0)} of their full"
            f" set; largest_chain_ratio is {format_percent(policy.largest_chain_ratio, digits=0)}"
        )
    objective = policy.recovery_time.total_seconds()
    if forecast_seconds is not None and forecast_seconds > _FORECAST_SHARE * objective:
        return (
            f"a restore of the chain is forecast to take {format_duration(forecast_seconds)}, more than"
            f" {format_percent(_FORECAST_SHARE, digits=0)} of the objective of {format_duration(objective)}"
        )
    return None
