"""Which parts of a set are in the vault already, so that a crash does not cost them all."""

import contextlib
import json
from pathlib import Path

from dbre.capabilities.backup.vault.contents import Stowed
from dbre.core.audit.private_file import replace_file

__all__ = ["PartJournal"]


class PartJournal:
    """A file of this machine. It is only a hint: each part is compared with what would be put there now."""

    def __init__(self, directory: Path, set_id: str) -> None:
        self._path = directory / "unfinished" / f"{set_id}.json"
        self._parts: dict[str, dict[str, object]] = {}
        with contextlib.suppress(FileNotFoundError, ValueError):
            found = json.loads(self._path.read_text())
            self._parts = found if isinstance(found, dict) else {}

    def part(self, number: int) -> Stowed | None:
        """What was noted of a part."""
        try:
            return Stowed.of(self._parts[str(number)])
        except (KeyError, TypeError):
            return None

    def note(self, number: int, part: Stowed) -> None:
        """Note that a part is there."""
        self._parts[str(number)] = part.as_value()
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        replace_file(self._path, json.dumps(self._parts))

    def forget(self) -> None:
        """The set is complete."""
        self._path.unlink(missing_ok=True)
