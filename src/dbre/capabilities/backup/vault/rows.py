"""Vaults and what lies in them as commands show them."""

from collections.abc import Sequence
from dataclasses import asdict

from dbre.capabilities.backup.documents import VaultDocument
from dbre.capabilities.backup.model import BackupSet, Catalog
from dbre.capabilities.backup.vault.facts import VaultFacts
from dbre.capabilities.backup.vault.records import when
from dbre.capabilities.backup.vault.sweeping import Swept
from dbre.core.text import counted, printable
from dbre.core.units import format_bytes
from dbre.core.view import Row
from dbre.ports.backup.model import CopyFault

__all__ = ["document_row", "facts_row", "fault_row", "log_note", "set_row", "sweep_notes"]


def document_row(one: VaultDocument) -> Row:
    """A vault as it is configured."""
    places = {
        "filesystem": one.path,
        "s3": f"s3://{one.bucket}/{one.prefix}",
        "sftp": f"sftp://{one.user}@{one.host}:{one.port}{one.path}",
    }
    return {
        "name": one.name,
        "kind": one.kind,
        "address": printable(places[one.kind]),
        "is_offsite": one.is_offsite,
        "object_lock": one.object_lock,
        "can_read": one.identity is not None,
        "can_delete": one.can_delete,
        "recipients": list(one.recipients),
    }


def facts_row(one: VaultFacts) -> Row:
    """A vault as it answered."""
    return asdict(one) | {
        "lock": one.lock.value,
        "problems": list(one.problems),
        "last_entry_at": when(one.last_entry_at),
    }


def set_row(one: BackupSet) -> Row:
    """A set."""
    return {
        "id": one.id,
        "cluster": printable(one.cluster),
        "kind": one.kind.value,
        "state": one.state.value,
        "parent_id": one.parent_id,
        "started_at": when(one.started_at),
        "stopped_at": when(one.stopped_at),
        "start": None if one.start is None else one.start.text,
        "stop": None if one.stop is None else one.stop.text,
        "bytes_source": one.bytes_source,
        "bytes_stored": one.bytes_stored,
        "system_id": printable(one.system_id),
        "version_text": printable(one.version_text),
        "tool": printable(one.tool),
        "proven_at": when(one.proven_at),
        "hold": None if one.hold is None else printable(one.hold),
        "lock_until": when(one.lock_until),
    }


def fault_row(one: CopyFault) -> Row:
    """A fault."""
    return {"rule": one.rule, "subject": printable(one.subject), "detail": printable(one.detail)}


def log_note(catalog: Catalog) -> Sequence[str]:
    """A line about the log beside the sets."""
    there = [one for one in catalog.logs if one.vaults]
    if not catalog.sets and not there:
        return ()
    if not there:
        return ("there is no log: a set gives back its own moment only",)
    newest = max(there, key=lambda one: one.received_at)
    at = f"{newest.received_at:%Y-%m-%d %H:%M:%SZ}"
    return (f"and {counted(len(there), 'log file')}, the newest {printable(newest.file.name)} of {at}",)


def sweep_notes(one: Swept) -> tuple[str, ...]:
    """What a sweep did."""
    return (f"{counted(one.objects, 'object')} swept, {format_bytes(one.bytes)}", *(f"left: {why}" for why in one.left))
