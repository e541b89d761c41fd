"""Observers vouch for the primary that they hear, and let replicas know that nobody need."""

import secrets
import socket
from collections.abc import Mapping

import structlog

from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.detection.report import NodeWord, Report
from dbre.capabilities.ha.failover.config_document import BeaconDocument
from dbre.capabilities.ha.watchdog.beacon import Beacon, Word, write_beacon
from dbre.core.fleet import Address, Cluster
from dbre.core.network import resolve
from dbre.core.secrets import Secret
from dbre.ports.topology import Contact

__all__ = ["BeaconSender", "sender_for", "words_of"]

_log = structlog.get_logger(__name__)


class BeaconSender:
    """The words of one observer to the watchdogs of one cluster."""

    def __init__(self, cluster: Cluster, observer: str, settings: BeaconDocument, secret: Secret) -> None:
        self._hosts = {one.name: one.address.host for one in cluster.instances}
        self._cluster = cluster.name
        self._observer = observer
        self._port = settings.port
        self._secret = secret
        self._run = secrets.token_hex(8)
        self._number = 0

    async def send(self, report: Report) -> None:
        """One word to each server that answered in this round; to the others none, and that is the point."""
        for name, word in words_of(report).items():
            self._number += 1
            data = write_beacon(
                Beacon(
                    cluster=self._cluster,
                    instance=name,
                    observer=self._observer,
                    run=self._run,
                    number=self._number,
                    word=word,
                ),
                self._secret,
            )
            try:
                for target in (await resolve(Address(self._hosts[name], self._port)))[:1]:
                    family = socket.AF_INET6 if ":" in target.host else socket.AF_INET
                    with socket.socket(family, socket.SOCK_DGRAM) as sender:
                        sender.setblocking(False)
                        sender.sendto(data, (target.host, target.port))
            except OSError as error:
                _log.warning("beacon_not_sent", cluster=self._cluster, instance=name, error=str(error))


def words_of(report: Report) -> Mapping[str, Word]:
    """Whom to tell what: the primary that takes writes is held, replicas are freed, a second primary is told nothing."""
    return {name: found for name, one in report.nodes.items() if (found := _word(report, name, one)) is not None}


def _word(report: Report, name: str, one: NodeWord) -> Word | None:
    if one.contact is not Contact.ANSWERED:
        return None
    if not one.is_writable:
        return Word.FREE
    return Word.HOLD if name == report.primary else None


async def sender_for(settings: HaDocument, cluster: Cluster, observer: str) -> BeaconSender | None:
    """The sender of an observer; None where the cluster has no beacon. Raises: SecretUnavailable."""
    found = settings.of(cluster.name).failover
    if found is None or found.beacon is None:
        return None
    return BeaconSender(cluster, observer, found.beacon, await found.beacon.secret.resolve())
