"""What a statement of MySQL or MariaDB is, by its first words: enough to choose faults by, no parser."""

import re

from dbre.ports.wire import StatementClass

__all__ = ["class_of", "database_of"]

# What stands in /*! */ and /*M! */ is read by the server, so that the word behind the version counts.
_LEAD = re.compile(r"(?:\s+|--\s[^\n]*(?:\n|$)|#[^\n]*(?:\n|$)|/\*M?!\d*|/\*.*?\*/|\*/|\()*", re.DOTALL)
_WORD = re.compile(r"[A-Za-z]+")
_CHANGES = re.compile(r"\b(?:INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE)
_USE = re.compile(r"USE\s+(?:`((?:[^`]|``)+)`|([^\s;`]+))\s*;?\s*", re.IGNORECASE)
_CLASSES = {
    StatementClass.READ: "select table values show explain describe desc handler checksum",
    StatementClass.WRITE: "insert update delete replace call do",
    StatementClass.DDL: "create alter drop truncate rename grant revoke optimize repair analyze",
    StatementClass.TRANSACTION: "begin start commit rollback savepoint release xa",
    StatementClass.COPY: "load",
}
_BY_WORD = {word: one for one, words in _CLASSES.items() for word in words.split()}


def class_of(text: str) -> StatementClass:
    """The class of a statement; of several in one text the first counts.

    >>> class_of("/* app */ WITH best AS (SELECT 1) SELECT * FROM best")
    <StatementClass.READ: 'read'>
    >>> class_of("/*!40101 SET NAMES utf8 */")
    <StatementClass.OTHER: 'other'>
    """
    lead = _LEAD.match(text)
    word = _WORD.match(text, lead.end() if lead else 0)
    if word is None:
        return StatementClass.OTHER
    first = word[0].lower()
    if first == "with":
        return StatementClass.WRITE if _CHANGES.search(text) else StatementClass.READ
    if first == "start" and not text[word.end() :].lstrip().lower().startswith("transaction"):
        return StatementClass.OTHER  # START SLAVE
    return _BY_WORD.get(first, StatementClass.OTHER)


def database_of(text: str) -> str | None:
    """The database that a statement goes over to; None where it is not ``USE``."""
    lead = _LEAD.match(text)
    found = _USE.fullmatch(text, lead.end() if lead else 0)
    if found is None:
        return None
    return found[1].replace("``", "`") if found[1] is not None else found[2]
