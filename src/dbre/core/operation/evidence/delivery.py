"""Puts a pack into a file: whole or not at all, readable by its owner alone, never in the place of another by mistake."""

import contextlib
import os
import tempfile
from pathlib import Path

from dbre.core.errors import DbreError, UsageError
from dbre.core.text import printable

__all__ = ["EvidenceNotWritten", "write_file"]


class EvidenceNotWritten(DbreError):
    """The file cannot be written there."""

    code = "operation.evidence_not_written"


def write_file(data: bytes, path: Path, *, overwrite: bool = False) -> None:
    """Write and fsync ``path`` with mode 0600. Raises: UsageError where it exists; EvidenceNotWritten naming what failed."""
    shown = printable(str(path), limit=300)
    if not overwrite and os.path.lexists(path):
        raise UsageError(f"{shown} exists", hint="give another name, or --overwrite")
    try:
        _write(data, path, overwrite=overwrite)
    except FileExistsError as error:
        raise UsageError(f"{shown} exists", hint="give another name, or --overwrite") from error
    except OSError as error:
        raise EvidenceNotWritten(f"{shown} cannot be written: {error.strerror}") from error


def _write(data: bytes, path: Path, *, overwrite: bool) -> None:
    handle, name = tempfile.mkstemp(prefix=".dbre-evidence-", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if overwrite:
            Path(name).replace(path)
        else:
            os.link(name, path)  # unlike rename, fails where somebody was faster
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
