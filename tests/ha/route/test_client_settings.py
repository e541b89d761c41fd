"""Connection strings read without connecting, and what they mean for a change of primary."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbre.capabilities.ha.client_settings.application_rules import application_findings
from dbre.capabilities.ha.client_settings.setting_rules import Surroundings, setting_findings
from dbre.capabilities.ha.route.config_document import ClientDocument
from dbre.core.errors import UsageError
from dbre.core.fleet import Address
from dbre.core.secrets import Secret
from dbre.tools.libpq.connection_string import parse
from dbre.tools.libpq.outage import client_outage
from dbre.tools.libpq.route import LibpqRoute

PG1, PG2, POOL = Address("pg1", 5432), Address("pg2", 5433), Address("pool", 6432)
AROUND = Surroundings(
    instances={PG1: "shop-1", PG2: "shop-2"}, fronts={POOL: "pool"}, names={"db.shop.example": "dns"}, rto_seconds=10.0
)
GOOD = "postgresql://app:s3cret@pg1,pg2:5433/shop?target_session_attrs=read-write&tcp_user_timeout=3000&connect_timeout=2"


def rules(text: str) -> set[str]:
    return {one.rule.removeprefix("clients.") for one in setting_findings("app", parse(text), AROUND)}


@pytest.mark.parametrize(
    ("text", "hosts"),
    [
        (GOOD, (PG1, PG2)),
        ("host=pg1,pg2 port=5432,5433 user=app password='it''s'", None),
        (r"host=pg1,pg2 port=5432,5433 password='it\'s a \\ secret' dbname=shop", (PG1, PG2)),
        ("postgres://[2001:db8::1]:5433,pg1/shop", (Address("2001:db8::1", 5433), PG1)),
        ("postgresql:///shop?host=/var/run/postgresql&port=5433", (Address("/var/run/postgresql", 5433),)),
        ("jdbc:postgresql://pg1:5432,pg2:5433/shop?targetServerType=primary", (PG1, PG2)),
        ("dbname=shop", ()),
        ("postgresql://u%40x:p%3A@pg1:/shop", (PG1,)),
    ],
    ids=["uri", "bad-quote", "key-value", "ipv6", "socket", "jdbc", "no-host", "percent"],
)
def test_hosts_are_read_as_libpq_reads_them(text: str, hosts: tuple[Address, ...] | None) -> None:
    if hosts is None:
        with pytest.raises(UsageError, match="not a connection string"):
            parse(text)
    else:
        assert parse(text).hosts == hosts


@pytest.mark.parametrize(
    "text",
    [
        GOOD,
        "host=pg1 password=s3cret sslpassword=s3cret",
        "postgresql://pg1/shop?password=s3cret",
        "jdbc:postgresql://pg1/shop?user=a&password=s3cret",
    ],
    ids=["uri", "key-value", "option", "jdbc"],
)
def test_what_is_read_holds_no_password(text: str) -> None:
    assert "s3cret" not in repr(parse(text))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s3cret",
        "mysql://a:s3cret@h/d",
        "host=a,b port=1,2,3 password=s3cret",
        "postgresql://a:s3cret@h:99999/d",
        "a\nb=s3cret",
    ],
    ids=["empty", "word", "scheme", "ports", "port", "newline"],
)
def test_what_is_refused_is_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse(text)
    assert "s3cret" not in f"{refused.value.message} {refused.value.hint} {refused.value.context}"


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        parse(text)
    except UsageError:
        return


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (GOOD, set()),
        ("host=pg1 port=5432", {"single_host", "no_user_timeout", "slow_connect"}),
        ("host=pool port=6432 tcp_user_timeout=3000 connect_timeout=2", set()),
        ("host=db.shop.example tcp_user_timeout=3000 connect_timeout=2", set()),
        ("host=elsewhere tcp_user_timeout=60000 connect_timeout=30", {"unknown_host", "slow_user_timeout", "slow_connect"}),
        ("host=pg1,pg3 tcp_user_timeout=3000 connect_timeout=2", {"missing_instance", "no_target_session_attrs"}),
        (GOOD.replace("tcp_user_timeout=3000", "keepalives_idle=1&keepalives_interval=1"), {"no_user_timeout"}),
        (GOOD + "&keepalives=0", {"no_keepalives"}),
        ("dbname=shop", {"no_host"}),
        (
            "jdbc:postgresql://pg1:5432,pg2:5433/shop?targetServerType=primary&socketTimeout=5&connectTimeout=2&tcpKeepAlive=true",
            set(),
        ),
        ("jdbc:postgresql://pg1:5432,pg2:5433/shop", {"no_target_session_attrs", "no_user_timeout", "no_keepalives"}),
    ],
    ids=["good", "alone", "pool", "name", "slow", "list", "keepalives-only", "no-keepalives", "no-host", "jdbc", "jdbc-bare"],
)
def test_settings_are_judged_by_what_they_cost(text: str, found: set[str]) -> None:
    assert rules(text) - ({"no_user_timeout", "slow_connect"} if found == {"no_host"} else set()) == found


def test_the_prediction_is_that_of_the_kernel_unless_the_client_says_otherwise() -> None:
    bare = client_outage(parse("host=pg1,pg2"))
    assert (bare.reset, bare.black_hole) == (0.0, 924.6 + 127.0)
    fast = client_outage(parse("host=pg1,pg2 tcp_user_timeout=1500 connect_timeout=1"))
    assert fast.black_hole == 1.5 + 2.0  # libpq waits two seconds at least
    kept = client_outage(parse("host=pg1 keepalives_idle=1 keepalives_interval=1 keepalives_count=3"))
    assert (kept.black_hole, kept.black_hole_idle) == (924.6, 4.0)


def test_what_the_configuration_says_of_an_application_is_judged() -> None:
    def found(**given: object) -> set[str]:
        client = ClientDocument.model_validate({"name": "app", **given})
        return {one.rule.removeprefix("clients.") for one in application_findings(client, ttl_seconds=5.0)}

    assert found(retries=True, pool_pre_ping=True, pool_max_lifetime="30m", dns_cache="5s") == set()
    assert found() == {"retries_unknown", "dns_cache_unknown"}
    bad = found(retries=False, pool_pre_ping=False, pool_max_lifetime="2h", dns_cache="forever")
    assert bad == {"no_retries", "no_pre_ping", "long_lifetime", "dns_cache"}


async def test_a_list_of_hosts_is_a_route_that_needs_nothing_and_is_checked() -> None:
    route = LibpqRoute("apps", Secret(GOOD))
    state = await route.current()
    assert state.addresses == (PG1, PG2)
    assert "s3cret" not in state.value
    assert all(one.is_ok for one in await route.check(PG2))
    bare = LibpqRoute("apps", Secret("host=pg1"))
    assert [one.name for one in await bare.check(PG2) if not one.is_ok] == ["hosts", "target_session_attrs"]
