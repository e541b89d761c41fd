"""Judged settings as people and programs read them."""

from collections.abc import Sequence

from dbre.capabilities.ha.patroni.prediction import Predicted
from dbre.capabilities.ha.patroni.settings_review import Review
from dbre.core.checks import Severity, exit_code_of
from dbre.core.errors import DbreError
from dbre.core.view import Row, View

__all__ = ["review_view"]


def review_view(found: Review) -> View:
    """The whole, as one document."""
    errors: list[DbreError] = [one.error for one in found.servers if one.error is not None]
    return View(
        kind="HaSettings",
        items=[_document(found)],
        single=True,
        text=_text(found),
        errors=errors,
        exit_code=exit_code_of(found.findings, fail_on=Severity.WARNING),
    )


def _document(found: Review) -> Row:
    return {
        "cluster": found.cluster,
        "preset": found.preset,
        "settings": [{"name": one.name, "value": one.value, "preset": one.preset} for one in found.compared],
        "failsafe_mode": found.config.get("failsafe_mode") is True,
        "servers": [
            {
                "instance": one.instance,
                "is_replica": one.is_replica if one.error is None else None,
                "milliseconds": dict(one.milliseconds),
                "upstream_timeout_ms": one.upstream_timeout_ms,
            }
            for one in found.servers
        ],
        "predicted": [
            {
                "fault": one.fault,
                "least_seconds": one.least_seconds,
                "most_seconds": one.most_seconds,
                "loss": one.loss,
                "why": one.why,
            }
            for one in found.predicted
        ],
        "findings": [
            {
                "rule": one.rule,
                "severity": one.severity.value,
                "subject": one.subject,
                "summary": one.summary,
                "evidence": dict(one.evidence),
                "fix": one.fix,
            }
            for one in found.findings
        ],
    }


def _text(found: Review) -> str:
    rows = [("SETTING", "VALUE", f"PRESET {found.preset}")]
    rows += [(one.name, _word(one.value), _word(one.preset)) for one in found.compared]
    lines = [f"{found.cluster}: settings of Patroni", "", *_columns(rows), ""]
    rows = [("FAULT", "OUTAGE OF CLIENTS", "ACKNOWLEDGED WRITES LOST")]
    rows += [(one.fault, _span(one), one.loss) for one in found.predicted]
    lines += _columns(rows)
    lines += ["", *(f"{one.fault}: {one.why}" for one in found.predicted)]
    for finding in found.findings:
        lines.extend(("", f"{finding.severity.value.upper()} {finding.rule}: {finding.summary}"))
        if finding.fix:
            lines.append(f"  fix: {finding.fix}")
    return "\n".join(lines) + "\n"


def _columns(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _span(one: Predicted) -> str:
    if one.most_seconds is None:
        return f"{one.least_seconds:g} s or more"
    return "none" if one.most_seconds == 0 else f"{one.least_seconds:g} to {one.most_seconds:g} s"


def _word(value: object) -> str:
    return ("on" if value else "off") if isinstance(value, bool) else str(value)
