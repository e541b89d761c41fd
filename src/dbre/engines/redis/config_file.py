"""Which parameters of Redis dbre writes into a file that its configuration includes, and how their values are read; as data."""

import re

from dbre.core.errors import UsageError
from dbre.core.text import quoted
from dbre.ports.settings_file import SettingsFormat

__all__ = ["CONFIG_FILE", "checked", "refusal_in_file", "same_value"]

CONFIG_FILE = SettingsFormat(section=None, between=" ", dash="-")

_REFUSED: tuple[tuple[str, str], ...] = (
    (r"dir|dbfilename|appendfilename|appenddirname|aclfile|logfile|pidfile|.*-file|.*-cert.*|tls-.*", "it names files"),
    (r"port|bind.*|unixsocket.*|protected-mode|daemonize|supervised", "dbre could lose the server by it"),
    (r"replicaof|slaveof|cluster-.*|replica-announce-.*|slave-announce-.*", "it belongs to who is primary"),
    (r"loadmodule|include|rename-command|enable-.*-command|enable-.*-call", "it makes the server load or allow code"),
    (r"save|client-output-buffer-limit|oom-score-adj-values|user", "its value has more than one part"),
)
_SIZE = re.compile(r"(-?\d+)(b|k|kb|m|mb|g|gb)?", re.IGNORECASE)
_UNITS = {"b": 1, "k": 1000, "kb": 1 << 10, "m": 10**6, "mb": 1 << 20, "g": 10**9, "gb": 1 << 30}
"""Source: redis.conf, "Note on units"."""


def refusal_in_file(name: str) -> str | None:
    """Why dbre does not write a parameter into a file; None where it does."""
    return next((reason for pattern, reason in _REFUSED if re.fullmatch(pattern, name, re.IGNORECASE)), None)


def same_value(one: str, other: str) -> bool:
    """Whether two texts mean the same.

    >>> same_value("1mb", "1048576"), same_value("4", "8")
    (True, False)
    """
    return _plain(one) == _plain(other)


def checked(name: str, value: str) -> str:
    """A value as it may stand in the file. Raises: UsageError."""
    if not value.strip() or any(one.isspace() for one in value):
        raise UsageError(f"{quoted(value, limit=100)} cannot stand for {name}: one word does", hint=f"{name}=4")
    return value


def _plain(text: str) -> str:
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        return text.strip().casefold()
    return str(int(match[1]) * _UNITS[(match[2] or "b").lower()])
