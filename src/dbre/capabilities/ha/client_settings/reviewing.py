"""The clients of a cluster judged: by their connection strings, by what the configuration says, by their sessions."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from dbre.capabilities.ha.client_settings.application_rules import application_findings
from dbre.capabilities.ha.client_settings.setting_rules import Surroundings, setting_findings
from dbre.capabilities.ha.config_document import HaClusterDocument
from dbre.capabilities.ha.route.config_document import ClientDocument
from dbre.capabilities.ha.route.stragglers import Straggler, client_sessions
from dbre.core.checks import Finding, Severity
from dbre.core.errors import DbreError
from dbre.core.fleet import Address, Cluster
from dbre.core.network import resolve
from dbre.core.text import counted
from dbre.core.units import format_duration
from dbre.ports.engine import EngineRegistry
from dbre.ports.session import Role
from dbre.tools.libpq.connection_string import ConnectionString, parse
from dbre.tools.libpq.outage import ClientOutage, client_outage

__all__ = ["ClientReview", "review_clients", "review_sessions", "surroundings_of"]

_LONG_TRANSACTION_SECONDS = 10.0  # as long as a pause waits by default
_LOOK_UP_SECONDS = 5.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientReview:
    """One client."""

    name: str
    hosts: tuple[Address, ...]
    outage: ClientOutage | None  # None: its connection string is not known


def surroundings_of(document: HaClusterDocument, cluster: Cluster, *, rto_seconds: float) -> Surroundings:
    """Where the clients of a cluster may be led."""
    fronts, names = {}, {}
    for route in document.routes:
        if route.pgbouncer is not None:
            fronts[Address.parse(route.pgbouncer.address, default_port=6432)] = route.name
        if route.haproxy is not None and route.haproxy.frontend is not None:
            fronts[Address.parse(route.haproxy.frontend, default_port=cluster.instances[0].address.port)] = route.name
        record = route.dns or route.route53
        if record is not None:
            names[record.record.rstrip(".")] = route.name
    return Surroundings(
        instances={one.address: one.name for one in cluster.instances}, fronts=fronts, names=names, rto_seconds=rto_seconds
    )


async def review_clients(
    document: HaClusterDocument, clients: Sequence[ClientDocument], around: Surroundings
) -> tuple[list[ClientReview], list[Finding], list[DbreError]]:
    """Each client with what its settings predict; errors for connection strings that cannot be read."""
    reviews: list[ClientReview] = []
    findings: list[Finding] = []
    errors: list[DbreError] = []
    for client in clients:
        given: ConnectionString | None = None
        if client.dsn is not None:
            try:
                given = parse((await client.dsn.resolve()).reveal())
            except DbreError as error:
                errors.append(type(error)(f"{client.name}: {error.message}", hint=error.hint, context=error.context))
                continue
        if given is not None:
            findings += setting_findings(client.name, given, around)
        findings += application_findings(client, ttl_seconds=_ttl(document, given))
        outage = client_outage(given) if given is not None else None
        reviews.append(ClientReview(name=client.name, hosts=given.hosts if given is not None else (), outage=outage))
    return reviews, findings, errors


async def review_sessions(
    engines: EngineRegistry, cluster: Cluster, around: Surroundings
) -> tuple[list[Straggler], list[Finding], list[DbreError]]:
    """The sessions on each primary, and which of them a change of primary would leave behind or wait for."""
    found = await asyncio.gather(*(_tried(engines, cluster, one.name) for one in cluster.instances))
    errors = [one for one in found if isinstance(one, DbreError)]
    sessions = [one for answer in found if not isinstance(answer, DbreError) and answer[0] is Role.PRIMARY for one in answer[1]]
    known = await _numeric(around.fronts)
    return sessions, list(_session_findings(sessions, known)), errors


def _session_findings(sessions: Sequence[Straggler], fronts: frozenset[str]) -> Iterator[Finding]:
    for one in sessions:
        who = f"{one.application or one.user or 'somebody'} from {one.address or 'this machine'}"
        if fronts and one.address is not None and one.address.partition("/")[0] not in fronts:
            yield Finding(
                rule="clients.around_routes",
                severity=Severity.WARNING,
                subject=one.instance,
                summary=f"{who} has {counted(one.sessions, 'session')} by no pooler or proxy: nothing leads it elsewhere",
                fix="give it the address of a route",
            )
        longest = one.longest_transaction_seconds
        if longest is not None and longest > _LONG_TRANSACTION_SECONDS:
            yield Finding(
                rule="clients.long_transaction",
                severity=Severity.WARNING,
                subject=one.instance,
                summary=f"{who} has a transaction open for {format_duration(longest)}: a pause would wait for it",
                fix="end it before a switchover, or have the application open transactions for less time",
            )


async def _tried(engines: EngineRegistry, cluster: Cluster, name: str) -> tuple[Role, tuple[Straggler, ...]] | DbreError:
    (instance,) = [one for one in cluster.instances if one.name == name]
    try:
        return await client_sessions(engines, cluster, instance, purpose="ha")
    except DbreError as error:
        return error


async def _numeric(fronts: dict[Address, str]) -> frozenset[str]:
    """The hosts of poolers and proxies as servers see them; a name that nobody knows is none."""
    found: set[str] = set()
    for address in fronts:
        try:
            async with asyncio.timeout(_LOOK_UP_SECONDS):
                found |= {one.host for one in await resolve(address)}
        except (OSError, TimeoutError):
            continue
    return frozenset(found)


def _ttl(document: HaClusterDocument, given: ConnectionString | None) -> float | None:
    """The TTL that the record by which a client comes should have."""
    hosts = {one.host.rstrip(".") for one in given.hosts} if given is not None else set()
    for route in document.routes:
        record = route.dns or route.route53
        if record is not None and (given is None or record.record.rstrip(".") in hosts):
            return record.ttl.total_seconds()
    return None
