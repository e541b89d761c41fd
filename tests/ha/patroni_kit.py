"""A cluster that Patroni runs as a fleet, and its word."""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from ha_live import Engines, no_store, until

from dbre.capabilities.ha.config_document import HA, HaDocument
from dbre.capabilities.ha.patroni.config_document import PatroniDocument
from dbre.capabilities.ha.patroni.hand_over import PatroniHandOver
from dbre.capabilities.ha.patroni.steward import PatroniSteward
from dbre.capabilities.ha.patroni.word import PatroniWord, read_word
from dbre.core.clock import SystemClock
from dbre.core.fleet import Cluster, Fleet, Instance, TlsMode
from dbre.core.store import Store
from dbre.lab.patroni.cluster import PatroniCluster
from dbre.lab.patroni.configuration import REST_USER
from dbre.testing.patroni_fixtures import OBSERVER
from upgrade_kit import Ground, Walker


def fleet_of(cluster: PatroniCluster) -> Fleet:
    shop = Cluster(
        name="shop",
        environment="test",
        engine="postgresql",
        instances=tuple(Instance(name=f"db-{one.name}", cluster="shop", address=one.address) for one in cluster.nodes),
        endpoints=(),
        databases=("lab",),
        user=OBSERVER.user,
        password=OBSERVER.password,
        tls=TlsMode.DISABLE,
        tls_ca_file=None,
    )
    return Fleet(clusters=(shop,))


def document_of(cluster: PatroniCluster, **given: Any) -> PatroniDocument:
    password = f"file:{cluster.nodes[0].directory / 'password'}"
    known: dict[str, Any] = {
        "urls": list(cluster.urls),
        "user": REST_USER,
        "password": password,
        "timeout": "10s",
        "etcd": {"urls": [one.url for one in cluster.etcd], "timeout": "10s"},
    }
    return PatroniDocument.model_validate(known | given)


def context(cluster: PatroniCluster, **given: Any) -> Any:
    settings = HaDocument.model_validate({"clusters": [{"cluster": "shop", "patroni": document_of(cluster, **given)}]})
    config = SimpleNamespace(get=lambda section: settings if section is HA else section.default())
    return SimpleNamespace(
        obj=SimpleNamespace(
            fleet=fleet_of(cluster), engines=Engines(), clock=SystemClock(), config=config, open_store=no_store
        ),
        meta={},
    )


async def word_of(cluster: PatroniCluster, **given: Any) -> PatroniWord:
    fleet = fleet_of(cluster)
    return await read_word(document_of(cluster, **given), fleet, fleet.cluster("shop"), SystemClock())


async def word_until(cluster: PatroniCluster, fits: Callable[[PatroniWord], bool], **given: Any) -> PatroniWord:
    async def ask() -> PatroniWord:
        return await word_of(cluster, **given)

    asking: Callable[[], Awaitable[PatroniWord]] = ask
    return await until(asking, fits)


def patroni_walker(cluster: PatroniCluster, store: Store, **settings: Any) -> Walker:
    """Runs rolling operations of such a cluster; ``settings``: of the section ``upgrade``."""
    fleet, document = fleet_of(cluster), document_of(cluster)
    ground = Ground.of(fleet, settings=settings)
    hand_over = PatroniHandOver(document, fleet, SystemClock())
    steward = PatroniSteward(document, fleet, SystemClock())
    return Walker(
        store=store,
        ground=Ground(
            upgrades=replace(ground.upgrades, steward_of=lambda _: steward),
            switchovers=replace(ground.switchovers, hand_over_of=lambda _: hand_over),
        ),
    )
