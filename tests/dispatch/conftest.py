"""Real brokers of both kinds."""

import pytest
from broker_kit import Broker, broker_of

from dbre.lab.server import LabServer


@pytest.fixture(params=["rabbitmq", "redis"])
def broker(request: pytest.FixtureRequest) -> Broker:
    server: LabServer = request.getfixturevalue("rabbitmq" if request.param == "rabbitmq" else "redis_server")
    return broker_of(server)
