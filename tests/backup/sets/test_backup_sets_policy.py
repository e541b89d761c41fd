"""Which copy is due, what is not as a policy wants it, and what begins by the calendar; each with its reason."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from pydantic import ValidationError
from sets_kit import CLUSTER, START, SYSTEM, backup_set, position, set_id

from dbre.capabilities.backup.documents import BACKUP, BackupDocument, PolicyDocument, VaultDocument
from dbre.capabilities.backup.model import BackupSet, Catalog, RecoveryGap, SetState, TimelineSwitch
from dbre.capabilities.backup.operations.drill_backup import DrillBackup
from dbre.capabilities.backup.operations.expire_backups import ExpireBackups
from dbre.capabilities.backup.operations.take_backup import TakeBackup
from dbre.capabilities.backup.policy.chain import NoSuchCopy, chain_of, choose
from dbre.capabilities.backup.policy.checks import Examined, examine_cluster
from dbre.capabilities.backup.policy.schedules import schedules_of
from dbre.capabilities.backup.taking.anomaly import anomalies
from dbre.core.fleet import Cluster, Fleet, TlsMode
from dbre.ports.backup.model import ChecksumState, CopyKind, SourceSurvey

KINDS = (CopyKind.FULL, CopyKind.INCREMENTAL, CopyKind.DIFFERENTIAL)
POLICY = PolicyDocument.model_validate({"name": "daily", "vaults": ["near"]})
RECIPIENTS = ["age1" + letter * 58 for letter in "qp"]


def survey(**changes: Any) -> SourceSurvey:
    values: dict[str, Any] = {
        "product": "postgresql",
        "version": (18, 4),
        "version_text": "18.4",
        "system_id": SYSTEM,
        "timeline": 1,
        "position": position(2**40),
        "server_time": START,
        "is_replica": False,
        "data_bytes": 1000,
        "has_checksums": True,
        "can_increment": True,
        "why_no_increment": None,
        "segment_bytes": 2**24,
    }
    return SourceSurvey(**(values | changes))


def chain(*sizes: int) -> tuple[BackupSet, ...]:
    """A full set and its increments."""
    return tuple(
        backup_set(
            number,
            bytes_source=size,
            kind=CopyKind.FULL if number == 0 else CopyKind.INCREMENTAL,
            parent_id=None if number == 0 else set_id(number - 1),
        )
        for number, size in enumerate(sizes)
    )


def catalog(*sets: BackupSet, switches: tuple[TimelineSwitch, ...] = (), gaps: tuple[RecoveryGap, ...] = ()) -> Catalog:
    return Catalog(sets=sets, logs=(), switches=switches, gaps=gaps)


def test_an_increment_stands_on_the_newest_set_where_nothing_speaks_against_it() -> None:
    found = choose(None, KINDS, catalog(*chain(1000, 10, 10)), POLICY, survey())
    assert (found.kind, found.parent) == (CopyKind.INCREMENTAL, chain(1000, 10, 10)[2])
    assert found.reason == f"increment 3 of at most 7 on full set {set_id(0)}"


@pytest.mark.parametrize(
    ("sets", "source", "words"),
    [
        ((), {}, "there is no sealed set yet"),
        ((backup_set(0, state=SetState.VERIFIED),), {}, "there is no sealed set yet"),
        ((backup_set(0, provider="dump"),), {}, "there is no sealed set yet"),
        (chain(1000), {"can_increment": False, "why_no_increment": "summarize_wal is off"}, "summarize_wal is off"),
        (chain(1000), {"system_id": "7"}, "the server is another one now: system 7"),
        ((backup_set(1, kind=CopyKind.INCREMENTAL, parent_id=set_id(0)),), {}, "is not complete"),
        (
            (backup_set(0, state=SetState.TOMBSTONED), *chain(1000, 10)[1:]),
            {},
            "is not complete",
        ),
        (chain(1000), {"increments_from": position(2**39)}, "the server no longer knows what changed since"),
        (chain(1000), {"timeline": 2}, "does not lie on the history of timeline 2"),
        (chain(1000), {"has_checksums": False}, "page checksums were switched off"),
        ((backup_set(0, checksums=ChecksumState.OFF),), {}, "page checksums were switched on"),
        ((backup_set(0, checksums=ChecksumState.BAD),), {}, "has damaged pages"),
        (chain(1000), {"version": (19, 0), "version_text": "19.0"}, "is of version 18.4, and the server runs 19.0"),
        ((backup_set(0, vaults=("far",)),), {}, "vault near does not have the whole chain"),
        (chain(1000, *[1] * 7), {}, "the chain has 7 increments; longest_chain is 7"),
        (chain(1000, 300, 201), {}, "501 B, 50 % of their full set; largest_chain_ratio is 50 %"),
    ],
    ids=[
        "no-set", "not-sealed", "other-provider", "server-cannot", "other-system", "lost-parent", "marked-parent",
        "forgotten", "other-timeline", "checksums-off", "checksums-on", "damaged", "upgraded", "vault-added", "long", "large",
    ],
)  # fmt: skip
def test_a_full_copy_is_taken_where_an_increment_could_not_be_relied_on(
    sets: tuple[BackupSet, ...], source: dict[str, Any], words: str
) -> None:
    found = choose(None, KINDS, catalog(*sets), POLICY, survey(**source))
    assert (found.kind, found.parent) == (CopyKind.FULL, None)
    assert words in found.reason
    with pytest.raises(NoSuchCopy, match="no incremental copy can be made"):
        choose(CopyKind.INCREMENTAL, KINDS, catalog(*sets), POLICY, survey(**source))


def test_an_increment_goes_on_after_a_promotion_but_not_from_beyond_it() -> None:
    stop = backup_set(0).stop
    assert stop is not None
    beyond = TimelineSwitch(system_id=SYSTEM, timeline=2, parent=1, at=stop.value - 1)
    on_it = replace(beyond, at=stop.value)
    assert choose(None, KINDS, catalog(*chain(1000), switches=(on_it,)), POLICY, survey(timeline=2)).parent is not None
    assert choose(None, KINDS, catalog(*chain(1000), switches=(beyond,)), POLICY, survey(timeline=2)).parent is None


def test_a_forecast_near_the_objective_asks_for_a_full_copy() -> None:
    found = choose(None, KINDS, catalog(*chain(1000, 10)), POLICY, survey(), forecast_seconds=2900.0)
    assert found.kind is CopyKind.FULL
    assert found.reason == "a restore of the chain is forecast to take 48m 20s, more than 80 % of the objective of 1h"
    assert choose(None, KINDS, catalog(*chain(1000, 10)), POLICY, survey(), forecast_seconds=2800.0).parent is not None


def test_engines_without_increments_are_copied_as_they_can_be() -> None:
    assert choose(None, (CopyKind.SNAPSHOT,), catalog(), POLICY, survey()).kind is CopyKind.SNAPSHOT
    with pytest.raises(NoSuchCopy, match="is not copied as full"):
        choose(CopyKind.FULL, (CopyKind.LOGICAL,), catalog(), POLICY, survey())
    found = choose(CopyKind.DIFFERENTIAL, KINDS, catalog(*chain(1000, 10)), POLICY, survey())
    assert (found.kind, found.parent) == (CopyKind.DIFFERENTIAL, chain(1000, 10)[0])


def test_a_chain_that_goes_round_in_a_circle_ends() -> None:
    one = backup_set(1, kind=CopyKind.INCREMENTAL, parent_id=set_id(2))
    other = backup_set(2, kind=CopyKind.INCREMENTAL, parent_id=set_id(1))
    assert chain_of(catalog(one, other), one) == (other, one)


# --- findings


def vault(name: str = "near", **changes: Any) -> VaultDocument:
    return VaultDocument.model_validate(
        {"name": name, "kind": "filesystem", "path": "/srv", "recipients": RECIPIENTS, **changes}
    )


def look(*sets: BackupSet, now: datetime = START + timedelta(days=1, hours=3), **changes: Any) -> list[str]:
    policy = PolicyDocument.model_validate({"name": "daily", "vaults": ["near"], **changes.pop("policy", {})})
    examined = Examined(
        cluster=CLUSTER,
        policy=policy,
        catalog=catalog(*sets, gaps=changes.pop("gaps", ()), switches=changes.pop("switches", ())),
        vaults=changes.pop("vaults", (vault(),)),
        now=now,
        **changes,
    )
    return [f"{one.rule}: {one.summary}" for one in examine_cluster(examined)]


PROVEN = backup_set(1, proven_at=START + timedelta(days=1))


def test_nothing_is_found_where_everything_is_as_it_should_be() -> None:
    policy = {"full_cron": "0 2 * * *", "daily_verified_offsite": True}
    assert look(PROVEN, policy=policy, vaults=(vault(is_offsite=True),)) == []


def test_each_thing_that_is_wrong_is_found_with_its_numbers() -> None:
    assert look() == ["backup.never: there is no sealed set: nothing of it can be restored"]
    late = START + timedelta(days=2, hours=3)
    assert look(PROVEN, policy={"full_cron": "0 2 * * *"}, now=late) == [
        "backup.overdue_full: the newest full set is 1d 3h old; one was due at 2026-11-23 02:00Z, 3h ago"
    ]
    assert look(PROVEN, policy={"incremental_cron": "0 */2 * * *"}, now=START + timedelta(days=1, hours=5))[0].startswith(
        "backup.overdue: the newest set is 5h old"
    )
    assert look(PROVEN, policy={"vaults": ["attic"]})[0].startswith("backup.unknown_vault: policy daily names vault attic")
    assert look(backup_set(1)) == ["backup.unproven: no drill ever restored a set of it"]
    assert look(PROVEN, now=START + timedelta(days=10)) == ["backup.unproven: the newest proof is 9d old; proof_age is 8d"]
    assert look(PROVEN, restore_seconds=4000.0) == [
        "backup.forecast: a restore is forecast to take at least 1h 6m; the objective is 1h"
    ]
    assert look(replace(PROVEN, checksums=ChecksumState.BAD))[0].startswith("backup.damaged_pages")
    assert look(replace(PROVEN, details={"anomalies": ["it reads 9 GB"]})) == [
        f"backup.size_jump: set {PROVEN.id}: it reads 9 GB"
    ]


def test_a_daily_set_away_from_the_site_is_asked_for() -> None:
    wanted = {"daily_verified_offsite": True}
    assert look(PROVEN, policy=wanted) == [
        "backup.not_offsite: daily_verified_offsite is wanted, and none of the vaults near is off-site"
    ]
    two = (vault(), vault("far", is_offsite=True))
    assert look(PROVEN, policy={**wanted, "vaults": ["near", "far"]}, vaults=two) == [
        "backup.not_daily_offsite: a verified set a day is wanted off-site (far), and there is none at all"
    ]


def test_a_promotion_that_no_full_copy_followed_is_told() -> None:
    assert PROVEN.stop is not None
    switches = (TimelineSwitch(system_id=SYSTEM, timeline=2, parent=1, at=PROVEN.stop.value + 8),)
    found = look(PROVEN, switches=switches)
    words = "it goes on along timeline 2, and every full set lies on an earlier one: it was promoted since"
    assert found == [f"backup.no_full_since_promotion: {words}"]
    later = {"started_at": PROVEN.started_at + timedelta(hours=1), "start": position(2**40, 2), "stop": position(2**40 + 8, 2)}
    increment = backup_set(2, kind=CopyKind.INCREMENTAL, parent_id=PROVEN.id, bytes_source=1, **later)
    assert look(PROVEN, increment, switches=switches) == found, "an increment stands on the old timeline"
    assert look(PROVEN, backup_set(2, state=SetState.RUNNING, **later), switches=switches) == [], "it is being made"
    assert look(PROVEN, backup_set(2, **later), switches=switches) == []
    dump = replace(PROVEN, provider="dump", start=None, stop=None)
    assert look(dump, switches=switches) == [], "a dump has no timeline"


def test_failed_attempts_count_until_one_succeeds() -> None:
    failed = [backup_set(number, state=SetState.FAILED, operation_id=UUID(int=number)) for number in (2, 3)]
    found = look(PROVEN, *failed, now=START + timedelta(days=3, hours=1))
    assert found == ["backup.failed: the last 2 attempts to copy it failed, the newest at 2026-11-24 02:00Z"]
    assert look(PROVEN, *failed, backup_set(4), now=START + timedelta(days=4, hours=1)) == []


def test_chains_and_gaps_are_told() -> None:
    policy = {"longest_chain": 1}
    sets = [replace(one, proven_at=START + timedelta(days=1)) for one in chain(1000, 1, 1)]
    assert look(*sets, policy=policy) == ["backup.long_chain: the newest chain has 2 increments; longest_chain is 1"]
    large = [replace(one, proven_at=START + timedelta(days=1)) for one in chain(1000, 600)]
    assert look(*large) == [
        "backup.large_chain: the increments of the newest chain hold 600 B, 60 % of their full set; largest_chain_ratio is 50 %"
    ]
    assert look(*sets[1:]) == [f"backup.broken_chain: set {set_id(2)} stands on a set that is not there any more"]
    gap = RecoveryGap(
        id=UUID(int=1),
        cluster=CLUSTER,
        system_id=SYSTEM,
        timeline=1,
        start=1,
        end=None,
        began_at=START,
        ended_at=None,
        reason="the slot\nwas dropped",
        remedy="dbre backup take orders",
    )
    (found,) = look(PROVEN, gaps=(gap, replace(gap, ended_at=START)))
    assert found == "backup.gap: log is missing on timeline 1 since 2026-11-21 02:00Z: the slot\\nwas dropped"


# --- anomalies


def test_a_jump_in_size_is_strange_only_beside_enough_sets_of_its_kind() -> None:
    gigabyte = 10**9
    usual = [backup_set(number, bytes_source=gigabyte, bytes_stored=gigabyte // 3) for number in range(3)]
    assert anomalies(backup_set(9, bytes_source=2 * gigabyte, bytes_stored=gigabyte // 3), usual) == ()
    assert anomalies(backup_set(9, bytes_source=4 * gigabyte, bytes_stored=gigabyte // 3), usual[:1]) == ()
    (told,) = anomalies(backup_set(9, bytes_source=4 * gigabyte, bytes_stored=gigabyte // 3), usual)
    assert told == "it reads 3.7 GiB, and the 3 full sets before it have a median of 953.7 MiB"
    (told,) = anomalies(backup_set(9, bytes_source=gigabyte, bytes_stored=gigabyte * 98 // 100), usual)
    assert told.startswith("it compresses to 98 % of its size, and the 3 sets before it to 33 %")
    small = [backup_set(number, bytes_source=1000) for number in range(3)]
    assert anomalies(backup_set(9, bytes_source=90_000), small) == ()


# --- calendars


def cluster(name: str, **labels: str) -> Cluster:
    return Cluster(
        name=name,
        environment="prod",
        engine="postgresql",
        instances=(),
        endpoints=(),
        databases=(),
        user=None,
        password=None,
        tls=TlsMode.PREFER,
        tls_ca_file=None,
        labels={"cluster": name, **labels},
    )


def test_the_first_policy_that_selects_a_cluster_gives_its_schedules() -> None:
    calendar = {"full_cron": "0 2 * * sun", "incremental_cron": "0 2 * * mon-sat", "time_zone": "Europe/Madrid"}
    settings = BackupDocument.model_validate(
        {
            "policies": [
                {"name": "vip", "vaults": ["near"], "selector": {"tier": "1"}, "drill": {"cron": "0 5 * * *"}, **calendar},
                {"name": "rest", "vaults": ["near"], "retention": {"cron": None}, "full_cron": "@daily"},
            ]
        }
    )
    long = "c" * 63
    found = {one.name: one for one in schedules_of(settings, Fleet(clusters=(cluster("a", tier="1"), cluster(long))))}
    assert [one for one in found if one.startswith("backup-a-")] == [
        "backup-a-full", "backup-a-incremental", "backup-a-expire", "backup-a-drill",
    ]  # fmt: skip
    assert found["backup-a-full"].input == {"cluster": "a", "kind": "full"}
    assert found["backup-a-incremental"].input == {"cluster": "a", "kind": "auto"}
    assert found["backup-a-full"].cron.after(datetime(2026, 11, 21, tzinfo=UTC)) == datetime(2026, 11, 22, 1, tzinfo=UTC)
    assert found["backup-a-drill"].cron.zone.key == "UTC"
    (other,) = [one for one in found.values() if not one.name.startswith("backup-a-")]
    assert other.kind == "backup.take"
    assert len(other.name) == 63
    assert all(len(one) <= 63 for one in found)


def test_what_no_scheduler_could_read_is_told_when_the_file_is_read() -> None:
    policy = {
        "name": "daily",
        "vaults": ["near"],
        "full_cron": "99 2 * * *",
        "time_zone": "Mars/Olympus",
        "retention": {"cron": "soon"},
        "drill": {"cron": "0 2 * * funday"},
    }
    assert BACKUP.faults is not None
    found = list(BACKUP.faults({"policies": [policy, "nonsense", {"name": 7}]}))
    assert [(one.path[2:], one.message) for one in found] == [
        (("time_zone",), "'Mars/Olympus' is not a time zone"),
        (("full_cron",), "the minute cannot be '99'"),
        (("drill", "cron"), "the day of week cannot be 'funday'"),
        (("retention", "cron"), "1 fields in 'soon', 5 are needed"),
    ]
    with pytest.raises(ValidationError):
        BackupDocument.model_validate({"policies": [{"name": "x", "vaults": []}]})


@pytest.mark.parametrize("target", ["random", "latest", "restore_point"])
def test_every_schedule_is_an_operation_that_takes_its_input(target: str) -> None:
    policy = {"name": "all", "vaults": ["near"], "full_cron": "@daily", "incremental_cron": "@hourly"}
    settings = BackupDocument.model_validate({"policies": [{**policy, "drill": {"cron": "@weekly", "target": target}}]})
    found = schedules_of(settings, Fleet(clusters=(cluster("a"),)))
    documents: dict[str, Any] = {one.kind: one.document for one in (TakeBackup, ExpireBackups, DrillBackup)}
    assert {one.kind for one in found} == set(documents)
    for one in found:
        documents[one.kind].model_validate(dict(one.input))
