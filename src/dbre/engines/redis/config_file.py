"""Which parameters of Redis dbre sets, and how its files write and people read their values; as data."""

import re

from dbre.core.errors import UsageError
from dbre.core.text import quoted
from dbre.ports.settings_file import SettingsFormat

__all__ = ["CONFIG_FILE", "checked", "danger_of", "refusal_of", "same_value"]

CONFIG_FILE = SettingsFormat(section=None, between=" ", dash="-")

_REFUSED: tuple[tuple[str, str], ...] = (
    (r"dir|dbfilename|appendfilename|appenddirname|aclfile|logfile|pidfile|.*-file|.*-cert.*|tls-.*", "it names files"),
    (r"port|bind.*|unixsocket.*|protected-mode|daemonize|supervised", "dbre could lose the server by it"),
    (r"replicaof|slaveof|cluster-.*|(replica|slave)-(read-only|announce-.*)", "it belongs to who is primary"),
    (r"loadmodule|include|rename-command|enable-.*-command|enable-.*-call", "it makes the server load or allow code"),
    (r"save|client-output-buffer-limit|oom-score-adj-values|user", "its value has more than one part"),
)
_SIZE = re.compile(r"(-?\d+)(b|k|kb|m|mb|g|gb)?", re.IGNORECASE)
_UNITS = {"b": 1, "k": 1000, "kb": 1 << 10, "m": 10**6, "mb": 1 << 20, "g": 10**9, "gb": 1 << 30}
"""Source: redis.conf, "Note on units"."""

_SEVERE = {
    ("appendonly", "no"): "a crash loses everything that was written since the last snapshot",
    ("appendfsync", "no"): "a crash of the machine loses what the system had not written to its disk yet",
    ("stop-writes-on-bgsave-error", "no"): "writes go on while nothing can be saved",
}


def danger_of(name: str, value: str, *, now: str) -> str | None:
    """What a value may do to data where the server has ``now``; None: nothing that is known.

    >>> danger_of("maxmemory", "1048576", now="0") is None, danger_of("maxmemory", "0", now="1048576") is None
    (False, True)
    """
    if name == "maxmemory-policy" and value.casefold() != "noeviction":
        return "where its memory is full the server throws keys out"
    if name == "maxmemory" and _is_less(_plain(value), now):
        return "where it holds more, the server throws keys out at once or refuses writes, by its maxmemory-policy"
    return _SEVERE.get((name, value.casefold()))


def refusal_of(name: str) -> str | None:
    """Why dbre does not set a parameter, in a file or at once; None where it does."""
    return next((reason for pattern, reason in _REFUSED if re.fullmatch(pattern, name, re.IGNORECASE)), None)


def same_value(one: str, other: str) -> bool:
    """Whether two texts mean the same.

    >>> same_value("1mb", "1048576"), same_value("4", "8")
    (True, False)
    """
    return _plain(one) == _plain(other)


def checked(name: str, value: str, *, now: str) -> str:
    """A value as the server would tell it, as far as that is known, where it has ``now``. Raises: UsageError.

    >>> checked("maxmemory", "1mb", now="0"), checked("appendonly", "YES", now="no")
    ('1048576', 'yes')
    """
    if not value.strip() or any(one.isspace() for one in value):
        raise UsageError(f"{quoted(value, limit=100)} cannot stand for {name}: one word does", hint=f"{name}=4")
    return _plain(value) if now.lstrip("-").isdigit() or now in ("yes", "no") else value


def _is_less(memory: str, now: str) -> bool:
    """Of two limits of memory in bytes; 0 is none. One that is no number of bytes may be less."""
    if memory == "0":
        return False
    return not (memory.isdigit() and now.isdigit()) or now == "0" or int(memory) < int(now)


def _plain(text: str) -> str:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return text.strip().casefold()
    return str(int(match[1]) * _UNITS[(match[2] or "b").lower()])
