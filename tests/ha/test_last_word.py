"""What a primary told last measures a loss only while nothing was written after it that it did not tell."""

from datetime import UTC, datetime

import pytest
from ha_live import Engines

from dbre.capabilities.ha.detection.observer import Observer
from dbre.capabilities.ha.model import Node, Topology
from dbre.core.fleet import Address, Cluster, Fleet, Instance, TlsMode
from dbre.ports.session import Role
from dbre.ports.topology import Contact, LogPosition, NodeView
from dbre.testing.clock import FakeClock

N1 = Instance(name="n1", cluster="shop", address=Address("127.0.0.1", 1))
SHOP = Cluster(
    name="shop",
    environment="test",
    engine="postgresql",
    instances=(N1,),
    endpoints=(),
    databases=(),
    user="dbre",
    password=None,
    tls=TlsMode.DISABLE,
    tls_ca_file=None,
)
TOLD = NodeView(
    process_id="p",
    node_id=None,
    system_id="1",
    role=Role.PRIMARY,
    is_writable=True,
    may_have_peers=False,
    position=LogPosition(text="0/10", offset=16),
    measured_at=datetime(2026, 1, 1, tzinfo=UTC),
)


@pytest.mark.parametrize(
    ("contact", "seconds", "is_known"),
    [
        (Contact.EXHAUSTED, 60.0, False),
        (Contact.REFUSED, 60.0, False),
        (Contact.EXHAUSTED, 1.0, True),
        (Contact.STARTING, 60.0, True),
        (Contact.TIMEOUT, 60.0, True),
    ],
    ids=["full-for-long", "refuses-for-long", "full-for-a-moment", "starts", "is-silent"],
)
async def test_who_serves_others_and_tells_us_nothing_writes_on(
    monkeypatch: pytest.MonkeyPatch, contact: Contact, seconds: float, is_known: bool
) -> None:
    seen = Node(instance=N1, contact=Contact.ANSWERED, view=TOLD)

    async def discover(*_: object) -> Topology:
        return Topology(cluster="shop", engine="postgresql", nodes=(seen,), edges=(), outsiders=())

    monkeypatch.setattr("dbre.capabilities.ha.detection.observer.discover", discover)
    clock = FakeClock()
    async with Observer(Engines(), Fleet(clusters=(SHOP,)), SHOP, clock, name="a") as observer:
        assert (await observer.look()).primary_position == TOLD.position
        seen = Node(instance=N1, contact=contact, view=None)
        await clock.advance(seconds)
        report = await observer.look()
    assert report.primary == "n1"
    assert (report.primary_position is not None) is is_known
