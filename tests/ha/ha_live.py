"""Real servers as a fleet, and the commands on it."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from types import SimpleNamespace
from typing import Any, TypeVar

from dbre.core.clock import SystemClock
from dbre.core.fleet import Cluster, Fleet, Instance, TlsMode
from dbre.core.store.errors import StoreMissing
from dbre.engines.mysql import MySqlEngine
from dbre.engines.postgres import PostgresEngine
from dbre.engines.redis import RedisEngine
from dbre.lab.server import LabServer

_Found = TypeVar("_Found")


class Engines:
    """The registry of an installation that has them all."""

    def __init__(self) -> None:
        self._engines = {one.name: one for one in (PostgresEngine(), MySqlEngine(), RedisEngine())}

    def names(self) -> list[str]:
        return sorted(self._engines)

    def get(self, name: str) -> Any:
        return self._engines[name]


def fleet_of(engine: str, servers: Mapping[str, LabServer], *, database: str | None = None) -> Fleet:
    any_server = next(iter(servers.values()))
    cluster = Cluster(
        name="shop",
        environment="test",
        engine=engine,
        instances=tuple(Instance(name=name, cluster="shop", address=one.address) for name, one in servers.items()),
        endpoints=(),
        databases=(database,) if database else (),
        user=any_server.superuser,
        password=any_server.password,
        tls=TlsMode.DISABLE,
        tls_ca_file=None,
    )
    return Fleet(clusters=(cluster,))


def no_store() -> Any:
    raise StoreMissing("no state store was made yet")


def context(fleet: Fleet) -> Any:
    config = SimpleNamespace(get=lambda section: section.default())
    return SimpleNamespace(
        meta={}, obj=SimpleNamespace(fleet=fleet, engines=Engines(), clock=SystemClock(), config=config, open_store=no_store)
    )


async def until(ask: Callable[[], Awaitable[_Found]], is_reached: Callable[[_Found], bool]) -> _Found:
    end = time.monotonic() + 60
    while True:
        found = await ask()
        if is_reached(found) or time.monotonic() > end:
            assert is_reached(found), found
            return found
        await asyncio.sleep(0.1)


def rules(view: Any) -> set[tuple[str, str]]:
    return {(one["rule"], one["subject"]) for one in view.items[0]["findings"]}
