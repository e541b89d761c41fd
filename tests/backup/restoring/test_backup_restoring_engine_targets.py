"""Targets that an engine does not have, and texts that name none, are refused before anything is restored."""

from dataclasses import replace
from pathlib import Path

import pytest
from restoring_kit import NOON, backup_set

from dbre.app import Engines
from dbre.capabilities.backup.documents import BackupDocument
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.log.places import spool_directory
from dbre.capabilities.backup.model import Catalog
from dbre.capabilities.backup.restoring.errors import NoSetForTarget
from dbre.capabilities.backup.restoring.request import Asked, plan_over
from dbre.core.clock import SystemClock
from dbre.core.errors import DbreError, Unsupported, UsageError
from dbre.core.fleet import Fleet
from dbre.core.programs.account import Account
from dbre.engines.postgres.backup.recovery_settings import target_settings
from dbre.ports.backup.model import Place, RecoveryTarget, TargetKind

NAME, XACT, PLACE = TargetKind.NAME, TargetKind.TRANSACTION, TargetKind.POSITION


def ground_in(directory: Path) -> BackupGround:
    async def find_signing_key() -> None:
        return None

    account = Account(name="nobody", uid=65534, gid=65534, switch=False)
    return BackupGround(
        fleet=Fleet(),
        engines=Engines(),
        clock=SystemClock(),
        store=None,
        settings=BackupDocument(),
        vaults=(),
        directory=directory,
        find_place=lambda: Place(account=account, cache=directory),
        find_signing_key=find_signing_key,
    )


def catalog_of(engine: str) -> Catalog:
    return Catalog(sets=(replace(backup_set("set-1", 0, 1), engine=engine),), logs=(), switches=())


@pytest.mark.parametrize(
    ("engine", "kind", "value", "expected", "words"),
    [
        ("mysql", NAME, "before", Unsupported, "no named restore points"),
        ("mysql", XACT, "742", UsageError, "no GTID"),
        ("mysql", XACT, "0-1-042", UsageError, "no GTID"),
        ("mysql", XACT, "4294967296-1-1", UsageError, "no GTID"),
        ("mysql", XACT, "3e11fa47-71ca-11e1-9e33-c80aa9429562:23", UsageError, "no GTID"),
        ("mysql", PLACE, "0/3000028", UsageError, "no place in a binary log"),
        ("redis", NAME, "before", Unsupported, "no named restore points"),
        ("redis", XACT, "742", Unsupported, "no numbers of transactions"),
        ("redis", PLACE, "binlog.000004:328", UsageError, "no place in an append-only file"),
        ("postgresql", XACT, "0-1-42", UsageError, "no id of a transaction"),
        ("postgresql", XACT, "2", UsageError, "no id of a transaction"),
        ("postgresql", XACT, "18446744073709551616", UsageError, "no id of a transaction"),
        ("postgresql", XACT, "\u0663\u0664\u0665", UsageError, "no id of a transaction"),
        ("postgresql", NAME, "x" * 64, UsageError, "no name of a restore point"),
        ("postgresql", PLACE, "garbage", UsageError, "garbage"),
    ],
)
def test_a_target_that_the_engine_does_not_know_is_refused_when_planning(
    tmp_path: Path, engine: str, kind: TargetKind, value: str, expected: type[DbreError], words: str
) -> None:
    asked = Asked(cluster="orders", target=RecoveryTarget(kind=kind, value=value))
    with pytest.raises(expected, match=words) as caught:
        plan_over(ground_in(tmp_path), catalog_of(engine), (), asked, SystemClock())
    assert caught.value.hint


@pytest.mark.parametrize(
    ("engine", "target"),
    [
        ("mysql", RecoveryTarget(kind=XACT, value="0-1-18446744073709551615")),
        ("mysql", RecoveryTarget(kind=PLACE, value="binlog.000004:328")),
        ("mysql", RecoveryTarget(kind=PLACE, value="31101-binlog.000004:328")),
        ("redis", RecoveryTarget(kind=PLACE, value="appendonly.aof.4.incr.aof:328")),
        ("redis", RecoveryTarget(kind=TargetKind.TIME, at=NOON)),
        ("postgresql", RecoveryTarget(kind=XACT, value="18446744073709551615")),
        ("postgresql", RecoveryTarget(kind=NAME, value="before the migration")),
    ],
    ids=["gtid", "binlog", "stored-binlog", "aof", "aof-time", "xid", "restore-point"],
)
def test_a_target_that_the_engine_knows_passes(tmp_path: Path, engine: str, target: RecoveryTarget) -> None:
    ground = ground_in(tmp_path)
    ground.engines.get(engine).backups(ground.place).require_target(target)


def test_a_file_that_leaves_the_spool_while_a_restore_is_planned_is_no_error(tmp_path: Path) -> None:
    """The keeper removes what it has stored at any time; a link to nothing is a file that was there a moment ago."""
    ground = ground_in(tmp_path)
    found = catalog_of("postgresql")
    spool = spool_directory(tmp_path, "orders", found.sets[0].system_id)
    spool.mkdir(parents=True)
    (spool / f"{1:024X}").symlink_to("nowhere")
    asked = Asked(cluster="orders", target=RecoveryTarget(kind=TargetKind.IMMEDIATE), set_id="set-1")
    with pytest.raises(NoSetForTarget, match="which is missing"):  # the set's own log, and not an error of the file system
        plan_over(ground, found, (), asked, SystemClock())


def test_the_number_of_a_transaction_is_never_read_as_octal() -> None:
    """PostgreSQL takes the settings' texts as C does: 010 is 8."""
    assert target_settings(RecoveryTarget(kind=XACT, value="010"), stays=True)["recovery_target_xid"] == "10"


@pytest.mark.parametrize("engine", ["mysql", "postgresql"])
def test_a_dump_has_its_own_moment_only(tmp_path: Path, engine: str) -> None:
    ground = ground_in(tmp_path)
    port = ground.engines.get(engine).dumps(ground.place)
    port.require_target(RecoveryTarget(kind=TargetKind.LATEST))
    with pytest.raises(Unsupported, match="no log goes with dumps"):
        port.require_target(RecoveryTarget(kind=TargetKind.TIME, at=NOON))
