"""Text from anywhere made safe to show, and the nearest word to a mistyped one."""

import difflib
import re
from collections.abc import Iterable

__all__ = ["HIDDEN", "closest", "counted", "one_line", "printable", "quoted"]

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}

HIDDEN = re.compile(
    "["
    "\x00-\x1f\x7f-\x9f"  # C0, DEL, C1: terminals obey them
    "\u00ad\u061c\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # direction, line ends, invisible
    "\ud800-\udfff"  # lone surrogates: cannot be encoded
    "\U000e0000-\U000e007f"  # tag characters: invisible copies of ASCII
    "]"
)
"""A character that a terminal obeys, that cannot be seen, or that cannot be encoded."""


def printable(text: str, *, limit: int = 2000) -> str:
    r"""Text that changes nothing but the place where it is shown: hostile characters are written out, ``limit`` holds.

    Names, error messages and queries come from databases and other people's files. Control characters, line ends,
    direction overrides, invisible characters and lone surrogates become ``\n``, ``\x1b``, ``\u202e``; a longer text ends in
    ``…``.

    >>> printable("a\x1b[2Jb\n")
    'a\\x1b[2Jb\\n'
    """
    shown = HIDDEN.sub(_escape, text[: limit + 1])
    return shown if len(shown) <= limit else shown[: max(limit - 1, 0)] + "…"


def quoted(text: str, *, limit: int = 2000) -> str:
    r"""``printable`` text between quotation marks, for words that somebody wrote.

    >>> quoted("a\tb")
    "'a\\tb'"
    """
    mark = '"' if "'" in text and '"' not in text else "'"
    return f"{mark}{printable(text, limit=limit)}{mark}"


def one_line(text: str, *, limit: int = 300) -> str:
    r"""A message that a server or a network sent, on one short printable line.

    >>> one_line("FATAL:  the database\n system is starting up\n")
    'FATAL: the database system is starting up'
    """
    return printable(" ".join(text.split()), limit=limit)


def counted(count: int, noun: str, many: str | None = None) -> str:
    """A number and its noun; ``many`` is the plural of one that takes no s.

    >>> counted(1, "item"), counted(0, "item"), counted(2, "query", "queries")
    ('1 item', '0 items', '2 queries')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {many or noun + 's'}"


def _escape(match: re.Match[str]) -> str:
    character = match[0]
    number = ord(character)
    if character in _NAMED:
        return _NAMED[character]
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"


def closest(word: str, choices: Iterable[str]) -> str | None:
    """The choice that ``word`` was probably meant to be, or None where no choice is near.

    >>> closest("replicas", ["instances", "replica"])
    'replica'
    """
    plain = {_plain(choice): choice for choice in choices}
    found = difflib.get_close_matches(_plain(word[:200]), plain, n=1, cutoff=0.6)
    return plain[found[0]] if found else None


def _plain(word: str) -> str:
    return word.casefold().replace("-", "_")
