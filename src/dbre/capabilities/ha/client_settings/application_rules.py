"""What an application does besides its connection string, as the configuration says it: pure rules."""

from collections.abc import Iterator
from datetime import timedelta

from dbre.capabilities.ha.route.config_document import ClientDocument
from dbre.core.checks import Finding, Severity
from dbre.core.units import format_duration

__all__ = ["application_findings"]

_LONGEST_LIFETIME = timedelta(hours=1)


def application_findings(client: ClientDocument, *, ttl_seconds: float | None) -> Iterator[Finding]:
    """Retries, pool, names. ``ttl_seconds`` of the record by which it comes; None: it does not come by a name."""
    yield from _retries(client)
    yield from _pool(client)
    if ttl_seconds is not None:
        yield from _names(client, ttl_seconds)


def _retries(client: ClientDocument) -> Iterator[Finding]:
    if client.retries is None:
        yield _finding(
            "retries_unknown", Severity.INFO, client, "nobody says whether it repeats what failed",
            "write retries: true or false for it, after looking",
        )  # fmt: skip
    elif not client.retries:
        yield _finding(
            "no_retries", Severity.ERROR, client,
            "it does not repeat what failed: every change of primary is an error for its users",
            "repeat transactions that failed with 40001, 57P01, 08* or a lost connection, with an idempotency key",
        )  # fmt: skip


def _pool(client: ClientDocument) -> Iterator[Finding]:
    if client.pool_pre_ping is False:
        yield _finding(
            "no_pre_ping", Severity.WARNING, client,
            "its pool hands out connections that are dead since the change of primary",
            "let the pool try a connection first (SQLAlchemy: pool_pre_ping=True; HikariCP does)",
        )  # fmt: skip
    lifetime = client.pool_max_lifetime
    if lifetime is not None and lifetime > _LONGEST_LIFETIME:
        yield _finding(
            "long_lifetime", Severity.WARNING, client,
            f"its pool keeps a connection for {format_duration(lifetime.total_seconds())}, to whichever server it once led",
            "let connections end after 30 m (SQLAlchemy: pool_recycle=1800; HikariCP: maxLifetime)",
        )  # fmt: skip


def _names(client: ClientDocument, ttl_seconds: float) -> Iterator[Finding]:
    if client.dns_cache is None:
        yield _finding(
            "dns_cache_unknown", Severity.INFO, client, "nobody says how long it keeps what DNS said",
            "write dns_cache: for it, after looking (Java: networkaddress.cache.ttl)",
        )  # fmt: skip
        return
    kept = None if client.dns_cache == "forever" else client.dns_cache.total_seconds()
    if kept is None or kept > ttl_seconds:
        words = "for ever" if kept is None else f"for {format_duration(kept)}"
        yield _finding(
            "dns_cache", Severity.ERROR if kept is None else Severity.WARNING, client,
            f"it keeps what DNS said {words}, and the record has a TTL of {format_duration(ttl_seconds)}",
            "Java: networkaddress.cache.ttl=5 in java.security",
        )  # fmt: skip


def _finding(rule: str, severity: Severity, client: ClientDocument, summary: str, fix: str) -> Finding:
    return Finding(rule=f"clients.{rule}", severity=severity, subject=client.name, summary=summary, fix=fix)
