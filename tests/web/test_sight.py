"""Who may read a part of the fleet sees that part alone."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from dbre.core.config import load
from dbre.core.events import Event
from dbre.core.fleet_document import FLEET, build_fleet
from dbre.core.identity.model import Grant, Principal, PrincipalKind, Role
from dbre.core.selector import Selector
from dbre.web.sight import seen_clusters, seen_events, seen_statuses, sees_everything

PAGE = """
fleet:
  clusters:
    - {name: orders, environment: prod, engine: postgresql, instances: [{name: orders-1, host: 127.0.0.1}]}
    - {name: shop, environment: staging, engine: postgresql, instances: [{name: shop-1, host: 127.0.0.2}]}
"""


def viewer(**labels: str) -> Principal:
    return Principal(name="vic", kind=PrincipalKind.PERSON, grants=(Grant(role=Role.VIEWER, selector=Selector.of(labels)),))


@pytest.fixture
def wired(tmp_path: Any) -> Any:
    path = tmp_path / "dbre.yaml"
    path.write_text(PAGE)
    config = load([path], sections=[FLEET], environment={}, flags={})
    return SimpleNamespace(fleet=build_fleet(config, default_ports={"postgresql": 5432}))


def test_a_selector_limits_the_clusters_and_their_slos(wired: Any) -> None:
    limited = viewer(environment="staging")
    assert [one.name for one in seen_clusters(wired, limited)] == ["shop"]
    statuses: list[Any] = [SimpleNamespace(cluster="orders"), SimpleNamespace(cluster="shop")]
    assert seen_statuses(wired, limited, statuses) == statuses[1:]
    assert not sees_everything(wired, limited)
    assert sees_everything(wired, viewer())
    assert seen_clusters(wired, Principal(name="nobody", kind=PrincipalKind.PERSON)) == ()


@pytest.mark.parametrize(
    ("subject", "data", "is_seen"),
    [
        ("shop", {}, True),
        ("shop/write", {}, True),
        ("shop-1", {}, True),
        ("writes@shop", {}, True),
        ("writes@orders", {}, False),
        ("orders/write", {}, False),
        ("orders-1", {}, False),
        ("alert", {"cluster": "orders"}, False),
        ("operation/0192", {"target": "cluster/shop/instance/shop-1"}, True),
        ("operation/0192", {"target": "cluster/orders"}, False),
        ("shop", {"cluster": "orders"}, False),
        ("control-plane", {}, False),
    ],
)
def test_events_of_other_clusters_are_not_shown(wired: Any, subject: str, data: dict[str, Any], is_seen: bool) -> None:
    event = Event(id=uuid4(), sequence=1, kind="test.event", subject=subject, at=datetime.now(UTC), data=data)
    assert bool(seen_events(wired, viewer(environment="staging"), [event])) is is_seen
    assert seen_events(wired, viewer(), [event]) == [event]
