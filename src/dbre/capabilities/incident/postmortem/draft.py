"""The draft of a postmortem: everything that is known, in the sections that a reader expects, with the gaps named."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from dbre.capabilities.incident.actions.model import ActionItem
from dbre.capabilities.incident.errors import NoSuchIncidentItem
from dbre.capabilities.incident.impact import Spent
from dbre.capabilities.incident.model import Incident, IncidentAlert, TimelineEntry, TimelineKind
from dbre.capabilities.incident.postmortem.markdown import escaped
from dbre.core.text import closest, counted

__all__ = ["SECTIONS", "TEMPLATE", "Known", "draft"]

SECTIONS = (
    "title", "facts", "required", "summary", "impact", "timeline", "causes", "detection", "response", "diagnosis", "actions"
)  # fmt: skip
"""What a template may ask for, as ``${name}``."""

TEMPLATE = """\
# ${title}

${facts}

${required}

## Summary

${summary}

## Impact

${impact}

## Timeline

${timeline}

## Root causes and trigger

${causes}

## Detection

${detection}

## Response

${response}

## Diagnosis when it opened

${diagnosis}

## What went well

_To be written._

## Where we were lucky

_To be written._

## Action items

${actions}
"""

_PLACE = re.compile(r"\$\{([^}\n]{0,60})\}")
_TO_WRITE = "_To be written._"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What a draft is made of."""

    incident: Incident
    alerts: Sequence[IncidentAlert]
    timeline: Sequence[TimelineEntry]
    costs: Sequence[Spent]
    actions: Sequence[ActionItem]
    reasons: Sequence[str]  # why a postmortem is required
    today: date


def draft(known: Known, template: str = TEMPLATE) -> str:
    """The Markdown. Raises: NoSuchIncidentItem where the template asks for a section that does not exist."""
    sections = _sections(known)

    def fill(match: re.Match[str]) -> str:
        if match[1] not in sections:
            near = closest(match[1], SECTIONS)
            raise NoSuchIncidentItem(
                f"the template asks for ${{{match[1]}}}, which is no section",
                hint=f"did you mean {near}?" if near else f"known: {', '.join(SECTIONS)}",
            )
        return sections[match[1]]

    return _PLACE.sub(fill, template).rstrip() + "\n"


def _sections(known: Known) -> Mapping[str, str]:
    one = known.incident
    return {
        "title": f"{one.name}: {escaped(one.title)}",
        "facts": _facts(known),
        "required": _required(known.reasons),
        "summary": _summary(known),
        "impact": _impact(known),
        "timeline": _timeline(known.timeline),
        "causes": escaped(one.root_cause, limit=4_000) if one.root_cause else _TO_WRITE,
        "detection": _detection(known),
        "response": _response(one),
        "diagnosis": _diagnosis(known.timeline),
        "actions": _actions(known),
    }


def _facts(known: Known) -> str:
    one = known.incident
    rows = [
        ("Severity", one.severity.value.upper()),
        ("Cluster", escaped(one.cluster) or "-"),
        ("State", one.state.value.replace("_", " ")),
        ("Began", _when(one.started_at)),
        ("Detected", _when(one.detected_at)),
        ("Acknowledged", _when(one.acknowledged_at)),
        ("Mitigated", _when(one.mitigated_at)),
        ("Resolved", _when(one.resolved_at)),
        ("In the hands of", escaped(one.assignee) or "nobody"),
    ]
    return "\n".join(["| | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])


def _required(reasons: Sequence[str]) -> str:
    return f"A postmortem is required: {escaped('; '.join(reasons))}." if reasons else "No rule requires this postmortem."


def _summary(known: Known) -> str:
    one = known.incident
    end = one.resolved_at or one.mitigated_at
    lasted = f"lasted {_span(one.started_at, end)}" if end else "has not ended"
    where = f" on {escaped(one.cluster)}" if one.cluster else ""
    return f"{escaped(one.title)}{where}. It {lasted}; {counted(len(known.alerts), 'alert')} belonged to it.\n\n{_TO_WRITE}"


def _impact(known: Known) -> str:
    one = known.incident
    minutes = f"Users were affected for {_span(one.started_at, one.mitigated_at)}." if one.mitigated_at else ""
    loss = "**Data was lost.**" if one.has_data_loss else "No data is known to be lost."
    if not known.costs:
        return "\n\n".join(filter(None, [minutes, "No SLO counted a bad event in this time.", loss]))
    rows = [f"| {escaped(cost.instance)} | {cost.bad} | {cost.good + cost.bad} | {_share(cost)} |" for cost in known.costs]
    table = "\n".join(["| SLO | Bad events | Events | Of its error budget |", "|---|---:|---:|---:|", *rows])
    return "\n\n".join(filter(None, [minutes, table, loss]))


def _share(cost: Spent) -> str:
    return "not measured" if cost.consumed is None else f"{float(cost.consumed):.1%}"


def _timeline(timeline: Sequence[TimelineEntry]) -> str:
    rows = []
    for line in timeline:
        late = line.recorded_at - line.at
        heard = f" (heard of {_length(late)} later)" if late >= timedelta(minutes=1) else ""
        who = escaped(line.actor) or "-"
        rows.append(f"| {_when(line.at)} | {line.kind.value} | {who} | {escaped(line.text)}{heard} |")
    return "\n".join(["| UTC | What | Who | |", "|---|---|---|---|", *rows])


def _detection(known: Known) -> str:
    one = known.incident
    gap = _span(one.started_at, one.detected_at)
    if not one.slo:
        return f"A person ({escaped(one.opened_by)}) noticed it {gap} after it began; no alert of an SLO did."
    first = known.alerts[0] if known.alerts else None
    rule = f"rule {escaped(first.rule)} of {escaped(first.instance)}" if first else "an alert"
    return f"An alert of an SLO noticed it: {rule} fired {gap} after the first bad event."


def _response(one: Incident) -> str:
    said = [
        f"Acknowledged {_span(one.detected_at, one.acknowledged_at)} after detection by {escaped(one.assignee) or 'somebody'}."
        if one.acknowledged_at
        else "Nobody acknowledged it.",
        f"Mitigated {_span(one.started_at, one.mitigated_at)} after it began." if one.mitigated_at else "",
        f"Resolved {_span(one.started_at, one.resolved_at)} after it began." if one.resolved_at else "It is not resolved.",
        f"Opened again {counted(one.reopened_count, 'time')}." if one.reopened_count else "",
    ]
    return " ".join(filter(None, said))


def _diagnosis(timeline: Sequence[TimelineEntry]) -> str:
    lines = [f"- {escaped(one.text)}" for one in timeline if one.kind is TimelineKind.PLAYBOOK]
    return "\n".join(lines) or "No playbook ran."


def _actions(known: Known) -> str:
    if not known.actions:
        return f"None yet: `dbre incident action add {known.incident.name} ...`"
    rows = [
        f"| {one.number} | {escaped(one.title)} | {one.kind.value} | {escaped(one.owner)} | {one.due}"
        f"{' (overdue)' if one.is_overdue(known.today) else ''} | {one.state.value} | {escaped(one.reference) or '-'} |"
        for one in known.actions
    ]
    head = ["| # | Action | Kind | Owner | Due | State | Reference |", "|---|---|---|---|---|---|---|"]
    return "\n".join([*head, *rows])


def _when(moment: datetime | None) -> str:
    return "-" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S}"


def _span(start: datetime, end: datetime | None) -> str:
    return "an unknown time" if end is None else _length(max(end - start, timedelta(0)))


def _length(span: timedelta) -> str:
    seconds = int(span.total_seconds())
    hours, minutes = seconds // 3600, seconds % 3600 // 60
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {seconds % 60} s" if minutes else f"{seconds} s"
