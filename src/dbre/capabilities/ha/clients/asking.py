"""What a user asks for, checked before anything begins."""

from collections.abc import Sequence

from dbre.capabilities.ha.clients.spec import ProbeSpec, Vantage
from dbre.core.errors import UsageError
from dbre.core.fleet import Address
from dbre.core.text import closest, quoted
from dbre.core.units import parse_duration
from dbre.ports.client_work import ClientWorkload

__all__ = ["spec_of"]

_MODES = ("open", "closed")


def spec_of(
    *,
    duration: str,
    rate: float,
    mode: str,
    workload: str,
    isolation: str,
    namespaces: Sequence[str],
    clients: int,
    connections: int,
    deadline: str,
    connect_timeout: str,
    settle: str,
    addresses: Sequence[str],
    default_port: int,
) -> ProbeSpec:
    """The words of a command line as a spec. Raises: UsageError."""
    return ProbeSpec(
        workload=ClientWorkload(_one_of(workload, [one.value for one in ClientWorkload], "workload")),
        is_open_loop=_one_of(mode, _MODES, "mode") == "open",
        rate=rate,
        seconds=parse_duration(duration).total_seconds(),
        vantages=tuple(Vantage(name=one, namespace=one) for one in namespaces) or (Vantage(name="here"),),
        clients=clients,
        connections=connections,
        deadline_seconds=parse_duration(deadline).total_seconds(),
        connect_seconds=parse_duration(connect_timeout).total_seconds(),
        settle_seconds=parse_duration(settle).total_seconds(),
        isolation=isolation,
        addresses=tuple(Address.parse(one, default_port=default_port) for one in addresses),
    )


def _one_of(text: str, known: Sequence[str], what: str) -> str:
    if text in known:
        return text
    near = closest(text, list(known))
    raise UsageError(
        f"{quoted(text, limit=60)} is no {what}", hint=f"did you mean {near}?" if near else f"known: {', '.join(known)}"
    )
