"""``RESTORE VERIFYONLY``: level 1 only. It reads a backup and its checksums; it restores no page and replays no log.

Source: Microsoft, "RESTORE VERIFYONLY (Transact-SQL)", "RESTORE Arguments" (``FROM DISK = @variable``, at most 64 files).
"""

import re

from dbre.core.errors import Unsupported
from dbre.ports.backup.model import CopyFault
from dbre.tools.call import Ended
from dbre.tools.sqlserver_backup.history import Backup
from dbre.tools.sqlserver_backup.lsn_chain import label_of
from dbre.tools.sqlserver_backup.program import declarations, failures

__all__ = ["faults_of", "verify_batch"]

_DISK, _URL = (2, 102), (9, 109)
_VALID = re.compile(r"^The backup set on file \d+ is valid\.\s*$", re.MULTILINE)


def verify_batch(one: Backup) -> str:
    """The batch for one set: every file of it as a variable.

    Raises: Unsupported where it lies where sqlcmd cannot name it.
    """
    files = sorted(one.files or [], key=lambda file: file.number)
    kinds = {"URL" if file.device in _URL else "DISK" if file.device in _DISK else "" for file in files}
    if not files or len(kinds) != 1 or "" in kinds or any(not file.path for file in files):
        raise Unsupported(
            f"backup {label_of(one)} lies on a tape, a virtual device, or nowhere that msdb tells",
            hint="let the tool that made it verify it",
        )
    kind = kinds.pop()
    values: dict[str, str | int] = {f"p{number}": file.path or "" for number, file in enumerate(files, start=1)}
    devices = ", ".join(f"{kind} = @{name}" for name in values)
    checksum = ", CHECKSUM" if one.has_checksums else ""
    return declarations({**values, "position": one.position or 1}) + (
        f"RESTORE VERIFYONLY FROM {devices} WITH FILE = @position{checksum};\n"
    )


def faults_of(one: Backup, ended: Ended) -> tuple[CopyFault, ...]:
    """What was wrong. That it ended with 0 is no proof: it must have said that the set is valid."""
    said = failures(ended)
    label = label_of(one)
    if said:
        return tuple(CopyFault(rule="tool_says", subject=label, detail=message) for message in said)
    text = (ended.stdout + b"\n" + ended.stderr).decode(errors="replace").replace("\r\n", "\n")
    if ended.status != 0 or _VALID.search(text) is None:
        detail = f"sqlcmd ended with {ended.status} and did not say that it is valid: {ended.said or 'nothing'}"
        return (CopyFault(rule="not_verified", subject=label, detail=detail),)
    return ()
