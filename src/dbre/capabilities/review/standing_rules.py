"""Checks ``login`` and ``lifecycle``: what the login may do too much, and how long the version is still mended."""

from collections.abc import Sequence
from datetime import timedelta

from dbre.capabilities.review.looking import ClusterLook
from dbre.core.checks import Finding, Severity
from dbre.core.errors import DbreError
from dbre.core.text import printable
from dbre.ports.versions import format_version

__all__ = ["check_lifecycle", "check_login"]

_NEAR = timedelta(days=180)


async def check_login(look: ClusterLook) -> Sequence[Finding]:
    """Rule ``login.superuser``: dbre needs none, and a superuser's password in many hands is a danger of its own."""
    try:
        instances = await look.instances()
    except DbreError:  # check ``contact`` says why nobody could be asked
        return []
    return [
        Finding(
            rule="login.superuser",
            severity=Severity.WARNING,
            subject=one.name,
            summary=f"dbre logs in as {printable(one.identity.user, limit=100)}, who may do everything",
            fix=f"make a login of its own: dbre engine sql {look.cluster.engine} --grants --user dbre",
        )
        for one in instances
        if one.identity is not None and one.login is not None and one.login.is_superuser
    ]


async def check_lifecycle(look: ClusterLook) -> Sequence[Finding]:
    """Rule ``lifecycle.ends``: a warning from 180 days before the end of a version, an error after it."""
    try:
        instances = await look.instances()
    except DbreError:  # as above
        return []
    today = look.clock.now().date()
    findings = []
    for one in instances:
        end = look.engine.end_of_life(one.identity.product, one.identity.version) if one.identity else None
        if one.identity is None or end is None or end - today > _NEAR:
            continue
        version = f"{one.identity.product} {format_version(one.identity.version)}"
        is_over = end < today
        findings.append(
            Finding(
                rule="lifecycle.ends",
                severity=Severity.ERROR if is_over else Severity.WARNING,
                subject=one.name,
                summary=f"{version} {'has not been mended since' if is_over else 'is mended until'} {end.isoformat()}",
                evidence={"end_of_life": end.isoformat(), "days_left": (end - today).days},
                fix="upgrade to a later major version",
            )
        )
    return findings
