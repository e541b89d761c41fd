"""Which queries a toxic is about."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from dbre.capabilities.chaos.proxy.errors import ToxicInvalid
from dbre.core.text import quoted
from dbre.ports.wire import Request, StatementClass

__all__ = ["Match", "match_from"]

_LONGEST_PATTERN = 500
_SEEN_TEXT = 8_192  # of a statement: what a pattern is tried on, so that no pattern stalls everybody for long
_UNTOUCHED = (StatementClass.COPY, StatementClass.TRANSACTION)  # unless they are named


@dataclass(frozen=True, slots=True, kw_only=True)
class Match:
    """All that is given must hold; nothing given: every query but COPY and the ends of transactions."""

    user: str | None = None
    database: str | None = None
    application: str | None = None
    statement_class: StatementClass | None = None
    regex: str | None = None

    def covers(self, statement: Request) -> bool:
        """Whether a query is one of those."""
        if self.statement_class is None:
            if statement.statement_class in _UNTOUCHED:
                return False
        elif self.statement_class is not statement.statement_class:
            return False
        return (
            self.user in (None, statement.user)
            and self.database in (None, statement.database)
            and self.application in (None, statement.application)
            and (self.regex is None or _compiled(self.regex).search(statement.text[:_SEEN_TEXT]) is not None)
        )

    def as_document(self) -> dict[str, str]:
        """What was given."""
        given = {
            "user": self.user,
            "database": self.database,
            "application": self.application,
            "class": self.statement_class.value if self.statement_class else None,
            "regex": self.regex,
        }
        return {key: value for key, value in given.items() if value is not None}


def match_from(document: object) -> Match:
    """Read it. Raises: ToxicInvalid."""
    known = ("user", "database", "application", "class", "regex")
    if not isinstance(document, Mapping):
        raise ToxicInvalid("match is not an object", hint=f"its keys: {', '.join(known)}")
    for key, value in document.items():
        if key not in known:
            raise ToxicInvalid(f"match has no key {quoted(str(key), limit=60)}", hint=f"its keys: {', '.join(known)}")
        if not isinstance(value, str) or len(value) > _LONGEST_PATTERN:
            raise ToxicInvalid(
                f"match.{key} must be a text of at most {_LONGEST_PATTERN} characters", hint="leave it out to match all"
            )
    word = document.get("class")
    if word is not None and word not in tuple(StatementClass):
        raise ToxicInvalid(f"there is no class {quoted(str(word), limit=60)}", hint=f"classes: {', '.join(StatementClass)}")
    regex = document.get("regex")
    if regex is not None:
        try:
            _compiled(regex)
        except re.error as error:
            raise ToxicInvalid(f"match.regex cannot be read: {error}", hint="it is a regular expression of Python") from error
    return Match(
        user=document.get("user"),
        database=document.get("database"),
        application=document.get("application"),
        statement_class=StatementClass(word) if word is not None else None,
        regex=regex,
    )


@lru_cache(maxsize=256)
def _compiled(pattern: str) -> "re.Pattern[str]":
    return re.compile(pattern, re.IGNORECASE)
