"""What a statement is, by its first words: enough to choose faults by, no parser."""

import re

from dbre.ports.wire import StatementClass

__all__ = ["class_of"]

_LEAD = re.compile(r"(?:\s+|--[^\n]*(?:\n|$)|/\*.*?\*/|\()*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+")
_CHANGES = re.compile(r"\b(?:INSERT|UPDATE|DELETE|MERGE)\b", re.IGNORECASE)
_CLASSES = {
    StatementClass.READ: "select table values show explain fetch declare",
    StatementClass.WRITE: "insert update delete merge call do",
    StatementClass.DDL: "create alter drop truncate grant revoke comment reindex cluster refresh vacuum analyze security",
    StatementClass.TRANSACTION: "begin start commit end rollback abort savepoint release prepare",
    StatementClass.COPY: "copy",
}
_BY_WORD = {word: one for one, words in _CLASSES.items() for word in words.split()}


def class_of(text: str) -> StatementClass:
    """The class of a statement; of several in one text the first counts.

    >>> class_of("/* app */ WITH gone AS (DELETE FROM queue RETURNING *) SELECT * FROM gone")
    <StatementClass.WRITE: 'write'>
    """
    lead = _LEAD.match(text)
    word = _WORD.match(text, lead.end() if lead else 0)
    if word is None:
        return StatementClass.OTHER
    first = word[0].lower()
    if first == "with":
        return StatementClass.WRITE if _CHANGES.search(text) else StatementClass.READ
    if first == "prepare" and not text[word.end() :].lstrip().lower().startswith("transaction"):
        return StatementClass.OTHER
    return _BY_WORD.get(first, StatementClass.OTHER)
