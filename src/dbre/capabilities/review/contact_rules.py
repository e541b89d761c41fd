"""Check ``contact``: can every instance and endpoint be reached, logged in to, and asked what dbre needs to know."""

import shlex
from collections.abc import Iterator, Sequence

from dbre.capabilities.review.looking import ClusterLook, Contacted
from dbre.core.checks import Finding, Severity
from dbre.core.errors import DbreError, Denied, Unreachable, Unsupported
from dbre.core.secrets import SecretUnavailable
from dbre.core.text import counted, printable
from dbre.ports.engine import Engine, Feature
from dbre.ports.session import Role
from dbre.ports.versions import VersionRange

__all__ = ["check_contact", "finding_of"]

_RULES: tuple[tuple[type[DbreError], str, str], ...] = (
    (Unreachable, "fleet.unreachable", "check that the server runs, and the network between"),
    (Denied, "fleet.login_refused", "check user, password and the server's access rules"),
    (Unsupported, "fleet.unsupported", "see dbre engine support"),
)


async def check_contact(look: ClusterLook) -> Sequence[Finding]:
    """Rules ``fleet.unreachable``, ``login_refused``, ``privilege_missing``, ``heartbeat_missing``, ..."""
    try:
        contacted = await look.addresses()
    except SecretUnavailable as error:
        return [finding_of(error, rule="fleet.secret_unavailable", subject=look.cluster.name)]
    except DbreError as error:
        return [finding_of(error, rule="fleet.engine_unavailable", subject=look.cluster.name)]
    return [finding for one in contacted for finding in _of(one, look.engine)]


def finding_of(
    error: DbreError, *, rule: str, subject: str, severity: Severity = Severity.ERROR, fix: str | None = None
) -> Finding:
    """An error as a finding."""
    return Finding(
        rule=rule,
        severity=severity,
        subject=subject,
        summary=printable(error.message),
        evidence={"code": error.code, **error.context},
        fix=error.hint or fix,
    )


def _of(one: Contacted, engine: Engine) -> Iterator[Finding]:
    if one.error is not None:
        rule, fix = next(((rule, fix) for kind, rule, fix in _RULES if isinstance(one.error, kind)), ("fleet.failed", None))
        yield finding_of(one.error, rule=rule, subject=one.name, fix=fix)
    if one.identity is not None and one.privileges is not None:
        yield from _missing(one, engine)
        yield from _heartbeat(one, engine)


def _missing(one: Contacted, engine: Engine) -> Iterator[Finding]:
    identity, held = one.identity, one.privileges or frozenset()
    if identity is None:
        return
    wanted: dict[str, list[Feature]] = {}
    for feature in engine.features():
        is_there = identity.product in feature.products and identity.version in VersionRange.parse(feature.versions)
        if is_there and feature.privilege not in held and not feature.is_opt_in and not _lacks_its_table(one, feature):
            wanted.setdefault(feature.privilege, []).append(feature)
    for privilege, features in wanted.items():
        user = printable(identity.user, limit=100)
        what = f"{features[0].name} does not work"
        if len(features) > 1:
            what = f"{counted(len(features), 'feature')} do not work ({features[0].name}, ...)"
        yield Finding(
            rule="fleet.privilege_missing",
            severity=Severity.WARNING,
            subject=one.name,
            summary=f"login {user} lacks {privilege}: {what}",
            evidence={"privilege": privilege, "features": [f"{each.facet}: {each.name}" for each in features]},
            fix=f"run as an administrator what this prints: dbre engine sql {engine.name} --grants --user {shlex.quote(user)}",
        )


def _lacks_its_table(one: Contacted, feature: Feature) -> bool:
    """Whether the privilege is on a table that is not there: then that is what is to be said."""
    return one.login is not None and one.login.has_heartbeat is False and "heartbeat" in feature.privilege


def _heartbeat(one: Contacted, engine: Engine) -> Iterator[Finding]:
    is_primary = one.identity is not None and one.identity.role is Role.PRIMARY
    if one.login is None or one.login.has_heartbeat is not False or not is_primary:
        return
    user = shlex.quote(printable(one.identity.user if one.identity else "dbre", limit=100))
    yield Finding(
        rule="fleet.heartbeat_missing",
        severity=Severity.INFO,
        subject=one.name,
        summary="the table of the write probe is not there; the prober makes it where its login may, and else cannot write",
        fix=f"run as an administrator what this prints: dbre engine sql {engine.name} --grants --user {user}",
    )
