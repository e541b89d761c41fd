"""What is wrong with a pgBackRest repository as far as reading it tells."""

from collections.abc import Iterable, Iterator, Mapping

from dbre.core.text import printable
from dbre.ports.backup.model import Problem
from dbre.tools.pgbackrest.archive import StoredSegment
from dbre.tools.pgbackrest.information import Stanza

__all__ = ["conflicting_segments", "stanza_problems"]

_NO_BACKUPS = 2
_NO_ANSWER = ("[HostConnectError]", "[UnknownHostError]", "[ServiceError]", "terminated unexpectedly [255]")
"""The last one is how ssh ends where it does not reach the machine."""


def stanza_problems(stanza: Stanza, repository: int, segment: int | None) -> Iterator[Problem]:
    """What ``info`` says, and what it takes for granted."""
    status = next((one.status for one in stanza.repo if one.key == repository), stanza.status)
    if status.code != 0:
        yield Problem(
            rule="backup.tool_says",
            message=f"pgbackrest info says of stanza {stanza.name}, repository {repository}: {printable(status.message)}",
            hint=_hint(status.code, status.message, repository),
            is_blocking=status.code != _NO_BACKUPS,
        )
    others = sorted({one.key for one in stanza.repo} - {repository})
    if others:
        names = ", ".join(map(str, others))
        yield Problem(
            rule="backup.repository_not_read",
            message=f"stanza {stanza.name} has further repositories that were not looked at: {names}",
            hint=f"--repository {others[0]}",
            is_blocking=False,
        )
    if segment is None:
        yield Problem(
            rule="backup.segment_size_unknown",
            message=f"the names of the log files of stanza {stanza.name} and the positions of its sets fit no size of segment",
            hint="tell us, with the output of pgbackrest info --output=json",
            is_blocking=True,
        )


def _hint(code: int, message: str, repository: int) -> str:
    if code == _NO_BACKUPS:
        return "pgbackrest backup makes the first set"
    if "unable to load info file" in message:  # which error it is depends on what the wrong passphrase made of it
        return f"the passphrase of the repository is wrong or missing (repo{repository}-cipher-pass), or the file is damaged"
    if any(one in message for one in _NO_ANSWER):
        return f"the machine that has the repository does not answer: repo{repository}-host in the configuration file"
    return "pgbackrest check"


def conflicting_segments(stored: Mapping[str, Iterable[StoredSegment]]) -> Iterator[Problem]:
    """Log files of one name with different contents: two servers archived into one stanza."""
    for archive, segments in stored.items():
        seen: dict[str, set[str | None]] = {}
        for one in segments:
            seen.setdefault(one.name, set()).add(one.sha1)
        for name in sorted(name for name, sums in seen.items() if len(sums) > 1):
            yield Problem(
                rule="backup.log_conflict",
                message=f"archive {printable(archive)} has {len(seen[name])} different log files {name}",
                hint="two servers archived into it: nothing behind that file can be trusted",
                is_blocking=True,
            )
