"""Sets on their way into a vault: cut into parts, sealed, sent, and named by the index when all are there. It blocks."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dbre.capabilities.backup.model import BackupSet
from dbre.capabilities.backup.vault import keys
from dbre.capabilities.backup.vault.contents import Stowed
from dbre.capabilities.backup.vault.envelope import Readable
from dbre.capabilities.backup.vault.errors import SetConflict
from dbre.capabilities.backup.vault.flow import Flow
from dbre.capabilities.backup.vault.inside import Inside, bytes_of, has_set
from dbre.capabilities.backup.vault.journal import PartJournal
from dbre.capabilities.backup.vault.records import moment, set_value, when
from dbre.capabilities.backup.vault.tar_stream import TarPlan

__all__ = ["StoredSet", "put_set"]

_READ = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSet:
    """What became of a set that was put away."""

    bytes_stored: int
    lock_until: datetime | None
    recipients: tuple[str, ...]  # who can open it


def put_set(inside: Inside, record: BackupSet, plan: TarPlan, flow: Flow) -> StoredSet:
    """Put a set away; it is in the vault as a whole or not at all. The same again is nothing. Raises: SetConflict."""
    home = inside.home
    state = home.state_of(record.system_id, create=True)
    found = state.sets.get(record.id)
    if found is None or found["is_deleted"]:
        lock_until = inside.lock_until(record.cluster, record.stopped_at or record.started_at)
        data = _stow_set(inside, record, plan, flow, lock_until)
        state = home.append(record.system_id, lambda now: None if has_set(now, record.id) else ("set", data))
        found = state.sets[record.id]
    if found["record"]["manifest_sha256"] != record.manifest_sha256 or found["files"] != plan.files:
        raise SetConflict(
            f"vault {inside.name} has another set with the id {record.id}", hint="take a new copy: ids are made once"
        )
    PartJournal(home.directory, record.id).forget()
    flow.tell()
    return StoredSet(
        bytes_stored=bytes_of(found), lock_until=moment(found["lock_until"]), recipients=tuple(found.get("recipients", ()))
    )


def _stow_set(inside: Inside, record: BackupSet, plan: TarPlan, flow: Flow, lock_until: datetime | None) -> dict[str, Any]:
    journal = PartJournal(inside.home.directory, record.id)
    parts: list[Stowed] = []
    for number, start in enumerate(range(0, plan.size, inside.part_bytes)):
        done = journal.part(number)
        if done is None or not inside.is_there(done) or not _is_same(plan, start, inside.part_bytes, done, flow):
            done = _stow_part(inside, record, plan, number, flow, lock_until)
            journal.note(number, done)
        parts.append(done)
    manifest = stow_manifest(inside, record, plan, flow, lock_until)
    for one in parts:  # some may have been sent days ago, before a crash
        inside.home.require(one)
    return {
        "record": set_value(record),
        "cluster": record.cluster,
        "parts": [one.as_value() for one in parts],
        "manifest": manifest,
        "files": plan.files,
        "bytes": plan.bytes,
        "lock_until": when(lock_until),
        "recipients": list(inside.home.document.recipients),
    }


def _stow_part(
    inside: Inside, record: BackupSet, plan: TarPlan, number: int, flow: Flow, lock_until: datetime | None
) -> Stowed:
    start = number * inside.part_bytes
    return inside.contents.stow(
        _Counted(plan.open(start, start + inside.part_bytes), flow),
        binding=inside.binding(record.system_id, set=record.id, part=number),
        key_of=lambda sha256: keys.part_key(record.system_id, record.id, number, sha256),
        retain_until=lock_until,
        flow=flow,
    )


def stow_manifest(
    inside: Inside, record: BackupSet, plan: TarPlan, flow: Flow, lock_until: datetime | None
) -> dict[str, Any] | None:
    """Put the manifest away once more, apart from the files; None where the set has none."""
    path = _manifest_in(plan, record.manifest_sha256)
    if path is None:
        return None
    with path.open("rb") as file:
        return inside.contents.stow(
            file,
            binding=inside.binding(record.system_id, set=record.id, part="manifest"),
            key_of=lambda sha256: keys.manifest_key(record.system_id, record.id, sha256),
            retain_until=lock_until,
            flow=flow,
        ).as_value()


class _Counted:
    """Tells a flow what was read."""

    def __init__(self, source: Readable, flow: Flow) -> None:
        self._source = source
        self._flow = flow

    def read(self, size: int = -1, /) -> bytes:
        """At most so many bytes."""
        data = self._source.read(size)
        self._flow.passed(len(data))
        return data


def _is_same(plan: TarPlan, start: int, length: int, done: Stowed, flow: Flow) -> bool:
    """Whether a part that was sent before a crash is what would be sent now."""
    digest, reader = hashlib.sha256(), plan.open(start, start + length)
    while data := reader.read(_READ):
        digest.update(data)
        flow.passed(len(data))
    return digest.hexdigest() == done.plain_sha256


def _manifest_in(plan: TarPlan, sha256: str | None) -> Path | None:
    """The file at the top of a copy that has this SHA-256; engines call it by different names."""
    if sha256 is None:
        return None
    for member in plan.top_files():
        with member.open("rb") as file:
            if hashlib.file_digest(file, "sha256").hexdigest() == sha256:
                return member
    return None
