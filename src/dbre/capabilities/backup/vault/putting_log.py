"""Log files on their way into a vault. It blocks."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from dbre.capabilities.backup.model import TimelineSwitch
from dbre.capabilities.backup.vault import keys
from dbre.capabilities.backup.vault.contents import Stowed
from dbre.capabilities.backup.vault.flow import Flow
from dbre.capabilities.backup.vault.index import Change
from dbre.capabilities.backup.vault.inside import Inside
from dbre.capabilities.backup.vault.records import log_value, switch_value, when
from dbre.capabilities.backup.vault.state import VaultState
from dbre.core.text import one_line, quoted
from dbre.ports.backup.errors import LogConflict
from dbre.ports.backup.model import LogFile

__all__ = ["FinishedLog", "note_damage", "put_log"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FinishedLog:
    """A log file into which nobody writes any more, and what is known of it."""

    cluster: str
    system_id: str
    file: LogFile
    path: Path
    last_commit_at: datetime | None
    switches: Sequence[TimelineSwitch]  # what a history file says

    def as_value(self) -> dict[str, Any]:
        """For an entry of the index."""
        return {
            "cluster": self.cluster,
            "file": log_value(self.file),
            "last_commit_at": when(self.last_commit_at),
            "switches": [switch_value(one) for one in self.switches],
        }


def put_log(inside: Inside, log: FinishedLog, flow: Flow) -> None:
    """Put a log file away. Raises: LogConflict."""
    file = log.file
    if _has_log(inside.home.state_of(log.system_id, create=True), file, inside.name):
        return
    lock_until = inside.lock_until(log.cluster, inside.home.clock.now())
    stowed = _stow(inside, log, flow, lock_until)
    if (stowed.plain_size, stowed.plain_sha256) != (file.size, file.sha256):
        raise LogConflict(
            f"log file {quoted(file.name, limit=100)} is not what its SHA-256 says: it changed while it was put away",
            hint="nothing may write a finished log file",
        )
    whole = {**log.as_value(), "object": stowed.as_value(), "lock_until": when(lock_until)}
    inside.home.append(log.system_id, lambda now: None if _has_log(now, file, inside.name) else ("log", whole))


def note_damage(inside: Inside, system_id: str, file: LogFile, reason: str) -> None:
    """Note that the records of a log file cannot be read, so that nobody plans on it; the same again is nothing."""

    def decide(now: VaultState) -> Change | None:
        found = now.logs.get(file.name)
        if found is None or found["is_deleted"] or found.get("damage") is not None or found["file"]["sha256"] != file.sha256:
            return None
        return "damage", {"log": file.name, "sha256": file.sha256, "reason": one_line(reason, limit=500)}

    inside.home.append(system_id, decide)


def _stow(inside: Inside, log: FinishedLog, flow: Flow, lock_until: datetime | None) -> Stowed:
    file = log.file
    with os.fdopen(os.open(log.path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as source:
        return inside.contents.stow(
            source,
            binding=inside.binding(log.system_id, log=file.name, timeline=file.timeline),
            key_of=lambda sha256: keys.log_key(log.system_id, file.timeline, file.name, sha256),
            retain_until=lock_until,
            flow=flow,
        )


def _has_log(state: VaultState, file: LogFile, vault: str) -> bool:
    found = state.logs.get(file.name)
    if found is None or found["is_deleted"]:
        return False
    if found["file"]["sha256"] != file.sha256:
        if found.get("damage") is not None:  # whole at last
            return False
        raise LogConflict(
            f"vault {vault} has a log file {quoted(file.name, limit=100)} with other contents",
            hint="two servers write one archive, or an old server came back: see which of them is the cluster's",
            context={"stored_sha256": found["file"]["sha256"], "new_sha256": file.sha256},
        )
    return True
