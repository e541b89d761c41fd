"""The target of a restore as people write it: one of six, and a moment never without its offset from UTC."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from dbre.capabilities.backup.restoring.errors import InvalidTarget
from dbre.core.text import quoted
from dbre.ports.backup.model import RecoveryTarget, TargetKind

__all__ = ["TargetText", "parse_moment", "parse_target"]

_NAMED_ZONE = re.compile(r"(?P<wall>\S+(?: [0-9:.]+)?) ?(?:\[(?P<bracketed>[^\]]+)\]|(?P<bare>[A-Za-z][A-Za-z0-9_+/-]*))")
_DAY = len("2026-11-21")
_HINT = "write 2026-11-21T04:00:00Z, with an offset: 2026-11-21T05:00:00+01:00, or '2026-11-21 05:00:00 Europe/Berlin'"


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetText:
    """What somebody gave for a target; exactly one of the six is."""

    to: str | None = None
    position: str | None = None
    transaction: str | None = None
    name: str | None = None
    latest: bool = False
    immediate: bool = False
    timeline: int | None = None
    is_inclusive: bool = True


def parse_target(given: TargetText, *, now: datetime) -> RecoveryTarget:
    """Read a target.

    Raises: InvalidTarget unless exactly one is given, for a moment without offset, one that clocks showed twice or never, one
    in the future, and for an empty value or timeline 0.
    """
    texts = {
        TargetKind.TIME: given.to,
        TargetKind.POSITION: given.position,
        TargetKind.TRANSACTION: given.transaction,
        TargetKind.NAME: given.name,
    }
    kinds = [kind for kind, text in texts.items() if text is not None]
    kinds += [TargetKind.LATEST] * given.latest + [TargetKind.IMMEDIATE] * given.immediate
    if len(kinds) != 1:
        said = f"{len(kinds)} targets are given: {', '.join(kinds)}" if kinds else "no target is given"
        options = "--to TIME, --to-position, --to-transaction, --to-name, --latest or --immediate"
        raise InvalidTarget(f"{said}; a restore has exactly one", hint=f"give one of {options}")
    if given.timeline is not None and given.timeline < 1:
        raise InvalidTarget(f"timeline {given.timeline} cannot exist: they count from 1", hint="leave it out for the newest")
    (kind,) = kinds
    if kind is TargetKind.TIME:
        at = parse_moment(given.to or "", now=now)
        return RecoveryTarget(kind=kind, at=at, is_inclusive=given.is_inclusive, timeline=given.timeline)
    value = texts.get(kind)
    if value is not None and (not value.strip() or len(value) > 200 or not value.isprintable()):
        raise InvalidTarget(f"{quoted(value, limit=60)} is no {kind.value}", hint="write it as the server does: 0/3000028")
    if kind is TargetKind.TRANSACTION and any(letter.isspace() for letter in value or ""):
        raise InvalidTarget(f"{quoted(value or '', limit=60)} is no transaction", hint="write its id as the server does: 742")
    return RecoveryTarget(kind=kind, value=value, is_inclusive=given.is_inclusive, timeline=given.timeline)


def parse_moment(text: str, *, now: datetime) -> datetime:
    """A moment of the past with its offset from UTC, in UTC.

    >>> parse_moment("2026-11-21T05:00:00+01:00", now=datetime(2026, 11, 21, 12, tzinfo=UTC)).isoformat()
    '2026-11-21T04:00:00+00:00'

    Raises: InvalidTarget.
    """
    if not text.isprintable():
        raise InvalidTarget(f"{quoted(text, limit=80)} is not a moment", hint=_HINT)
    moment = _aware(text.strip())
    if moment > now:
        raise InvalidTarget(
            f"{text} lies in the future: it is {now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", hint="for all that there is: --latest"
        )
    return moment


def _aware(text: str) -> datetime:
    moment = _read(text)
    if moment is not None and len(text) <= _DAY:
        raise InvalidTarget(f"{text} is a day, not a moment", hint=_HINT)
    if moment is not None and moment.tzinfo is None:
        raise InvalidTarget(f"{text} has no offset from UTC: which moment it is depends on who reads it", hint=_HINT)
    if moment is not None:
        return _in_utc(moment, text)
    named = _NAMED_ZONE.fullmatch(text)
    wall = _read(named["wall"]) if named else None
    if named is None or wall is None or wall.tzinfo is not None:
        raise InvalidTarget(f"{quoted(text, limit=80)} is not a moment", hint=_HINT)
    return _of_zone(wall, named["bracketed"] or named["bare"], text)


def _read(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def _of_zone(wall: datetime, name: str, text: str) -> datetime:
    """Clocks that are put back show an hour twice, and those that are put forward leave one out."""
    try:
        zone = ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise InvalidTarget(f"{quoted(name, limit=60)} is no time zone that is known here", hint=_HINT) from error
    first, second = (_in_utc(wall.replace(tzinfo=zone, fold=fold), text) for fold in (0, 1))
    shown = [wall.replace(tzinfo=zone, fold=fold).isoformat() for fold in (0, 1)]
    if first.astimezone(zone).replace(tzinfo=None) != wall:
        raise InvalidTarget(f"{text} never was: clocks of {name} were put forward over it", hint=_HINT)
    if first != second:
        raise InvalidTarget(
            f"{text} was twice: clocks of {name} were put back over it", hint=f"write which: {shown[0]} or {shown[1]}"
        )
    return first


def _in_utc(moment: datetime, text: str) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError as error:
        raise InvalidTarget(f"{text} is not a moment that can be", hint=_HINT) from error
