"""A review of clients as a document and as text."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from dbre.capabilities.ha.client_settings.reviewing import ClientReview
from dbre.capabilities.ha.route.stragglers import Straggler, straggler_rows
from dbre.core.checks import Finding
from dbre.core.text import counted
from dbre.core.units import format_duration

__all__ = ["review_document", "review_text"]


def review_document(reviews: Sequence[ClientReview], findings: Sequence[Finding], live: Sequence[Straggler]) -> dict[str, Any]:
    """As JSON; seconds that are not known are None."""
    return {
        "clients": [
            {
                "name": one.name,
                "hosts": [str(host) for host in one.hosts],
                "predicted_outage_seconds": asdict(one.outage) if one.outage is not None else None,
            }
            for one in reviews
        ],
        "findings": [
            {"rule": one.rule, "severity": one.severity.value, "subject": one.subject, "summary": one.summary, "fix": one.fix}
            for one in findings
        ],
        "sessions": straggler_rows(live),
    }


def review_text(
    reviews: Sequence[ClientReview],
    findings: Sequence[Finding],
    live: Sequence[Straggler],
    *,
    rto_seconds: float,
    are_all: bool,
) -> str:
    """For people. ``are_all``: whether everything that was asked for could be read."""
    return "\n".join(_lines(reviews, findings, live, rto_seconds, are_all=are_all))


def _lines(
    reviews: Sequence[ClientReview],
    findings: Sequence[Finding],
    live: Sequence[Straggler],
    rto_seconds: float,
    *,
    are_all: bool,
) -> Iterator[str]:
    yield f"clients may be without the primary for {format_duration(rto_seconds)}"
    for one in reviews:
        if one.outage is None:
            yield f"{one.name}: its connection string is not known"
            continue
        yield (
            f"{one.name}: waits {_seconds(one.outage.reset)} where the primary resets connections, "
            f"{_seconds(one.outage.black_hole)} where it falls silent during a statement, "
            f"{_seconds(one.outage.black_hole_idle)} where it falls silent while idle"
        )
    if not reviews and are_all:
        yield "no client is written under ha: clusters: clients:, and none is given with --dsn"
    if live:
        yield f"{counted(sum(one.sessions for one in live), 'session')} of {counted(len(live), 'client')} on the primary"
    for finding in findings:
        yield f"{finding.severity.value:8}  {finding.subject}: {finding.summary}  [{finding.rule}]"
        if finding.fix:
            yield f"          {finding.fix}"
    if not findings:
        yield "nothing to object to"


def _seconds(value: float) -> str:
    return format_duration(value) if value else "0 s"
