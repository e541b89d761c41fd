"""Which processes are a lab server's, and their end: all servers of the lab are started in their data directory."""

from itertools import pairwise
from pathlib import Path

from dbre.core.programs.processes import Process, kill_serving, send, serving, start_ticks

__all__ = ["SERVER_PROGRAMS", "Process", "find_processes", "kill_processes", "send", "start_ticks"]

# The names that /proc/PID/exe ends with: Debian's redis-server is a link to redis-check-rdb.
SERVER_PROGRAMS = frozenset(
    {"postgres", "mariadbd", "mysqld", "redis-server", "redis-check-rdb", "valkey-server"}
    | {"beam.smp", "epmd", "erl_child_setup"}  # RabbitMQ
    | {"prometheus", "prometheus-alertmanager", "alertmanager"}
    | {"nats-server", "java"}  # java: Kafka
    | {"etcd"}
    | {"haproxy", "named", "pgbouncer"}
)


def find_processes(directory: Path) -> list[Process]:
    """All living processes of servers whose data lies in ``directory``, parents before children."""
    return serving(directory, _is_server)


def kill_processes(directory: Path, *, timeout_seconds: float = 10.0) -> list[Process]:
    """SIGKILL every process of the servers in ``directory`` until none is left; returns those that would not die."""
    return kill_serving(directory, _is_server, timeout_seconds=timeout_seconds)


def _is_server(pid: int, executable: str) -> bool:
    return executable in SERVER_PROGRAMS or (executable.startswith("python") and _runs_patroni(pid))


def _runs_patroni(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False  # ended meanwhile
    return any(pair == (b"-m", b"patroni") for pair in pairwise(words))
