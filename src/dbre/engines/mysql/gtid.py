"""Sets of global transaction ids as numbers: how far each domain, or each source, has come."""

import re
from collections.abc import Iterator, Mapping

from dbre.ports.topology import WriterLog

__all__ = ["LONGEST_TEXT", "sequences_of", "writers_of"]

LONGEST_TEXT = 4_000_000
"""Characters that are read of a set: fragmented ones have a hundred thousand intervals, hostile ones any number."""

_MARIADB = re.compile(r"(\d{1,10})-(\d{1,10})-(\d{1,20})")
_MYSQL_SOURCE = re.compile(r"([0-9a-fA-F-]{36})((?::[A-Za-z_][A-Za-z0-9_]*|:\d{1,20}(?:-\d{1,20})?)+)")
_MYSQL_PART = re.compile(r":(?:([A-Za-z_][A-Za-z0-9_]*)|(\d{1,20})(?:-(\d{1,20}))?)")


def sequences_of(text: str) -> Mapping[str, int]:
    """Transactions by domain (MariaDB) or by source and tag (MySQL): the newest number there, the number of them here.

    Sequence numbers of a MariaDB domain only grow, so that the newest one says how far it is; a MySQL set may have holes, so
    that its transactions are counted.

    >>> dict(sequences_of("0-1-42,7-2-9"))
    {'0': 42, '7': 9}
    >>> dict(sequences_of("3E11FA47-71CA-11E1-9E33-C80AA9429562:1-5:11-18"))
    {'3e11fa47-71ca-11e1-9e33-c80aa9429562': 13}
    """
    found: dict[str, int] = {}
    for word in text[:LONGEST_TEXT].split(","):
        part = word.strip()
        if match := _MARIADB.fullmatch(part):
            found[match[1]] = max(int(match[3]), found.get(match[1], 0))
        elif match := _MYSQL_SOURCE.fullmatch(part):
            _add_source(found, match[1].lower(), match[2])
    return found


def writers_of(*texts: str) -> tuple[WriterLog, ...]:
    """Who wrote how far, by all of these sets together: the log's state, and what was applied before the log began.

    >>> [(one.name, one.newest) for one in writers_of("0-1-42,0-2-50", "0-1-40")]
    [('domain 0, server 1', 42), ('domain 0, server 2', 50)]
    """
    found: dict[tuple[str, str], int] = {}
    for stream, writer, number in (one for text in texts for one in _written(text)):
        found[stream, writer] = max(number, found.get((stream, writer), 0))
    return tuple(
        WriterLog(
            stream=stream,
            writer=writer,
            newest=number,
            name=f"server {stream}"
            if stream.startswith(writer) and not stream.isdigit()
            else f"domain {stream}, server {writer}",
        )
        for (stream, writer), number in found.items()
    )


def _written(text: str) -> Iterator[tuple[str, str, int]]:
    for word in text[:LONGEST_TEXT].split(","):
        if match := _MARIADB.fullmatch(word.strip()):
            yield match[1], match[2], int(match[3])
    for source, number in sequences_of(text).items():
        if not source.isdigit():  # a source of MySQL, maybe with a tag: its transactions are counted
            yield source, source.partition(":")[0], number


def _add_source(found: dict[str, int], source: str, intervals: str) -> None:
    key = source
    for tag, first, last in _MYSQL_PART.findall(intervals):
        if tag:
            key = f"{source}:{tag}"
        else:
            found[key] = found.get(key, 0) + max(0, int(last or first) - int(first) + 1)
