"""Proves an adapter on a real server: looks, makes a full backup, finds it, verifies it, and judges it usable.

DBRE_SQLSERVER_DSN='mssql://sa:...@localhost,1433/shop' pytest tests/backup/foreign/conformance
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conformance_servers import Server, servers

from dbre.capabilities.backup.second_opinion.forming import Seen, form_opinion
from dbre.core.errors import DbreError, Unsupported
from dbre.ports.backup.model import CopyKind, RecoveryTarget, TargetKind
from dbre.ports.backup.repository import ForeignRepository, ForeignSet, RepositoryFacts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]


@dataclass(frozen=True)
class Proved:
    repository: ForeignRepository
    before: RepositoryFacts
    made: ForeignSet
    after: RepositoryFacts


async def no_progress(done: int, total: int | None) -> None:
    assert done >= 0
    assert total is None or total >= done


@pytest.fixture(scope="module", params=list(servers()), ids=lambda one: one.name)
def server(request: pytest.FixtureRequest) -> Server:
    return request.param


@pytest.fixture(scope="module")
async def proved(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Proved:
    """One backup for all tests: real ones take a while."""
    repository = server.open(tmp_path_factory.mktemp(server.name))
    before = await repository.look()
    kind = CopyKind.LOGICAL if server.tool == "mongodb" else CopyKind.FULL
    made = await repository.backup(kind, no_progress)
    return Proved(repository, before, made, await repository.look())


async def test_a_backup_that_was_made_is_listed_once_with_what_it_was_made_as(proved: Proved) -> None:
    assert proved.made.label not in {one.label for one in proved.before.sets}
    (found,) = [one for one in proved.after.sets if one.label == proved.made.label]
    assert (found.start, found.stop, found.system_id) == (proved.made.start, proved.made.stop, proved.made.system_id)
    assert found.start is not None
    assert found.stop is not None
    assert found.start <= found.stop


async def test_labels_are_unique_and_moments_possible(proved: Proved) -> None:
    labels = [one.label for one in proved.after.sets]
    assert len(set(labels)) == len(labels)
    for one in proved.after.sets:
        assert one.started_at <= one.stopped_at <= datetime.now(UTC).replace(year=datetime.now(UTC).year + 1)
    assert abs((datetime.now(UTC) - proved.made.stopped_at).total_seconds()) < 3600, "is the server's time zone read right?"


async def test_a_backup_that_was_made_is_judged_usable(proved: Proved) -> None:
    seen = Seen(repository="r", cluster="c", engine=proved.repository.engine, is_proved=False, now=datetime.now(UTC))
    opinion = form_opinion(proved.after, seen)
    (mine,) = [one for one in opinion.sets if one.found.label == proved.made.label]
    assert mine.problem is None
    assert mine.reaches is not None


async def test_a_backup_that_was_made_verifies(proved: Proved, server: Server) -> None:
    verified = await proved.repository.verify(proved.made.label)
    if server.name == "pbm":
        assert [one.rule for one in verified.faults] == ["not_verified"]
    else:
        assert verified.faults == ()
        assert verified.files > 0


async def test_a_restore_gives_files_or_says_why_not(proved: Proved, tmp_path: Path) -> None:
    into = tmp_path / "restored"
    into.mkdir(mode=0o700)
    try:
        await proved.repository.restore(proved.made.label, into, target=RecoveryTarget(kind=TargetKind.LATEST))
    except Unsupported:
        return
    assert any(into.iterdir())


async def test_what_would_expire_is_only_told(proved: Proved) -> None:
    try:
        told = list(await proved.repository.expire(dry_run=True))
    except Unsupported:
        return
    assert proved.made.label not in told
    assert [one.label for one in (await proved.repository.look()).sets] == [one.label for one in proved.after.sets]


async def test_a_set_that_is_not_there_is_an_error(proved: Proved, server: Server) -> None:
    if server.name == "pbm":
        return  # it verifies none
    with pytest.raises(DbreError):
        await proved.repository.verify("no-such-set")
