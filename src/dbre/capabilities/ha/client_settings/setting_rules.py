"""What a connection string means for a change of primary: pure rules.

The predictions behind them are measured: with data under way and nobody answering, keepalives do nothing, and only
``tcp_user_timeout`` ends the wait before the kernel does.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from dbre.core.checks import Finding, Severity
from dbre.core.fleet import Address
from dbre.core.text import printable
from dbre.core.units import format_duration
from dbre.tools.libpq.connection_string import ConnectionString
from dbre.tools.libpq.outage import client_outage, connect_seconds, user_timeout_seconds
from dbre.tools.libpq.route import WRITING

__all__ = ["Surroundings", "setting_findings"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """Where connection strings may lead."""

    instances: dict[Address, str]
    fronts: dict[Address, str]  # addresses of poolers and proxies, with the names of their routes
    names: dict[str, str]  # records of DNS, without a dot at the end, with the names of their routes
    rto_seconds: float  # how long clients may be without the primary


def setting_findings(client: str, given: ConnectionString, around: Surroundings) -> Iterator[Finding]:
    """What is wrong with the settings of one client, each with what it costs and what to write."""
    yield from _where(client, given, around)
    yield from _how_long(client, given, around)


def _where(client: str, given: ConnectionString, around: Surroundings) -> Iterator[Finding]:
    if not given.hosts:
        yield _finding(
            "no_host", Severity.ERROR, client, "it names no host, and so leads to a server on its own machine",
            "name the hosts of the cluster, or the address of a route",
        )  # fmt: skip
        return
    instances = [one for one in given.hosts if one in around.instances]
    if len(given.hosts) == 1:
        yield from _one_host(client, given.hosts[0], around)
        return
    missing = [name for address, name in around.instances.items() if address not in given.hosts]
    if instances and missing:
        yield _finding(
            "missing_instance", Severity.WARNING, client,
            f"its list of hosts lacks {', '.join(missing)}, which may become primary",
            "name every instance that may be promoted",
        )  # fmt: skip
    wanted = given.options.get("target_session_attrs", "any")
    if wanted not in WRITING:
        word = "targetServerType=primary" if given.is_jdbc else "target_session_attrs=read-write"
        yield _finding(
            "no_target_session_attrs", Severity.ERROR, client,
            f"with {len(given.hosts)} hosts and target_session_attrs={printable(wanted, limit=30)} it may stay on a replica",
            f"add {word}",
        )  # fmt: skip


def _one_host(client: str, host: Address, around: Surroundings) -> Iterator[Finding]:
    if host in around.fronts or host.host.rstrip(".") in around.names:
        return
    if host in around.instances:
        yield _finding(
            "single_host", Severity.ERROR, client,
            f"it leads to {around.instances[host]} alone, and stays there when another instance becomes primary",
            "name all instances with target_session_attrs=read-write, or the address of a route",
        )  # fmt: skip
        return
    yield _finding(
        "unknown_host", Severity.WARNING, client,
        f"it leads to {host}, which is neither an instance nor a route that dbre knows",
        "write the way to it under routes: of the cluster, or correct the connection string",
    )  # fmt: skip


def _how_long(client: str, given: ConnectionString, around: Surroundings) -> Iterator[Finding]:
    limit, outage = around.rto_seconds, client_outage(given)
    timeout, option = user_timeout_seconds(given), "socketTimeout" if given.is_jdbc else "tcp_user_timeout"
    example = f"{max(1, round(limit / 2))}" if given.is_jdbc else f"{max(1, round(limit / 2)) * 1000}"
    if timeout is None:
        keeps = any(name.startswith("keepalives_") for name in given.options)
        yield _finding(
            "no_user_timeout", Severity.ERROR, client,
            f"where the primary falls silent, a statement waits {format_duration(outage.black_hole)}: there is no {option}"
            + ("; its keepalives help idle connections alone" if keeps else ""),
            f"add {option}={example}",
        )  # fmt: skip
    elif timeout > limit:
        yield _finding(
            "slow_user_timeout", Severity.WARNING, client,
            f"{option} lets a statement wait {format_duration(timeout)}, and clients may be without the primary for "
            f"{format_duration(limit)}",
            f"set {option}={example}",
        )  # fmt: skip
    connect = connect_seconds(given)
    if connect > limit:
        yield _finding(
            "slow_connect", Severity.WARNING, client,
            f"a host that does not answer is tried for {format_duration(connect)}, and clients may be without the primary "
            f"for {format_duration(limit)}",
            f"set {'connectTimeout' if given.is_jdbc else 'connect_timeout'}=2",
        )  # fmt: skip
    if given.options.get("keepalives") == "0":
        yield _finding(
            "no_keepalives", Severity.WARNING, client,
            "without keepalives an idle connection to a machine that is gone is noticed only by the next statement",
            "add tcpKeepAlive=true" if given.is_jdbc else "leave out keepalives=0",
        )  # fmt: skip


def _finding(rule: str, severity: Severity, client: str, summary: str, fix: str) -> Finding:
    return Finding(rule=f"clients.{rule}", severity=severity, subject=client, summary=summary, fix=fix)
