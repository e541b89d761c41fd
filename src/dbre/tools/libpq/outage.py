"""How long a client waits for a primary that is gone, by its own settings: pure arithmetic.

The times of the kernel are those of Linux with its defaults: a segment that nobody acknowledges is sent again 15 times, 924.6 s
in all (tcp_retries2), a connection that nobody answers is given up after 6 tries, 127 s (tcp_syn_retries), and an idle one is
first looked at after 7200 s (tcp_keepalive_time, and then 9 times 75 s apart).
Source: tcp(7); RFC 1122, 4.2.3.5.
"""

from dataclasses import dataclass

from dbre.tools.libpq.connection_string import ConnectionString

__all__ = ["ClientOutage", "client_outage"]

RETRANSMISSION_SECONDS = 924.6
SYN_SECONDS = 127.0
KEEPALIVE_IDLE_SECONDS, KEEPALIVE_INTERVAL_SECONDS, KEEPALIVE_COUNT = 7200.0, 75.0, 9
_LEAST_CONNECT_SECONDS = 2.0  # libpq rounds smaller ones up


@dataclass(frozen=True, slots=True, kw_only=True)
class ClientOutage:
    """Seconds from the moment the primary is gone until the client has noticed and reached the next one that it knows."""

    reset: float  # the machine lives and says that the server does not
    black_hole: float  # nothing answers, while a statement or COMMIT is under way
    black_hole_idle: float  # nothing answers, and the connection was idle


def client_outage(client: ConnectionString) -> ClientOutage:
    """What these settings give, with the old primary first in the list of hosts: it is tried again before the next one."""
    reconnect = connect_seconds(client) if len(client.hosts) > 1 else 0.0
    timeout = user_timeout_seconds(client)
    in_flight = RETRANSMISSION_SECONDS if timeout is None else timeout
    return ClientOutage(reset=0.0, black_hole=in_flight + reconnect, black_hole_idle=_idle_seconds(client, timeout) + reconnect)


def connect_seconds(client: ConnectionString) -> float:
    """For how long one host that does not answer is tried."""
    given = client.seconds("connect_timeout")
    if given is None or given <= 0:
        return SYN_SECONDS
    return given if client.is_jdbc else max(given, _LEAST_CONNECT_SECONDS)


def user_timeout_seconds(client: ConnectionString) -> float | None:
    """After how long data that nobody acknowledges ends the connection; None: the kernel decides."""
    if client.is_jdbc:
        given = client.seconds("socketTimeout")
        return given if given is not None and given > 0 else None
    given = client.seconds("tcp_user_timeout")
    return given / 1000 if given is not None and given > 0 else None


def _idle_seconds(client: ConnectionString, timeout: float | None) -> float:
    """An idle connection is noticed by its keepalives; the statement that comes first is then data under way."""
    in_flight = RETRANSMISSION_SECONDS if timeout is None else timeout
    if client.options.get("keepalives", "1") == "0":
        return in_flight
    idle = client.seconds("keepalives_idle") or KEEPALIVE_IDLE_SECONDS
    interval = client.seconds("keepalives_interval") or KEEPALIVE_INTERVAL_SECONDS
    count = client.seconds("keepalives_count") or KEEPALIVE_COUNT
    return min(in_flight, idle + interval * count)
