"""A broker that runs, as the configuration names it."""

from dataclasses import dataclass

from dbre.core.operation.broker_document import BrokerDocument
from dbre.core.secrets import Secret
from dbre.lab.server import LabServer


@dataclass(frozen=True, kw_only=True)
class Broker:
    """A broker that runs, and how the configuration names it."""

    server: LabServer
    document: BrokerDocument
    password: Secret


def broker_of(server: LabServer, **options: object) -> Broker:
    address = server.address
    url = f"amqp://dbre@{address}/" if server.engine == "rabbitmq" else f"redis://default@{address}/0"
    given = {"url": url, "timeout": "2s", "visibility_timeout": "2s", **options}
    return Broker(server=server, document=BrokerDocument(**given), password=server.password)
