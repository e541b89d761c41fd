"""What is checked before, and beside, the start: what makes watching impossible refuses it, the rest is a warning."""

import asyncio
from collections.abc import Sequence

import structlog

from dbre.capabilities.incident import ReceiverDocument, sign
from dbre.capabilities.observe import ProbeDocument
from dbre.capabilities.slo import Definition, problems_of
from dbre.core.errors import DbreError, Unsupported
from dbre.core.fleet import Cluster, Fleet
from dbre.core.progress import report
from dbre.core.secrets import Secret, prepare_secrets
from dbre.core.store import Store
from dbre.core.text import printable
from dbre.ports.engine import EngineRegistry

__all__ = ["check_engines", "check_secrets", "warn_of_definitions", "warn_of_store"]

_log = structlog.get_logger(__name__)


def check_engines(fleet: Fleet, engines: EngineRegistry) -> None:
    """Raises: Unsupported, naming the clusters and the extra, where a driver is not installed."""
    for name in sorted({cluster.engine for cluster in fleet.clusters}):
        try:
            engines.get(name)
        except Unsupported as error:
            clusters = ", ".join(one.name for one in fleet.clusters if one.engine == name)
            raise Unsupported(
                f"{error.message}; clusters that need it: {printable(clusters, limit=200)}", hint=error.hint
            ) from error


def warn_of_store(store: Store) -> None:
    """Tell what is doubtful about the place of the state store."""
    for warning in store.warnings:
        report(f"warning: {warning}")
        _log.warning("store_place_doubtful", problem=warning)


def warn_of_definitions(definitions: Sequence[Definition], fleet: Fleet, probe: ProbeDocument) -> None:
    """Tell which SLOs measure nothing, or not what they promise; the engine logs the former."""
    for problem in problems_of(definitions, fleet, probe_interval=probe.interval, probe_timeout=probe.total_timeout):
        report(f"warning: {problem.message}; {problem.hint}")


async def check_secrets(fleet: Fleet, receivers: Sequence[ReceiverDocument]) -> None:
    """Fetch every password and every webhook secret once, side by side, and tell which cannot be had.

    That stops nothing: their clusters are excluded and their pages wait until the secret is there, and all others go on.
    """
    clusters = [_check_password(one) for one in fleet.clusters if one.password is not None]
    await asyncio.gather(*clusters, *(_check_receiver(one) for one in receivers))


async def _check_password(cluster: Cluster) -> None:
    try:
        await prepare_secrets([cluster.password])
    except DbreError as error:
        _tell(f"password of cluster {cluster.name}", error, "its probes do not count until then")


async def _check_receiver(receiver: ReceiverDocument) -> None:
    try:
        secret: Secret = await receiver.secret.resolve()
        sign(secret, webhook_id="", timestamp=0, body=b"")
    except DbreError as error:
        _tell(f"secret of receiver {receiver.name}", error, "its alerts wait until then")


def _tell(what: str, error: DbreError, consequence: str) -> None:
    report(f"warning: {what}: {error.message}; {consequence}" + (f"; {error.hint}" if error.hint else ""))
    _log.warning("secret_unavailable", secret=what, error=error.message, hint=error.hint)
