"""Batches that could not be sent, in files: they survive the application, and are sent under their old number."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Batch", "Spool"]

_ENDING = ".batch"


@dataclass(frozen=True, slots=True)
class Batch:
    """Events as they are sent. The receiver counts (stream, sequence) once, however often it comes."""

    stream: str
    sequence: int
    events: int
    body: bytes


class Spool:
    """A directory of bounded size; the oldest batch goes when it is full. One process writes a stream, any may send it."""

    def __init__(self, directory: Path, *, max_bytes: int) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self.dropped_events = 0
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)

    def put(self, batch: Batch) -> None:
        """Keep a batch, whole or not at all. Raises: OSError."""
        target = self._directory / f"{batch.stream}_{batch.sequence:012}_{batch.events}{_ENDING}"
        if target.exists():
            return
        temporary = target.with_suffix(f".{os.getpid()}.new")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(batch.body)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        self._make_room()

    def oldest(self) -> Iterator[Batch]:
        """The batches, oldest first."""
        for path in self._files():
            name = _parts(path)
            with suppress(OSError):  # another process sent it meanwhile
                body = path.read_bytes()
                if name is not None:
                    yield Batch(name[0], name[1], name[2], body)

    def remove(self, batch: Batch) -> None:
        """It was sent."""
        for path in self._directory.glob(f"{batch.stream}_{batch.sequence:012}_*{_ENDING}"):
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        dated = []
        for path in self._directory.glob(f"*{_ENDING}"):
            with suppress(OSError):
                dated.append((path.stat().st_mtime_ns, path.name, path))
        return [path for _, _, path in sorted(dated)]

    def _make_room(self) -> None:
        files = self._files()
        sizes = [path.stat().st_size for path in files if path.exists()]
        excess = sum(sizes) - self._max_bytes
        for path, size in zip(files, sizes, strict=False):
            if excess <= 0:
                break
            path.unlink(missing_ok=True)
            name = _parts(path)
            self.dropped_events += 0 if name is None else name[2]
            excess -= size


def _parts(path: Path) -> tuple[str, int, int] | None:
    stream, _, rest = path.name.removesuffix(_ENDING).partition("_")
    sequence, _, events = rest.partition("_")
    if not (stream and sequence.isdigit() and events.isdigit()):
        return None
    return stream, int(sequence), int(events)
