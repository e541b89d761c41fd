"""Route 53, as moto's server answers for it: a batch of changes that deletes exactly what was."""

from collections.abc import Iterator

import boto3
import pytest
from moto.server import ThreadedMotoServer

from dbre.core.errors import Unreachable, UsageError
from dbre.core.fleet import Address
from dbre.core.secrets import Secret
from dbre.ports.route import RouteChanged, RouteState
from dbre.tools.dns.record import DnsRecord
from dbre.tools.route53.hosted_zone import HostedZone, NotAsBefore, RecordSet, ZoneAccess
from dbre.tools.route53.route import Route53Route

ONE, TWO = Address("192.0.2.1", 5432), Address("192.0.2.2", 5432)
NAME = "db.shop.example"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of moto's server, for this module alone."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def access(endpoint: str) -> ZoneAccess:
    """A hosted zone of its own with one A record."""
    client = boto3.client(
        "route53", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="id", aws_secret_access_key="secret"
    )
    zone = client.create_hosted_zone(Name="shop.example", CallerReference=str(len(client.list_hosted_zones()["HostedZones"])))
    identifier = zone["HostedZone"]["Id"].rpartition("/")[2]
    simple = {"Name": NAME, "Type": "A", "TTL": 300, "ResourceRecords": [{"Value": ONE.host}]}
    weighted = {**simple, "Name": "many.shop.example", "SetIdentifier": "x", "Weight": 1}
    client.change_resource_record_sets(
        HostedZoneId=identifier,
        ChangeBatch={"Changes": [{"Action": "UPSERT", "ResourceRecordSet": one} for one in (simple, weighted)]},
    )
    return ZoneAccess(zone_id=identifier, endpoint=endpoint, access_key=Secret("id"), secret_key=Secret("secret"))


def route_of(access: ZoneAccess, name: str = NAME) -> Route53Route:
    return Route53Route("r53", DnsRecord(name=name, port=5432, ttl=5), access)


async def test_a_record_is_swapped_verified_and_put_back(access: ZoneAccess) -> None:
    route = route_of(access)
    before = RouteState.from_document((await route.current()).as_document())
    assert (before.addresses, before.linger_seconds) == ((ONE,), 300.0)
    assert {one.name for one in await route.check(TWO) if not one.is_ok} == {"ttl"}
    assert await route.set_ttl(5) == 300
    assert all(one.is_ok for one in await route.check(TWO))
    await route.point_to(TWO, before=before)
    await route.point_to(TWO, before=before)
    found = await route.verify(TWO)
    assert {one.name: one.is_ok for one in found} == {"hosted_zone": True, "propagated": True}
    await route.undo(TWO, before=before)
    await route.undo(TWO, before=before)
    assert await route.current() == before


async def test_what_somebody_else_changed_is_left_alone(access: ZoneAccess) -> None:
    route, zone = route_of(access), HostedZone(access)
    before = await route.current()
    zone.swap(NAME, "A", old=zone.read(NAME, "A"), new=RecordSet(values=("192.0.2.9",), ttl=300))
    with pytest.raises(RouteChanged, match=r"is 192\.0\.2\.9, and not 192\.0\.2\.1"):
        await route.point_to(TWO, before=before)
    with pytest.raises(NotAsBefore):  # moto compares less than AWS: it only refuses to create what is there already
        zone.swap(NAME, "A", old=RecordSet(values=(ONE.host,), ttl=300), new=RecordSet(values=("192.0.2.9",), ttl=300))
    assert zone.read(NAME, "A").values == ("192.0.2.9",)


async def test_what_cannot_be_turned_is_told(access: ZoneAccess) -> None:
    with pytest.raises(UsageError, match="has no A record missing"):
        await route_of(access, "missing.shop.example").current()
    with pytest.raises(UsageError, match="has a routing policy"):
        await route_of(access, "many.shop.example").current()
    nowhere = ZoneAccess(zone_id="Z", endpoint="http://127.0.0.1:1", access_key=Secret("i"), secret_key=Secret("s"))
    with pytest.raises(Unreachable):
        await route_of(nowhere).current()
