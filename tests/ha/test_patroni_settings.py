"""``dbre ha settings``: what is predicted and found, on a real cluster and by the rules alone."""

import pytest
from ha_live import until
from patroni_kit import context, document_of
from pydantic import ValidationError

from dbre.capabilities.ha.patroni.cli import settings
from dbre.capabilities.ha.patroni.prediction import ClientTimes, predictions
from dbre.capabilities.ha.patroni.settings_findings import nearest_preset, settings_findings
from dbre.capabilities.ha.patroni.settings_reading import ServerSettings, lease_settings
from dbre.core.errors import ExitCode, UsageError
from dbre.core.view import View
from dbre.lab.patroni.cluster import PatroniCluster
from dbre.ports.lease_settings import PRESETS, LeaseSettings, SynchronousMode, wrong_settings

pytestmark = pytest.mark.timeout(300)  # the first one makes the cluster, which takes long on a busy machine

NOBODY = ClientTimes()


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_is_what_patroni_takes(name: str) -> None:
    assert list(wrong_settings(PRESETS[name])) == []


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"ttl": 19, "loop_wait": 1, "retry_timeout": 3}, "ttl is 19 s, and 20 s is the lowest"),
        ({"ttl": 20, "loop_wait": 0, "retry_timeout": 3}, "loop_wait is 0 s"),
        ({"ttl": 20, "loop_wait": 1, "retry_timeout": 2}, "retry_timeout is 2 s"),
        ({"ttl": 30, "loop_wait": 11, "retry_timeout": 10}, "loop_wait + 2 x retry_timeout is 31 s"),
    ],
    ids=["ttl", "loop_wait", "retry_timeout", "rule"],
)
def test_what_patroni_would_replace_in_silence_is_told(given: dict[str, int], words: str) -> None:
    (found,) = wrong_settings(LeaseSettings(**given))
    assert words in found


@pytest.mark.parametrize(
    ("settings", "fault", "least", "most"),
    [
        (PRESETS["lan-fast"], "crash of the database", 0, 3),
        (PRESETS["safe"], "crash of the database", 0, 322),
        (PRESETS["lan-fast"], "node loss, connections reset", 19, 23),
        (PRESETS["safe"], "node loss, connections reset", 20, 42),
        (PRESETS["wan"], "partition of the primary", 100, 142),
    ],
    ids=["crash fast", "crash safe", "node fast", "node safe", "partition wan"],
)
def test_outages_are_predicted_from_what_has_to_pass(settings: LeaseSettings, fault: str, least: float, most: float) -> None:
    found = {one.fault: one for one in predictions(settings, NOBODY)}[fault]
    assert (found.least_seconds, found.most_seconds) == (least, most)


def test_a_black_hole_lasts_until_clients_notice() -> None:
    def hole(clients: ClientTimes) -> float | None:
        return {one.fault: one for one in predictions(PRESETS["lan-fast"], clients)}["node loss, black hole"].most_seconds

    assert hole(ClientTimes()) is None
    assert hole(ClientTimes(tcp_user_timeout_seconds=3)) == 23
    assert hole(ClientTimes(tcp_user_timeout_seconds=30, connect_timeout_seconds=1, dead_hosts=2)) == 34


def test_a_lost_store_closes_the_primary_unless_it_is_failsafe() -> None:
    last = list(predictions(PRESETS["lan-fast"], NOBODY))[-1]
    assert (last.fault, last.least_seconds, last.most_seconds) == ("consensus store lost", 6, None)
    assert list(predictions(PRESETS["lan-fast"], NOBODY, is_failsafe=True))[-1].most_seconds == 0


def test_what_the_configuration_leaves_out_is_patronis_default() -> None:
    assert lease_settings({}) == PRESETS["safe"]
    strange = lease_settings({"ttl": "soon", "synchronous_mode": "quorum", "loop_wait": "5"})
    assert (strange.ttl, strange.loop_wait, strange.synchronous_mode) == (30, 5, SynchronousMode.QUORUM)
    assert nearest_preset(strange) == "safe"


def test_what_is_missing_on_servers_is_told_with_its_remedy() -> None:
    bare = ServerSettings(
        instance="db1",
        milliseconds={
            "wal_sender_timeout": 60_000,
            "wal_receiver_timeout": 0,
            "tcp_user_timeout": 0,
            "client_connection_check_interval": 0,
        },
        is_replica=True,
        upstream_timeout_ms=0,
    )
    config = {"failsafe_mode": True, "ttl": 20, "loop_wait": 1, "retry_timeout": 9}
    found = settings_findings("shop", "lan-fast", config, lease_settings(config), [bare])
    assert {one.rule for one in found} == {
        "ha.asynchronous",
        "ha.crash_waits",
        "ha.failsafe_margin",
        "ha.settings_differ",
        "ha.wal_sender_timeout",
        "ha.wal_receiver_timeout",
        "ha.tcp_user_timeout",
        "ha.client_connection_check_interval",
        "ha.upstream_waits",
    }
    assert all(one.fix for one in found)


async def test_the_lab_is_set_as_its_preset_says(patroni_cluster: PatroniCluster) -> None:
    leader = await patroni_cluster.wait_healthy()
    async with await leader.connect() as connection:
        found = await (await connection.execute("SELECT timeline_id FROM pg_control_checkpoint()")).fetchone()
    # A receiver that has seen a switchover no longer shows what it goes by: then it is not known.
    told = [5000, 5000] if found == (1,) else [None, 5000]

    def is_shown(view: View) -> bool:
        shown = [one["upstream_timeout_ms"] for one in view.items[0]["servers"] if one["is_replica"]]
        return len(shown) == 2 and set(shown) <= set(told)

    view = await until(lambda: settings(context(patroni_cluster), "shop", preset="lan-fast"), is_shown)
    assert view.exit_code == ExitCode.OK, view.text
    assert view.items[0]["findings"] == []
    assert "node loss, connections reset    19 to 23 s" in view.text


async def test_another_preset_is_compared_setting_by_setting(patroni_cluster: PatroniCluster) -> None:
    view = await settings(context(patroni_cluster, preset="wan"), "shop")
    (differ,) = (one for one in view.items[0]["findings"] if one["rule"] == "ha.settings_differ")
    assert "ttl is 20 and not 120" in differ["summary"]
    assert "-s loop_wait=20" in differ["fix"]


async def test_bad_input_is_one_clear_error(patroni_cluster: PatroniCluster) -> None:
    with pytest.raises(UsageError, match="'lan-fats' is not a preset") as wrong:
        await settings(context(patroni_cluster), "shop", preset="lan-fats")
    assert wrong.value.hint == "did you mean lan-fast?"
    with pytest.raises(ValidationError, match="a URL holds no password"):
        document_of(patroni_cluster, urls=["http://dbre:secret@127.0.0.1:8008"])
    with pytest.raises(ValidationError, match="the URL names no port"):
        document_of(patroni_cluster, urls=["http://127.0.0.1"])
    with pytest.raises(ValidationError, match="user and password go together"):
        document_of(patroni_cluster, password=None)
