"""Routes made of what the configuration says of them."""

from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dbre.capabilities.ha.route.config_document import (
    DnsDocument,
    HaproxyDocument,
    PgBouncerDocument,
    Route53Document,
    RouteDocument,
)
from dbre.core.errors import Unsupported, UsageError
from dbre.core.fleet import Address, Cluster
from dbre.core.text import closest
from dbre.ports.route import Route

if TYPE_CHECKING:
    from dbre.capabilities.ha.config_document import HaDocument
    from dbre.core.secrets import Secret, SecretReference
    from dbre.tools.dns.record import DnsRecord

__all__ = ["RoutesOf", "routes_of"]

RoutesOf = Callable[[Cluster], tuple[Route, ...]]
"""The routes of a cluster in the order of the configuration, possibly none; does no I/O. Raises: UsageError, Unsupported."""


def routes_of(document: "HaDocument", cluster: Cluster) -> tuple[Route, ...]:
    """The routes of a cluster. Raises: UsageError for what does not fit the cluster, Unsupported naming a missing extra."""
    return tuple(_route(one, cluster) for one in document.of(cluster.name).routes)


def _route(document: RouteDocument, cluster: Cluster) -> Route:
    if document.pgbouncer is not None:
        return _pgbouncer(document.name, document.pgbouncer)
    if document.haproxy is not None:
        return _haproxy(document.name, document.haproxy)
    if document.dns is not None:
        return _dns(document.name, document.dns, cluster)
    if document.route53 is not None:
        return _route53(document.name, document.route53, cluster)
    assert document.libpq is not None  # noqa: S101 -- the document has exactly one kind
    from dbre.tools.libpq.route import LibpqRoute

    return LibpqRoute(document.name, document.libpq.dsn.secret())


def _pgbouncer(name: str, given: PgBouncerDocument) -> Route:
    from dbre.tools.pgbouncer.console import ConsoleAccess
    from dbre.tools.pgbouncer.route import PgBouncerRoute

    access = ConsoleAccess(
        address=Address.parse(given.address, default_port=6432),
        user=given.user,
        password=_secret(given.password),
        tls=given.tls,
        tls_ca_file=str(given.tls_ca_file) if given.tls_ca_file is not None else None,
    )
    return PgBouncerRoute(name, access, given.databases, file=given.databases_file)


def _haproxy(name: str, given: HaproxyDocument) -> Route:
    from dbre.tools.haproxy.route import HaproxyRoute
    from dbre.tools.haproxy.runtime_api import RuntimeApi

    place: Path | Address = given.socket if given.socket is not None else Address.parse(given.address or "", default_port=9999)
    return HaproxyRoute(name, RuntimeApi(place), given.backend, is_checked=given.health_checked)


def _dns(name: str, given: DnsDocument, cluster: Cluster) -> Route:
    route = _optional("dbre.tools.dns.route", extra="dns", what=f"route {name}")
    zones = import_module("dbre.tools.dns.dynamic_zone")
    zone = zones.DynamicZone(
        server=Address.parse(given.server, default_port=53),
        zone=given.zone,
        key=zones.UpdateKey(name=given.key_name, secret=given.key.secret(), algorithm=given.key_algorithm),
    )
    found: Route = route.DnsRoute(name, _record(given, cluster), zone, resolvers=_resolvers(given))
    return found


def _route53(name: str, given: Route53Document, cluster: Cluster) -> Route:
    route = _optional("dbre.tools.route53.route", extra="route53", what=f"route {name}")
    if given.resolvers:
        _optional("dbre.tools.dns.resolvers", extra="dns", what=f"resolvers of route {name}")
    access = import_module("dbre.tools.route53.hosted_zone").ZoneAccess(
        zone_id=given.zone_id,
        region=given.region,
        endpoint=given.endpoint,
        access_key=_secret(given.access_key),
        secret_key=_secret(given.secret_key),
    )
    found: Route = route.Route53Route(name, _record(given, cluster), access, resolvers=_resolvers(given))
    return found


def _record(given: DnsDocument | Route53Document, cluster: Cluster) -> "DnsRecord":
    from dbre.tools.dns.record import DnsRecord

    instances = {one.name: one.address for one in cluster.instances}
    for name in given.targets:
        if name not in instances:
            near = closest(name, instances)
            raise UsageError(
                f"targets of {given.record}: cluster {cluster.name} has no instance {name}",
                hint=f"did you mean {near}?" if near else f"its instances are {', '.join(instances)}",
            )
    return DnsRecord(
        name=given.record,
        kind=given.type,
        port=cluster.instances[0].address.port,
        ttl=given.ttl.total_seconds(),
        values={instances[name]: value for name, value in given.targets.items()},
    )


def _resolvers(given: DnsDocument | Route53Document) -> tuple[Address, ...]:
    return tuple(Address.parse(one, default_port=53) for one in given.resolvers)


def _secret(reference: "SecretReference | None") -> "Secret | None":
    return reference.secret() if reference is not None else None


def _optional(module: str, *, extra: str, what: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("dbre"):
            raise
        raise Unsupported(
            f"{what} needs the package {error.name}, which is not installed",
            hint=f"pip install 'dbre[{extra}]'",
            context={"package": error.name},
        ) from error
