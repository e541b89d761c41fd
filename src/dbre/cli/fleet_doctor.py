"""What ``dbre fleet doctor`` looks at: can every instance be reached, logged in to, and asked what dbre needs to know."""

import asyncio
import shlex
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from dbre.cli.fleet_contact import CONCURRENT_SERVERS, contact
from dbre.core.checks import Finding, Severity
from dbre.core.errors import DbreError, Denied, Unreachable, Unsupported
from dbre.core.fleet import Address, Cluster, TlsMode
from dbre.core.secrets import SecretUnavailable, prepare_secrets
from dbre.core.text import printable
from dbre.ports.engine import Engine, EngineRegistry, Feature
from dbre.ports.session import Role, ServerIdentity
from dbre.ports.versions import VersionRange

__all__ = ["examine"]

_RULES: tuple[tuple[type[DbreError], str, str], ...] = (
    (Unreachable, "fleet.unreachable", "check that the server runs, and the network between"),
    (Denied, "fleet.login_refused", "check user, password and the server's access rules"),
    (Unsupported, "fleet.unsupported", "see dbre engine support"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Target:
    cluster: Cluster
    address: Address
    name: str  # of the instance, or of the endpoint
    is_instance: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Examined:
    target: _Target
    identity: ServerIdentity | None
    findings: tuple[Finding, ...]


async def examine(clusters: Iterable[Cluster], engines: EngineRegistry) -> list[Finding]:
    """Findings on clusters: connects to each instance and endpoint once, side by side; reads only."""
    limit = asyncio.Semaphore(CONCURRENT_SERVERS)
    groups = await asyncio.gather(*(_examine_cluster(cluster, engines, limit) for cluster in clusters))
    return [finding for group in groups for finding in group]


async def _examine_cluster(cluster: Cluster, engines: EngineRegistry, limit: asyncio.Semaphore) -> list[Finding]:
    try:
        engine = engines.get(cluster.engine)
        await prepare_secrets([cluster.password])
    except SecretUnavailable as error:
        return [_from_error("fleet.secret_unavailable", cluster.name, error, Severity.ERROR)]
    except DbreError as error:
        return [_from_error("fleet.engine_unavailable", cluster.name, error, Severity.ERROR)]

    async def one(target: _Target) -> _Examined:
        async with limit:
            return await _examine_address(target, engine, engines)

    examined = await asyncio.gather(*(one(target) for target in _targets(cluster)))
    findings = [finding for result in examined for finding in result.findings]
    return [*findings, *_cluster_findings(cluster, [result for result in examined if result.target.is_instance])]


def _targets(cluster: Cluster) -> Iterator[_Target]:
    seen = {instance.address for instance in cluster.instances}
    for instance in cluster.instances:
        yield _Target(cluster=cluster, address=instance.address, name=instance.name, is_instance=True)
    for endpoint in cluster.endpoints:
        for address in endpoint.addresses:
            if address not in seen:
                seen.add(address)
                yield _Target(cluster=cluster, address=address, name=f"{endpoint} {address}", is_instance=False)


async def _examine_address(target: _Target, engine: Engine, engines: EngineRegistry) -> _Examined:
    identity: ServerIdentity | None = None
    findings: list[Finding] = []
    try:
        async with contact(engines, target.cluster, target.address, purpose="fleet.doctor") as server:
            identity = await server.session.identify()
            if target.is_instance:
                held = await server.session.privileges()
                findings += _missing(target, engine, identity, held)
    except DbreError as error:
        rule, fix = next(((rule, fix) for kind, rule, fix in _RULES if isinstance(error, kind)), ("fleet.failed", None))
        findings.append(_from_error(rule, target.name, error, Severity.ERROR, fix=fix))
    return _Examined(target=target, identity=identity, findings=tuple(findings))


def _missing(target: _Target, engine: Engine, identity: ServerIdentity, held: frozenset[str]) -> Iterator[Finding]:
    wanted: dict[str, list[Feature]] = {}
    for feature in engine.features():
        is_there = identity.product in feature.products and identity.version in VersionRange.parse(feature.versions)
        if is_there and feature.privilege not in held:
            wanted.setdefault(feature.privilege, []).append(feature)
    for privilege, features in wanted.items():
        user = printable(identity.user, limit=100)
        yield Finding(
            rule="fleet.privilege_missing",
            severity=Severity.WARNING,
            subject=target.name,
            summary=f"login {user} lacks {privilege}: {len(features)} features do not work ({features[0].name}, ...)"
            if len(features) > 1
            else f"login {user} lacks {privilege}: {features[0].name} does not work",
            evidence={"privilege": privilege, "features": [f"{one.facet}: {one.name}" for one in features]},
            fix=f"run as an administrator what this prints: dbre engine sql {engine.name} --grants --user {shlex.quote(user)}",
        )


def _cluster_findings(cluster: Cluster, examined: Sequence[_Examined]) -> Iterator[Finding]:
    seen = [(one.target.name, one.identity) for one in examined if one.identity is not None]
    primaries = [name for name, identity in seen if identity.role is Role.PRIMARY]
    if len(primaries) > 1:
        yield Finding(
            rule="fleet.several_primaries",
            severity=Severity.CRITICAL,
            subject=cluster.name,
            summary=f"{len(primaries)} instances take writes: {', '.join(primaries)}",
            evidence={"primaries": primaries},
            fix="find out which one clients write to, and fence the others",
        )
    if not primaries and len(seen) == len(examined):
        yield Finding(
            rule="fleet.no_primary",
            severity=Severity.CRITICAL,
            subject=cluster.name,
            summary=f"none of the {len(seen)} instances is a primary",
            fix="promote one, or add the primary to the inventory",
        )
    yield from _unlike_members(cluster, seen)
    if cluster.password is not None and cluster.tls in (TlsMode.DISABLE, TlsMode.PREFER) and not _is_local(cluster):
        yield Finding(
            rule="fleet.tls_not_required",
            severity=Severity.INFO,
            subject=cluster.name,
            summary=f"tls is {cluster.tls}: connections may go over the network in the clear",
            evidence={"tls": cluster.tls.value},
            fix="set tls: verify-full",
        )


def _unlike_members(cluster: Cluster, seen: Sequence[tuple[str, ServerIdentity]]) -> Iterator[Finding]:
    systems = {name: identity.system_id for name, identity in seen if identity.system_id is not None}
    if len(set(systems.values())) > 1:
        yield Finding(
            rule="fleet.foreign_instance",
            severity=Severity.ERROR,
            subject=cluster.name,
            summary=f"its instances belong to {len(set(systems.values()))} different clusters",
            evidence={"system_ids": systems},
            fix="correct host and port of the instances: dbre fleet topology shows who is who",
        )
    versions = {name: identity.version_text for name, identity in seen}
    if len(set(versions.values())) > 1:
        shown = ", ".join(f"{name} {printable(version, limit=60)}" for name, version in versions.items())
        yield Finding(
            rule="fleet.versions_differ",
            severity=Severity.WARNING,
            subject=cluster.name,
            summary=f"its instances run different versions: {shown}",
            evidence={"versions": versions},
            fix="finish the upgrade",
        )


def _is_local(cluster: Cluster) -> bool:
    hosts = [instance.address.host for instance in cluster.instances]
    return all(host.startswith(("/", "127.")) or host in ("::1", "localhost") for host in hosts)


def _from_error(rule: str, subject: str, error: DbreError, severity: Severity, *, fix: str | None = None) -> Finding:
    return Finding(
        rule=rule,
        severity=severity,
        subject=subject,
        summary=printable(error.message),
        evidence={"code": error.code, **error.context},
        fix=error.hint or fix,
    )
