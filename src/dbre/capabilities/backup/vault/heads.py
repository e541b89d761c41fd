"""What this machine saw of an index before, so that a vault that was rolled back, or cut off at its end, is noticed."""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path

from dbre.core.audit.private_file import replace_file

__all__ = ["Head", "HeadMemory"]

_LARGEST = 4_096


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry that was seen."""

    vault: str
    number: int
    sha256: str


class HeadMemory:
    """One small file for each server of a vault. A machine that may not write here remembers nothing, and says so."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.is_usable = True

    def path_of(self, system_id: str) -> Path:
        """The file for one server; its identifier never chooses a path."""
        return self._directory / f"{hashlib.sha256(system_id.encode(errors='surrogateescape')).hexdigest()[:32]}.json"

    def known_systems(self) -> frozenset[str]:
        """Servers of which entries were seen here."""
        try:
            found = [self._value(path) for path in sorted(self._directory.glob("*.json"))]
        except OSError:
            return frozenset()
        return frozenset(str(one["system"]) for one in found if one is not None)

    def recall(self, system_id: str) -> Head | None:
        """What was seen last."""
        value = self._value(self.path_of(system_id))
        return None if value is None else Head(str(value["vault"]), int(str(value["number"])), str(value["sha256"]))

    def remember(self, system_id: str, head: Head) -> None:
        """Note what was seen; never goes back to an older entry."""
        before = self.recall(system_id)
        if before is not None and before.vault == head.vault and before.number >= head.number:
            return
        value = {"system": system_id, "vault": head.vault, "number": head.number, "sha256": head.sha256}
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            replace_file(self.path_of(system_id), json.dumps(value) + "\n")
        except OSError:
            self.is_usable = False

    def _value(self, path: Path) -> dict[str, object] | None:
        try:
            with os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC), "rb") as file:
                value = json.loads(file.read(_LARGEST))
        except FileNotFoundError:
            return None
        except (OSError, ValueError):
            self.is_usable = False
            return None
        return value if isinstance(value, dict) else None
