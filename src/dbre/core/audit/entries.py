"""Entries of the audit log: canonical JSON of at most 64 KiB, made in one way and read strictly."""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import rfc8785

from dbre.core.audit.errors import AuditEntryInvalid
from dbre.core.audit.model import AuditDraft

__all__ = ["LONGEST_ENTRY_BYTES", "AuditEntry", "PreparedEntry", "moment_text", "prepare", "read_entry"]

LONGEST_ENTRY_BYTES = 65_535
"""What the length prefix of an entry bundle of C2SP tlog-tiles can hold: 64 KiB less one byte."""

_LONGEST_NAME = 1000  # characters of an actor or a subject
_ROOM_FOR_INDEX = len(str(2**53))
_LARGEST_NUMBER = 2**53 - 1
_FIRST_EXPONENT = 1e21  # RFC 8785 writes whole numbers below this without an exponent
_ACTION = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+")
_KEYS = {"action", "actor", "at", "data", "index", "subject"}
_AT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")
_TEXT = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":"))
"""Writes RFC 8785 wherever no number is a float and all keys are ASCII, six times as fast as a general encoder."""

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """One entry, as it was read."""

    index: int
    at: datetime
    action: str
    actor: str
    subject: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedEntry:
    """An entry that lacks only its index, which is known when it is written."""

    at: datetime
    action: str
    actor: str
    subject: str
    before_index: str
    after_index: str

    def text(self, index: int) -> str:
        """The canonical JSON."""
        return f"{self.before_index}{index}{self.after_index}"


def moment_text(moment: datetime) -> str:
    """RFC 3339 in UTC, always with six decimals, so that one moment has one text."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds").removesuffix("+00:00") + "Z"


def prepare(draft: AuditDraft, at: datetime) -> PreparedEntry:
    """Make the entry of a draft.

    An audit entry must not fail because of what it tells of: lone surrogates become U+FFFD, whole numbers that JSON readers
    would round become text, names over 1,000 characters are cut and end in a hash, and data that does not fit is replaced
    by its size and SHA-256.

    Raises: ValueError for an action that is not dotted lower-case words, or data that JSON cannot hold (NaN); TypeError for a
    key that is no text.
    """
    if not _ACTION.fullmatch(draft.action) or len(draft.action) > 100:
        raise ValueError(f"{draft.action!r} is not an action: write dotted lower-case words, operation.submitted")
    actor, subject = _name(draft.actor), _name(draft.subject)
    head = f'{{"action":"{draft.action}","actor":{_TEXT.encode(actor)},"at":"{moment_text(at)}","data":'
    tail = f',"subject":{_TEXT.encode(subject)}}}'
    data = _canonical(draft.data)
    room = LONGEST_ENTRY_BYTES - len(head.encode()) - len(tail.encode()) - len(',"index":') - _ROOM_FOR_INDEX
    encoded = data.encode()
    if len(encoded) > room:
        data = _TEXT.encode({"omitted_bytes": len(encoded), "omitted_sha256": hashlib.sha256(encoded).hexdigest()})
    return PreparedEntry(
        at=at,
        action=draft.action,
        actor=actor,
        subject=subject,
        before_index=f'{head}{data},"index":',
        after_index=tail,
    )


def read_entry(text: str) -> AuditEntry:
    """Read an entry strictly. Raises: AuditEntryInvalid for anything but the canonical form of exactly the known keys."""
    try:
        found = json.loads(text, object_pairs_hook=_unique, parse_constant=_refuse_constant)
        is_canonical = rfc8785.dumps(found) == text.encode()
    except AuditEntryInvalid:
        raise
    except (ValueError, RecursionError, rfc8785.CanonicalizationError) as error:
        raise AuditEntryInvalid(f"the entry cannot be read: {type(error).__name__}") from error
    if not is_canonical:
        raise AuditEntryInvalid("the entry is not canonical JSON (RFC 8785)")
    return _checked(found)


def _checked(found: Any) -> AuditEntry:
    if not isinstance(found, dict) or set(found) != _KEYS:
        raise AuditEntryInvalid("the entry is not an object with the keys action, actor, at, data, index and subject")
    index, at = found["index"], found["at"]
    if type(index) is not int or index < 0 or not isinstance(found["data"], dict):
        raise AuditEntryInvalid("the index of the entry is no number from 0, or its data is no object")
    if any(not isinstance(found[key], str) for key in ("action", "actor", "at", "subject")) or not _AT.fullmatch(at):
        raise AuditEntryInvalid("action, actor and subject of the entry must be text, and at a moment in UTC with microseconds")
    return AuditEntry(
        index=index,
        at=_moment(at),
        action=found["action"],
        actor=found["actor"],
        subject=found["subject"],
        data=found["data"],
    )


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text)
    except ValueError as error:
        raise AuditEntryInvalid(f"at in the entry is {text}, which is no moment") from error


def _name(text: str) -> str:
    if len(text) > _LONGEST_NAME:
        digest = hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()
        text = f"{text[: _LONGEST_NAME - 80]}...sha256:{digest}"
    return _SURROGATE.sub("\ufffd", text.replace("\x00", "\ufffd"))


def _canonical(data: Mapping[str, Any]) -> str:
    """The canonical JSON of data, its values made such that every reader understands them alike."""
    odd: list[Any] = []
    plain = _plain(data, odd)
    if not odd:
        return _TEXT.encode(plain)
    try:
        return rfc8785.dumps(plain).decode()
    except rfc8785.CanonicalizationError as error:
        raise ValueError(f"audit data is not JSON: {error}") from error


def _plain(value: Any, odd: list[Any]) -> Any:
    """A JSON value for every reader; ``odd`` gets what the standard library would not write in the canonical form."""
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_NUMBER else str(value)
    if isinstance(value, float):
        if value.is_integer() and abs(value) < _FIRST_EXPONENT:
            return _plain(int(value), odd)  # what its canonical form is read back as
        odd.append(value)
        return value
    if isinstance(value, Mapping):
        return {_key(key, odd): _plain(inner, odd) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner, odd) for inner in value]
    raise ValueError(f"audit data holds {type(value).__name__}, which JSON does not know")


def _key(key: Any, odd: list[Any]) -> str:
    if not isinstance(key, str):
        raise TypeError(f"audit data has {type(key).__name__} for a key, which JSON does not know")
    if not key.isascii():
        odd.append(key)  # RFC 8785 sorts by UTF-16, Python by code points
    return _SURROGATE.sub("\ufffd", key)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise AuditEntryInvalid("the entry names a key twice")
    return found


def _refuse_constant(name: str) -> Any:
    raise AuditEntryInvalid(f"the entry holds {name}, which JSON does not know")
