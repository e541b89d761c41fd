"""Pytest fixtures of message brokers; ``dbre.testing.fixtures`` loads them."""

from collections.abc import AsyncIterator

import pytest_asyncio

from dbre.lab.rabbitmq import RabbitMqServer, find_rabbitmq
from dbre.lab.site import Site
from dbre.testing.fixtures import installed, running

__all__ = ["rabbitmq"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def rabbitmq(lab_site: Site) -> AsyncIterator[RabbitMqServer]:
    """RabbitMQ, from the distribution."""
    program = installed(lambda: find_rabbitmq(account=lab_site.account))
    async with running(RabbitMqServer("rabbitmq", lab_site, program=program)) as server:
        yield server
