"""The canary chain on real PostgreSQL: rows name the one before, hashes can be computed again, old rows go."""

import hashlib
from datetime import timedelta

import pytest
from integrity_kit import Place

from dbre.core.errors import DbreError


async def test_rows_name_the_one_before_and_their_hashes_can_be_computed(place: Place) -> None:
    canary = place.server.canary
    await canary.prepare()
    await canary.prepare()  # it is there already
    written = [await canary.write() for _ in range(3)]
    rows = [row for row, _ in written]
    assert [one.sequence for one in rows] == [1, 2, 3]
    assert rows[0].previous == "0" * 64
    assert [one.previous for one in rows[1:]] == [one.hash for one in rows[:-1]]
    assert all(hashlib.sha256(one.text()).hexdigest() == one.hash for one in rows)
    assert await canary.newest(2) == (rows[2], rows[1])
    positions = [where for _, where in written]
    assert all(where is not None and where.timeline == 1 for where in positions)
    assert [one.value for one in positions if one] == sorted(one.value for one in positions if one)


async def test_old_rows_go_and_the_newest_stays(place: Place) -> None:
    canary = place.server.canary
    await canary.prepare()
    for _ in range(3):
        await canary.write()
    assert await canary.prune(timedelta(hours=1)) == 0
    assert await canary.prune(timedelta(seconds=-60)) == 2
    assert [one.sequence for one in await canary.newest(10)] == [3]
    row, _ = await canary.write()
    assert row.sequence == 4


async def test_a_server_without_canary_has_no_rows_and_refuses_to_write(place: Place) -> None:
    assert await place.server.canary.newest(5) == ()
    with pytest.raises(DbreError, match="PostgreSQL at"):
        await place.server.canary.write()
