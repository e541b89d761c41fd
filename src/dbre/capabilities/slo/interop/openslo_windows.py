"""Windows of OpenSLO as ours."""

from collections.abc import Sequence
from datetime import datetime

from dbre.capabilities.slo.interop.model import Findings
from dbre.capabilities.slo.interop.openslo_basics import seconds_of
from dbre.capabilities.slo.interop.openslo_documents import Calendar, TimeWindow
from dbre.capabilities.slo.series import slot_start
from dbre.capabilities.slo.window import CalendarUnit, CalendarWindow, span, time_zone
from dbre.core.config.problems import Place

__all__ = ["calendar_unit", "window_of"]

_UNITS = {
    "1d": CalendarUnit.DAY, "24h": CalendarUnit.DAY, "1w": CalendarUnit.WEEK, "7d": CalendarUnit.WEEK,
    "1M": CalendarUnit.MONTH, "3M": CalendarUnit.QUARTER, "1Q": CalendarUnit.QUARTER, "12M": CalendarUnit.YEAR,
    "4Q": CalendarUnit.YEAR, "1Y": CalendarUnit.YEAR,
}  # fmt: skip


def calendar_unit(duration: str) -> CalendarUnit | None:
    """The unit of the calendar that a duration is; None for 2w and the like."""
    return _UNITS.get(duration)


def window_of(name: str, windows: Sequence[TimeWindow], place: Place, findings: Findings) -> dict[str, object] | None:
    """The window of an SLO, or None where ours cannot have it (it is noted)."""
    if not windows:
        findings.lose(place, f"{name}: no window is given; 30 days are taken")
        return {"rolling": "30d"}
    given = windows[0]
    if given.calendar is None:
        if given.duration[-1] in "MQY":
            days = seconds_of(given.duration) // 86_400
            findings.lose(place, f"{name}: a rolling window of {given.duration} has {days} days", "as OpenSLO counts them")
            return {"rolling": f"{days}d"}
        return {"rolling": given.duration}
    unit = calendar_unit(given.duration)
    if unit is None:
        findings.lose(
            place,
            f"{name}: a calendar window of {given.duration} is no unit of the calendar",
            "write a day, week, month, quarter or year",
            is_whole=True,
        )
        return None
    if not _begins(given.calendar, unit):
        zone = given.calendar.timeZone
        findings.lose(
            place,
            f"{name}: the window began at {given.calendar.startTime}, and here a {unit} begins at midnight of its first day"
            f" ({zone})",
        )
    return {"calendar": unit.value, "time_zone": given.calendar.timeZone}


def _begins(calendar: Calendar, unit: CalendarUnit) -> bool:
    """Whether the start is one at which such a window begins here."""
    try:
        start = datetime.strptime(calendar.startTime, "%Y-%m-%d %H:%M:%S").replace(tzinfo=time_zone(calendar.timeZone))
    except ValueError:
        return False
    at = span(CalendarWindow(unit=unit, time_zone=calendar.timeZone), start)
    return slot_start(at.start_slot) == start
