"""Positions of an oplog: seconds and a number within the second, which order like one integer of 64 bits.

Source: MongoDB Manual, "BSON Types": Timestamps; "mongorestore": ``--oplogLimit <timestamp:ordinal>``.
"""

import re

from dbre.core.errors import UsageError
from dbre.core.text import quoted
from dbre.ports.backup.model import LogPosition

__all__ = ["optime", "parse_optime"]

_FORM = re.compile(r"(\d{1,10}):(\d{1,10})")
_LOW = 2**32


def optime(value: int) -> LogPosition:
    """A position of the one line that an oplog has.

    >>> optime(1764561114 * 2**32 + 7).text
    '1764561114:7'
    """
    seconds, ordinal = divmod(value, _LOW)
    return LogPosition(1, value, f"{seconds}:{ordinal}")


def parse_optime(text: str) -> LogPosition:
    """A position as mongorestore takes it. Raises: UsageError.

    >>> parse_optime("1764561114:7").value == 1764561114 * 2**32 + 7
    True
    """
    found = _FORM.fullmatch(text)
    if found is None or int(found[1]) >= _LOW or int(found[2]) >= _LOW:
        raise UsageError(f"{quoted(text, limit=60)} is no position of an oplog", hint="SECONDS:ORDINAL, as 1764561114:1")
    return optime(int(found[1]) * _LOW + int(found[2]))
