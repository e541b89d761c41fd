"""What ``pgbackrest verify --output=text --verbose`` says; it ends with 0 whatever it finds.

Source: pgBackRest, ``src/command/verify/verify.c``: verifyRender; outputs of 2.45 that we saw.
"""

import re
from collections.abc import Iterator

from dbre.ports.backup.model import CopyFault, Verified

__all__ = ["parse_verification"]

_STATUS = re.compile(r"status: (?P<status>\S+)")
_ARCHIVE = re.compile(r"archiveId: (?P<id>[^,]+), total WAL checked: (?P<files>\d+), total valid WAL: (?P<good>\d+)")
_BACKUP = re.compile(
    r"backup: (?P<id>[^,]+), status: (?P<status>[^,]+), total files checked: (?P<files>\d+), total valid files: (?P<good>\d+)"
)
_COUNTS = re.compile(r"missing: (\d+), checksum invalid: (\d+), size invalid: (\d+), other: (\d+)")
_RULES = ("missing_file", "checksum", "size", "unreadable")
_WORDS = ("missing", "with a wrong checksum", "with a wrong size", "unreadable")


def parse_verification(text: str, *, seconds: float, label: str | None = None) -> Verified:
    """What was looked at and what was wrong. ``label`` leaves other sets out; the log counts always.

    A text without a status is a fault too: nothing then says that anything was looked at.
    """
    subject, files, status = "", 0, None
    faults: list[CopyFault] = []
    for line in map(str.strip, text.splitlines()):
        if (archive := _ARCHIVE.fullmatch(line)) is not None:
            subject, files = f"archive {archive['id']}", files + int(archive["files"])
        elif (backup := _BACKUP.fullmatch(line)) is not None:
            subject = "" if label not in (None, backup["id"]) else backup["id"]
            if subject:
                files += int(backup["files"])
                faults += _of_backup(backup)
        elif (counts := _COUNTS.fullmatch(line)) is not None:
            faults += _counted(subject, counts)
        elif status is None and (found := _STATUS.fullmatch(line)) is not None:
            status = found["status"]
    if status is None:
        faults.append(CopyFault(rule="not_verified", subject="", detail="pgbackrest verify did not say what it found"))
    elif status != "ok" and not faults and label is None:
        faults.append(
            CopyFault(rule="tool_says", subject="", detail=f"pgbackrest verify says status: {status}, and not of what")
        )
    return Verified(files=files, bytes=0, seconds=seconds, faults=tuple(faults))


def _of_backup(backup: "re.Match[str]") -> Iterator[CopyFault]:
    if backup["status"] not in ("valid", "invalid"):  # "invalid" is told in counts that follow
        yield CopyFault(rule="tool_says", subject=backup["id"], detail=f"pgbackrest verify calls it {backup['status']}")


def _counted(subject: str, counts: "re.Match[str]") -> Iterator[CopyFault]:
    if not subject:
        return
    for rule, words, count in zip(_RULES, _WORDS, counts.groups(), strict=True):
        if int(count):
            yield CopyFault(rule=rule, subject=subject, detail=f"pgbackrest verify counts {count} files {words}")
