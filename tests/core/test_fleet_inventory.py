from pathlib import Path

import pytest

from dbre.core.config import ConfigInvalid, load
from dbre.core.errors import UsageError
from dbre.core.fleet import Address, EndpointPurpose, Fleet, Selector, TlsMode, UnknownCluster, UnknownInstance
from dbre.core.fleet_document import FLEET, build_fleet

PORTS = {"postgresql": 5432, "mysql": 3306, "redis": 6379}
FULL = """\
fleet:
  environments: [{name: prod, labels: {region: eu, tier: "9"}}]
  clusters:
    - name: orders
      environment: prod
      engine: postgresql
      labels: {tier: "0", team: checkout}
      user: dbre
      password: env:ORDERS_PASSWORD
      tls: verify-full
      tls_ca_file: ca.pem
      databases: ["shop", "with \\"quotes\\" & <b>markup</b>; é"]
      instances: [{name: orders-1, host: 10.0.0.1, port: 5433}, {name: orders-2, host: "2001:db8::1"}]
      endpoints: {write: ["vip.example:6432"], replica: ["[::1]", "/var/run/postgresql:5434"]}
    - {name: cache, environment: prod, engine: redis, instances: [{name: cache-1, host: localhost}]}
"""


def fleet_of(directory: Path, text: str) -> Fleet:
    path = directory / "dbre.yaml"
    path.write_text(text)
    return build_fleet(load([path], sections=[FLEET], environment={}, flags={}), default_ports=PORTS)


def problems_of(directory: Path, text: str) -> list[str]:
    with pytest.raises(ConfigInvalid) as caught:
        fleet_of(directory, text)
    return [str(problem).replace(f"{directory}/dbre.yaml:", "") for problem in caught.value.problems]


def test_the_fleet_is_built_with_defaults(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fleet = fleet_of(tmp_path, FULL)
    orders, cache = fleet.clusters
    assert [str(one.address) for one in orders.instances] == ["10.0.0.1:5433", "[2001:db8::1]:5432"]
    addresses = {one.purpose.value: [str(address) for address in one.addresses] for one in orders.endpoints}
    assert addresses == {
        "write": ["vip.example:6432"],
        "read": ["10.0.0.1:5433", "[2001:db8::1]:5432"],
        "replica": ["[::1]:5432", "/var/run/postgresql:5434"],
    }
    assert orders.labels == {
        "region": "eu", "tier": "0", "team": "checkout", "environment": "prod", "cluster": "orders", "engine": "postgresql",
    }  # fmt: skip
    assert (orders.tls, orders.tls_ca_file) == (TlsMode.VERIFY_FULL, str(tmp_path / "ca.pem"))
    assert orders.databases[1] == 'with "quotes" & <b>markup</b>; é'
    assert orders.password is not None
    monkeypatch.setenv("ORDERS_PASSWORD", "later")
    assert orders.password.reveal() == "later"
    assert [one.purpose for one in cache.endpoints] == [EndpointPurpose.WRITE, EndpointPurpose.READ]
    assert cache.instances[0].address == Address("localhost", 6379)
    assert (cache.password, cache.tls, cache.user) == (None, TlsMode.PREFER, None)


def test_lookups_find_or_say_what_was_meant(tmp_path: Path) -> None:
    fleet = fleet_of(tmp_path, FULL)
    assert fleet.cluster("orders").name == "orders"
    assert fleet.instance("orders-2").cluster == "orders"
    assert fleet.environments == ("prod",)
    assert [one.name for one in fleet.select(Selector.parse("region=eu,engine in (redis,mysql)"))] == ["cache"]
    assert fleet.select(Selector()) == fleet.clusters
    assert fleet.select(Selector.parse("colour=red")) == ()
    with pytest.raises(UnknownCluster, match="no cluster is named 'order'") as caught:
        fleet.cluster("order")
    assert (caught.value.hint, caught.value.exit_code) == ("did you mean orders?", 2)
    with pytest.raises(UnknownInstance, match=r"no instance is named 'a.*x1b\[2J'") as missing:
        fleet.instance("a\x1b[2J")
    assert missing.value.hint == "the instances are orders-1, orders-2, cache-1"
    with pytest.raises(UnknownCluster) as empty:
        Fleet().cluster("orders")
    assert (
        empty.value.hint
        == "the configuration has no clusters: name another file with --config, or add them under fleet: clusters:"
    )


def test_every_mistake_in_an_inventory_is_reported_with_its_place(tmp_path: Path) -> None:
    text = """\
fleet:
  environments: [{name: prod, labels: {engine: x}}, {name: prod}]
  clusters:
    - name: "orders\\n"
      environment: prd
      engine: postgresql
      labels: {tier: 0, cluster: x, "a b": c, ok: "a,b"}
      tls: verify
      tls_ca_file: ca.pem
      databases: ["sh\\u200bop", ""]
      instances: [{name: one, host: "10.0.0.1:55", port: 0}, {name: one, host: 10.0.0.2}, {name: "<b>", host: 10.0.0.2}]
      endpoints: {write: ["vip.example:543200", "a b"], raed: []}
    - {name: b, engine: x, environment: prod, instances: []}
    - {name: b, engine: x, environment: prod, instances: [{name: "two'", host: ""}]}
    - 5
"""
    name = "expected a name of 1 to 63 letters, digits and . _ - with a letter or digit at both ends"
    host = "expected a host name, an IP address or an absolute socket directory"
    address = "write host:port, [2001:db8::1]:port or /socket/directory:port"
    assert problems_of(tmp_path, text) == [
        "2:48: fleet.environments[0].labels.engine: this label is set by dbre (remove it)",
        "2:60: fleet.environments[1].name: environment prod is already in the fleet (each may stand there once)",
        f"4:13: fleet.clusters[0].name: {name}",
        "5:20: fleet.clusters[0].environment: no environment is named 'prd' (did you mean prod?)",
        "7:22: fleet.clusters[0].labels.tier: expected text, got a whole number (put it in quotes)",
        "7:34: fleet.clusters[0].labels.cluster: this label is set by dbre (remove it)",
        "7:44: fleet.clusters[0].labels.a b: expected a label of 1 to 63 small letters, digits and _ that begins with a letter",
        (
            "7:51: fleet.clusters[0].labels.ok: expected 1 to 128 letters, digits and . _ / @ : + - "
            "with a letter or digit at both ends"
        ),
        (
            "8:12: fleet.clusters[0].tls: expected one of disable, prefer, require, verify-ca, verify-full, got other text "
            "(did you mean verify-ca?)"
        ),
        (
            "9:20: fleet.clusters[0].tls_ca_file: servers are verified with tls: verify-ca or verify-full only "
            "(set tls, or remove tls_ca_file)"
        ),
        "10:19: fleet.clusters[0].databases[0]: control and invisible characters are not allowed in a name",
        "10:33: fleet.clusters[0].databases[1]: expected text of at least 1 characters, got other text",
        f"11:37: fleet.clusters[0].instances[0].host: {host}",
        "11:58: fleet.clusters[0].instances[0].port: expected a number of at least 1, got a whole number",
        "11:69: fleet.clusters[0].instances[1].name: instance one is already in the fleet (each may stand there once)",
        f"11:98: fleet.clusters[0].instances[2].name: {name}",
        (
            "11:111: fleet.clusters[0].instances[2].host: address 10.0.0.2 port postgresql is already in the fleet "
            "(each may stand there once)"
        ),
        f"12:27: fleet.clusters[0].endpoints.write[0]: port 543200 lies outside 1..65535 ({address})",
        f"12:49: fleet.clusters[0].endpoints.write[1]: 'a b' is not an address ({address})",
        "12:57: fleet.clusters[0].endpoints: unknown key 'raed' (did you mean read?)",
        "13:58: fleet.clusters[1].instances: expected a list of at least 1, got an empty list",
        "14:14: fleet.clusters[2].name: cluster b is already in the fleet (each may stand there once)",
        f"14:66: fleet.clusters[2].instances[0].name: {name}",
        "14:80: fleet.clusters[2].instances[0].host: expected text of at least 1 characters, got other text",
        "15:7: fleet.clusters[3]: expected keys with values, got a whole number",
    ]


def test_unknown_engines_are_reported_together(tmp_path: Path) -> None:
    text = "fleet: {clusters: [{name: a, engine: postgres, instances: [{name: a-1, host: a}]},\n"
    text += "{name: b, engine: oracle, instances: [{name: b-1, host: b}]}]}"
    assert problems_of(tmp_path, text) == [
        "1:30: fleet.clusters[0].engine: no engine is named 'postgres' (did you mean postgresql?)",
        "2:11: fleet.clusters[1].engine: no engine is named 'oracle' (the engines are mysql, postgresql, redis)",
    ]


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("db", Address("db", 5432)),
        ("db.example.:1", Address("db.example.", 1)),
        ("[fe80::1%eth0]:65535", Address("fe80::1%eth0", 65_535)),
        ("/run/a b/x:5433", Address("/run/a b/x", 5433)),
        ("/run/pg", Address("/run/pg", 5432)),
    ],
)
def test_addresses_read_back(text: str, address: Address) -> None:
    assert Address.parse(text, default_port=5432) == address
    assert Address.parse(str(address), default_port=1) == address


@pytest.mark.parametrize(
    "text", ["", ":5432", "a:b", "a:0", "a:65536", "::1", "[::1", "a b", "a\n", "-a", "a/b", "a:1:2", "[]:1", "a:٣"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        Address.parse(text, default_port=5432)
