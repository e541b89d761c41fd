"""A lab whose primary Sentinels choose: its configuration is whole, it is opened by others, and nothing of it is left."""

from pathlib import Path

import pytest

from dbre.core.errors import UsageError
from dbre.core.programs.errors import BinariesMissing
from dbre.lab import Guardian, Lab, LabEngine, LabSpec
from dbre.lab.processes import find_processes
from dbre.testing.fixtures import leave_out


@pytest.mark.parametrize("number", [2, 4, 9, -1], ids=str)
def test_a_number_of_sentinels_that_decides_nothing_is_refused(number: int) -> None:
    with pytest.raises(UsageError, match=f"{number} Sentinels are not possible"):
        LabSpec(engine=LabEngine.REDIS, sentinels=number)


def test_sentinels_are_for_redis() -> None:
    with pytest.raises(UsageError, match="the primary of redis only, not of mariadb"):
        LabSpec(engine=LabEngine.MARIADB, sentinels=3)


async def test_a_lab_with_sentinels_says_where_they_are_and_leaves_nothing(open_directory: Path) -> None:
    spec = LabSpec(name="watched", engine=LabEngine.REDIS, sentinels=3, durable=False)
    where = open_directory / "watched"
    try:
        lab = await Lab.create(spec, where, guardian=Guardian())
    except BinariesMissing as error:
        leave_out(error)
    assert len([one.pid for server in (*lab.servers, *lab.stores) for one in server.processes()]) == 5
    told = lab.config_file.read_text()
    again = Lab.open("watched", where)
    assert [one.name for one in again.stores] == [f"watched-sentinel-{number}" for number in (1, 2, 3)]
    for one in again.stores:
        assert str(one.address) in told
        assert "watched" in await again.sentinels[0].ask("SENTINEL MASTERS")
    assert again.sentinels[0].password.reveal() not in told
    await lab.down()
    assert not where.exists()
    assert not find_processes(where)
