"""Routes made of the configuration: what does not fit is told, and what an extra is missing for."""

import subprocess
import sys
from typing import Any

import pytest

from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.route.building import routes_of
from dbre.core.errors import UsageError
from dbre.core.fleet import Address, Cluster, Instance, TlsMode

DNS = {
    "record": "db.x.example", "zone": "x.example", "server": "127.0.0.1", "key_name": "k", "key": "env:NO_SUCH_KEY",
}  # fmt: skip
CLUSTER = Cluster(
    name="shop", environment="test", engine="postgresql",
    instances=(Instance(name="pg1", cluster="shop", address=Address("pg1", 5432)),),
    endpoints=(), databases=(), user=None, password=None, tls=TlsMode.DISABLE, tls_ca_file=None,
)  # fmt: skip


def document(*routes: dict[str, Any]) -> HaDocument:
    return HaDocument.model_validate({"clusters": [{"cluster": "shop", "routes": list(routes)}]})


def test_each_kind_is_made_without_asking_anybody() -> None:
    found = routes_of(
        document(
            {"name": "a", "pgbouncer": {"address": "h", "user": "u", "databases": ["d"]}},
            {"name": "b", "haproxy": {"address": "h:1", "backend": "x"}},
            {"name": "c", "dns": DNS},
            {"name": "d", "route53": {"record": "db.x.example", "zone_id": "Z1", "resolvers": ["9.9.9.9"]}},
            {"name": "e", "libpq": {"dsn": "env:NO_SUCH_DSN"}},
        ),
        CLUSTER,
    )
    assert [(one.name, one.kind, one.can_pause) for one in found] == [
        ("a", "pgbouncer", True), ("b", "haproxy", False), ("c", "dns", False), ("d", "route53", False), ("e", "libpq", False),
    ]  # fmt: skip
    assert routes_of(HaDocument(), CLUSTER) == ()


@pytest.mark.parametrize(
    ("routes", "message"),
    [
        ([{"name": "a"}], "and this has none"),
        ([{"name": "a", "dns": DNS, "libpq": {"dsn": "env:X"}}], "and this has dns and libpq"),
        ([{"name": "a", "libpq": {"dsn": "env:X"}}] * 2, "a is in the list twice"),
        ([{"name": "a", "libpq": {"dsn": "host=pg1 password=x"}}], "a secret is not written here"),
        ([{"name": "a", "haproxy": {"backend": "x"}}], "either socket or address"),
        ([{"name": "a", "route53": {"record": "r", "zone_id": "Z", "access_key": "env:X"}}], "go together"),
        ([{"name": "a", "dns": DNS | {"record": "a b"}}], "record"),
        ([{"name": "a", "pgbouncer": {"address": "h", "user": "u", "databases": []}}], "databases"),
    ],
    ids=["none", "two", "twice", "secret", "no-place", "half-login", "record", "no-database"],
)
def test_what_cannot_be_a_route_is_refused(routes: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        document(*routes)


def test_a_target_that_is_no_instance_is_told() -> None:
    with pytest.raises(UsageError, match="has no instance pg9") as refused:
        routes_of(document({"name": "c", "dns": DNS | {"targets": {"pg9": "x"}}}), CLUSTER)
    assert refused.value.hint == "did you mean pg1?"


@pytest.mark.parametrize(
    ("missing", "route", "extra"),
    [("dns", '{"dns": DNS}', "dbre[dns]"), ("boto3", '{"route53": {"record": "r", "zone_id": "Z1"}}', "dbre[route53]")],
    ids=["dns", "route53"],
)
def test_what_is_not_installed_is_named_with_its_extra(missing: str, route: str, extra: str) -> None:
    script = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        "from test_route_configuration import CLUSTER, DNS, document, routes_of\n"
        "from dbre.core.errors import Unsupported\n"
        f"try: routes_of(document({{'name': 'a'}} | {route}), CLUSTER)\n"
        "except Unsupported as error: print(error.message, error.hint)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, cwd=__file__.rpartition("/")[0]
    )
    assert done.returncode == 0, done.stderr
    assert extra in done.stdout
    assert f"needs the package {missing}" in done.stdout
