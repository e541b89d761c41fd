r"""A small reader of EDN, the notation in which Jepsen writes histories.

Keywords and symbols become text, sets lists, maps dictionaries, tagged values the value alone. It goes by lines, so that a
history is read as it streams by, and it keeps its own stack: no nesting can exhaust Python's.

Source: https://github.com/edn-format/edn
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from dbre.capabilities.consistency.errors import HistoryInvalid, HistoryTooLarge
from dbre.core.text import counted, quoted

__all__ = ["EdnReader", "read_edn"]

_DEEPEST = 64
_DIGITS = 40  # of a number; longer ones are no answer of a database but an attempt
_LONGEST_STRING = 1 << 16  # that goes over several lines: each of them looks at it anew
_MOST_ITEMS = 1 << 23  # of one value, over all of its lines: as many as the longest line of JSON can hold
_SHOWN = 40
_TOKEN = re.compile(
    r"""[\s,]+                                       # white space; a comma is
      | ;[^\n]*                                      # comment
      | (?P<open>\#\{|[\[({])
      | (?P<close>[\])}])
      | "(?P<text>(?:[^"\\]|\\.)*)"
      | \\(?P<character>newline|space|tab|return|u[0-9a-fA-F]{4}|\S)
      | (?P<discard>\#_)
      | (?P<tag>\#[A-Za-z][\w.\-/]*)
      | (?P<atom>:?[^\s,;"()\[\]{}\\\#]+\#?)
    """,
    re.VERBOSE | re.DOTALL,
)
_INTEGER = re.compile(r"[+-]?\d+N?")
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_FLOAT = re.compile(r"[+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?M?")
_CLOSES = {"[": "]", "(": ")", "{": "}", "#{": "}"}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_NAMED = {"nil": None, "true": True, "false": False}
_CHARACTERS = {"newline": "\n", "space": " ", "tab": "\t", "return": "\r"}
_DISCARD, _TAG = object(), object()


def read_edn(lines: Iterable[str], *, unwrap: bool = False, most_items: int = _MOST_ITEMS) -> Iterator[Any]:
    """The values that some lines hold; with ``unwrap``, a list around everything counts as its items.

    >>> list(read_edn(['{:type :ok, :value [[:r 1 nil]]}', '#{1 2} ; two', '#inst "2026"']))
    [{'type': 'ok', 'value': [['r', 1, None]]}, [1, 2], '2026']

    Raises: HistoryInvalid with the line, HistoryTooLarge where a value has more than ``most_items``.
    """
    reader = EdnReader(unwrap=unwrap, most_items=most_items)
    for line in lines:
        yield from reader.feed(line)
    reader.end()


class EdnReader:
    """Takes lines and gives the values that are complete."""

    def __init__(self, *, unwrap: bool, most_items: int = _MOST_ITEMS) -> None:
        self._unwrap = unwrap
        self._most_items, self._items = most_items, 0
        self._wrapper: str | None = None  # what closes the list around everything
        self._is_first = True
        self._stack: list[tuple[str, list[Any]]] = []
        self._line = 0
        self._rest = ""  # of a string that goes on in the next line

    def feed(self, line: str) -> Iterator[Any]:
        """The values that a further line completes."""
        self._line += 1
        text, at = self._rest + line, 0
        self._rest = ""
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                if text[at] == '"' and len(text) - at <= _LONGEST_STRING:
                    self._rest = text[at:] if text.endswith("\n") else text[at:] + "\n"
                    return
                raise self._wrong(f"{quoted(text[at : at + _SHOWN])} is no EDN")
            at = match.end()
            yield from self._take(match)

    def end(self) -> None:
        """Nothing follows. Raises: HistoryInvalid where something is still open."""
        if self._rest or self._stack or self._wrapper is not None:
            raise self._wrong("the text ends inside of a value")

    def _take(self, match: re.Match[str]) -> Iterator[Any]:
        kind = match.lastgroup
        if kind is None:
            return
        if kind == "open":
            self._open(match["open"])
            return
        self._is_first = False
        if kind == "close":
            yield from self._close(match["close"])
        elif kind == "discard":
            self._push(_DISCARD)
        elif kind == "tag":
            self._push(_TAG)
        else:
            yield from self._value(self._scalar(kind, match[kind]))

    def _open(self, bracket: str) -> None:
        if self._unwrap and self._is_first and bracket in "[(":
            self._wrapper = _CLOSES[bracket]
        else:
            self._push(bracket)
        self._is_first = False

    def _push(self, bracket: Any) -> None:
        if len(self._stack) >= _DEEPEST:
            raise self._wrong(f"values are nested more than {_DEEPEST} deep")
        self._stack.append((bracket, []))

    def _close(self, bracket: str) -> Iterator[Any]:
        if not self._stack and bracket == self._wrapper:
            self._wrapper = None
            return
        if not self._stack or not isinstance(self._stack[-1][0], str) or _CLOSES[self._stack[-1][0]] != bracket:
            raise self._wrong(f"{bracket} closes nothing")
        opened, items = self._stack.pop()
        yield from self._value(self._mapping(items) if opened == "{" else items)

    def _value(self, value: Any) -> Iterator[Any]:
        while self._stack and self._stack[-1][0] in (_DISCARD, _TAG):
            prefix, _ = self._stack.pop()
            if prefix is _DISCARD:
                return
        if self._stack:
            self._stack[-1][1].append(value)
            self._items += 1
            if self._items > self._most_items:
                message = f"line {self._line}: one value has more than {counted(self._most_items, 'item')}"
                raise HistoryTooLarge(message, hint="one op is one map: see whether a bracket is missing")
        else:
            self._items = 0
            yield value

    def _mapping(self, items: list[Any]) -> dict[Any, Any]:
        if len(items) % 2:
            raise self._wrong("a map has a key without a value")
        keys = [str(one) if isinstance(one, list | dict) else one for one in items[::2]]
        return dict(zip(keys, items[1::2], strict=True))

    def _scalar(self, kind: str, text: str) -> Any:
        if kind == "text":
            return self._whole(_ESCAPE.sub(_unescaped, text)) if "\\" in text else text
        if kind == "character":
            return _CHARACTERS.get(text) or (self._whole(chr(int(text[1:], 16))) if len(text) == 5 else text)
        if text in _NAMED:
            return _NAMED[text]
        if text.startswith(":"):
            return text[1:]
        if _INTEGER.fullmatch(text):
            if len(text) > _DIGITS:
                raise self._wrong(f"a number has more than {_DIGITS} digits")
            return int(text.rstrip("N"))
        return float(text.rstrip("M")) if _FLOAT.fullmatch(text) else text

    def _whole(self, text: str) -> str:
        """Text in which halves of characters beyond U+FFFF, as Java escapes them, are one; a half alone is no text."""
        try:
            return text.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise self._wrong("an escape is half of a character") from None

    def _wrong(self, message: str) -> HistoryInvalid:
        return HistoryInvalid(f"line {self._line}: {message}", hint="EDN is what Jepsen writes as history.edn")


def _unescaped(found: re.Match[str]) -> str:
    word = found[1]
    return chr(int(word[1:], 16)) if len(word) > 1 else _ESCAPES.get(word, word)
