"""What RMAN prints. It may end with 0 after it has printed an error, so the text decides.

Sources: Oracle Database Backup and Recovery Reference 19c: "LIST" (example "Listing Backups"), "VALIDATE" (example
"Validating a Backup Set"), "REPORT" (example "Reporting Obsolete Backups"), "CROSSCHECK", "RESTORE" (PREVIEW); Backup and
Recovery User's Guide 19c, "Interpreting RMAN Error Stacks".
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from dbre.core.text import one_line
from dbre.ports.backup.model import CopyFault

__all__ = [
    "Listed",
    "Obsolete",
    "Preview",
    "crosschecked_expired",
    "error_stack",
    "is_finished",
    "parse_obsolete",
    "parse_preview",
    "parse_summary",
    "parse_validation",
]

_COMPLETE = "Recovery Manager complete."
_STACKED = re.compile(r"^(?:RMAN|ORA|PLS)-\d{4,5}:.*$", re.MULTILINE)
_DECORATION = re.compile(r"^RMAN-00(?:569|571):")
_WARNING = re.compile(r"^RMAN-\d{4,5}: (?:WARNING|warning)")
_LISTED = re.compile(
    r"^(?P<key>\d+)[ \t]+(?P<type>[BP])[ \t]+(?P<level>[01FA*])[ \t]+(?P<status>[AUX*])[ \t]+"
    r"(?P<device>\S+)[ \t]+(?P<completed>\S.*?)[ \t]+"
    r"(?P<pieces>\d+)[ \t]+(?P<copies>\d+)[ \t]+(?P<compressed>YES|NO|\*)(?:[ \t]+(?P<tag>\S.*?))?[ \t]*$",
    re.MULTILINE,
)
_DATAFILE = re.compile(
    r"^(?P<file>\d+)\s+(?P<status>OK|FAILED|INCOMPLETE)\s+(?P<corrupt>\d+)\s+(?P<empty>\d+)\s+(?P<examined>\d+)\s+\d+\s*$"
)
_BLOCKS = re.compile(r"^\s*(?P<type>Data|Index|Other)\s+(?P<failing>\d+)\s+\d+\s*$")
_LOG = re.compile(
    r"^(?P<thread>\d+)\s+(?P<sequence>\d+)\s+(?P<status>OK|FAILED)\s+(?P<failing>\d+)\s+(?P<examined>\d+)\s+\S+\s*$"
)
_OTHER = re.compile(r"^(?P<type>SPFILE|Control File)\s+(?P<status>OK|FAILED)\s+(?P<failing>\d+)\s+(?P<examined>\d+)\s*$")
_OBSOLETE = re.compile(r"^(?P<type>Backup Set|Archive Log|Control File Copy|Datafile Copy)[ \t]+(?P<key>\d+)\s", re.MULTILINE)
_START = re.compile(r"^Media recovery start SCN is (\d+)\s*$", re.MULTILINE)
_BEYOND = re.compile(r"^Recovery must be done beyond SCN (\d+) to clear datafile fuzziness\s*$", re.MULTILINE)


def is_finished(text: str) -> bool:
    """Whether the session came to its end: a log that stops earlier was cut off.

    >>> is_finished("Finished restore at 20-NOV-26\\n\\nRecovery Manager complete.\\n")
    True
    """
    return text.rstrip().endswith(_COMPLETE)


def error_stack(text: str) -> tuple[str, ...]:
    """The errors in the order in which RMAN prints them, the most general first; warnings and frames are left out.

    >>> error_stack("RMAN-00571: ===\\nRMAN-06026: some targets not found - aborting restore\\n")
    ('RMAN-06026: some targets not found - aborting restore',)
    """
    found = (one_line(line, limit=400) for line in _STACKED.findall(text))
    return tuple(one for one in found if not _DECORATION.match(one) and not _WARNING.match(one))


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """One line of ``LIST BACKUP SUMMARY``."""

    key: int
    level: str  # 0, 1, F (full, or a control file), A (archived logs)
    status: str  # A available, U unavailable, X expired, * mixed
    device: str
    pieces: int
    tag: str | None


def parse_summary(text: str) -> tuple[Listed, ...]:
    """The lines, in their order."""
    return tuple(
        Listed(
            key=int(one["key"]),
            level=one["level"],
            status=one["status"],
            device=one["device"],
            pieces=int(one["pieces"]),
            tag=one["tag"],
        )
        for one in _LISTED.finditer(text)
    )


def parse_validation(text: str, *, command: str) -> tuple[int, tuple[CopyFault, ...]]:
    """How many files were looked at, and what was wrong: failed files, the error stack, an end that is missing."""
    files = 0
    faults: list[CopyFault] = []
    subject = ""
    for line in text.splitlines():
        if (found := _DATAFILE.match(line)) is not None:
            files, subject = files + 1, f"datafile {found['file']}"
            faults += _failed(subject, found["status"], int(found["corrupt"]), "marked corrupt")
        elif subject and (blocks := _BLOCKS.match(line)) is not None:
            faults += _failed(subject, "OK", int(blocks["failing"]), f"failing ({blocks['type']})")
        elif (log := _LOG.match(line)) is not None:
            files, subject = files + 1, ""
            faults += _failed(f"log {log['sequence']} of thread {log['thread']}", log["status"], int(log["failing"]), "failing")
        elif (other := _OTHER.match(line)) is not None:
            files, subject = files + 1, ""
            faults += _failed(other["type"], other["status"], int(other["failing"]), "failing")
    faults += [CopyFault(rule="tool_says", subject=command, detail=one) for one in error_stack(text)]
    if not is_finished(text):
        faults.append(CopyFault(rule="not_verified", subject=command, detail="the output of RMAN ends before its end"))
    elif not re.search(r"^Finished \S+ at ", text, re.MULTILINE) and not error_stack(text):
        faults.append(CopyFault(rule="not_verified", subject=command, detail="RMAN does not say that it looked at anything"))
    return files, tuple(faults)


def _failed(subject: str, status: str, blocks: int, words: str) -> Iterator[CopyFault]:
    if blocks:
        yield CopyFault(rule="checksum", subject=subject, detail=f"RMAN counts {blocks} blocks {words}")
    elif status != "OK":
        yield CopyFault(rule="tool_says", subject=subject, detail=f"RMAN calls it {status}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Obsolete:
    """One thing that RMAN's retention no longer keeps."""

    type: str  # Backup Set, Archive Log, ...
    key: int


def parse_obsolete(text: str) -> tuple[Obsolete, ...]:
    """What ``REPORT OBSOLETE`` and ``DELETE OBSOLETE`` list."""
    return tuple(Obsolete(type=one["type"], key=int(one["key"])) for one in _OBSOLETE.finditer(text))


def crosschecked_expired(text: str) -> int:
    """How many pieces and logs a crosscheck did not find.

    >>> crosschecked_expired("crosschecked backup piece: found to be 'EXPIRED'\\n")
    1
    """
    return len(re.findall(r"found to be 'EXPIRED'|^validation failed for archived log", text, re.MULTILINE))


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """What ``RESTORE ... PREVIEW`` says of the redo that a restore would need; None: it does not say."""

    start: int | None
    beyond: int | None


def parse_preview(text: str) -> Preview:
    """The two SCNs, whichever it prints."""
    start, beyond = _START.search(text), _BEYOND.search(text)
    return Preview(start=int(start[1]) if start else None, beyond=int(beyond[1]) if beyond else None)
