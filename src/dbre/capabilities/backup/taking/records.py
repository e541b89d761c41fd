"""The row of a set while it is made, from what the plan, the survey and the copy say. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from dbre.capabilities.backup.model import BackupSet, SetState
from dbre.core.errors import Conflict
from dbre.core.text import printable, quoted
from dbre.ports.backup.errors import CopyFailed
from dbre.ports.backup.model import ChecksumState, CopyFacts, CopyKind, SourceSurvey

__all__ = ["STAGED", "STORING", "for_vault", "new_set", "require_as_ordered", "staged_at", "told", "with_facts"]

STAGED = "staged"
"""The key in the details of a set that is being made: where its copy lies."""
STORING = "storing"
"""Likewise: the vaults in which something of it may lie."""


def new_set(
    given: Mapping[str, Any],
    survey: SourceSurvey,
    *,
    set_id: str,
    engine: str,
    provider: str,
    now: datetime,
    operation_id: UUID,
) -> BackupSet:
    """A set of which nothing is there yet."""
    return BackupSet(
        id=set_id,
        cluster=given["cluster"],
        engine=engine,
        policy=given["policy"],
        provider=provider,
        system_id=survey.system_id,
        kind=CopyKind(given["kind"]),
        parent_id=given["parent_id"],
        state=SetState.RUNNING,
        start=None,
        stop=None,
        started_at=now,
        stopped_at=None,
        version_text=survey.version_text,
        tool="",
        checksums=ChecksumState.UNCHECKED,
        bytes_source=0,
        bytes_stored=None,
        manifest_sha256=None,
        details={
            "instance": given["instance"],
            "reason": given["reason"],
            "includes_log": given["includes_log"],
            "product": survey.product,
            "extensions": list(survey.extensions),
            "preload": list(survey.preload),
            "tablespaces": dict(survey.tablespaces),
            "settings": dict(survey.settings),
        },
        operation_id=operation_id,
    )


def require_as_ordered(facts: CopyFacts, given: Mapping[str, Any]) -> None:
    """Raises: CopyFailed where a copy is not of the kind that was ordered, Conflict where it is of another system."""
    if facts.system_id != given["system_id"]:
        raise Conflict(
            f"the copy is of system {quoted(facts.system_id, limit=80)}, and system {given['system_id']} was to be copied",
            hint="the server was replaced while it was copied: look which server answers at its address",
        )
    if facts.kind is not CopyKind(given["kind"]):
        raise CopyFailed(
            f"the copy is {facts.kind}, and {given['kind']} was ordered", hint="a defect of the program: report it"
        )


def with_facts(known: BackupSet, facts: CopyFacts, directory: Path) -> BackupSet:
    """A set whose copy is there, not verified yet."""
    details = {
        **known.details,
        **facts.details,
        "files": facts.files,
        "warnings": [printable(one, limit=500) for one in facts.warnings[:50]],
        STAGED: str(directory),
    }
    return replace(
        known,
        state=SetState.COPIED,
        start=facts.start,
        stop=facts.stop,
        started_at=facts.started_at,
        stopped_at=facts.stopped_at,
        version_text=facts.version_text,
        tool=facts.tool,
        checksums=facts.checksums,
        bytes_source=facts.bytes,
        details=details,
    )


def for_vault(one: BackupSet, vault: str) -> BackupSet:
    """The set as a vault tells of it: complete there, without what matters on this machine alone."""
    details = {key: value for key, value in one.details.items() if key not in {STAGED, STORING}}
    return replace(one, state=SetState.SEALED, vaults=(vault,), details=details)


def staged_at(one: BackupSet) -> Path | None:
    """Where the copy of a set lies on the machine that made it; None where there is none."""
    found = one.details.get(STAGED)
    return Path(found) if isinstance(found, str) else None


def told(one: BackupSet) -> dict[str, Any]:
    """What the step that copies gives, for people and for the evidence."""
    return {
        "set": one.id,
        "bytes": one.bytes_source,
        "files": one.details.get("files"),
        "start": one.start.text if one.start is not None else None,
        "stop": one.stop.text if one.stop is not None else None,
        "checksums": one.checksums.value,
        "tool": one.tool,
    }
