"""What others wrote into the table of reports: a report, or nothing; never the end of whoever listens."""

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from failover_kit import CLOCK
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from dbre.capabilities.ha.detection.report import NodeWord, Report
from dbre.capabilities.ha.detection.reports import Listener, write_report
from dbre.capabilities.ha.detection.tables import ha_report
from dbre.capabilities.ha.detection.weighing import Heard, Rules, weigh
from dbre.core.store import open_store
from dbre.ports.topology import Contact, LogPosition

RULES = Rules(observers=("a", "b"), confirm_seconds=1.0, stale_seconds=3.0)
POSITION = LogPosition(text="0-1-5", sequences={"0": 5})
GOOD = Report(
    cluster="shop",
    observer="a",
    marker="m",
    primary="n1",
    nodes={
        "n1": NodeWord(contact=Contact.TIMEOUT),
        "n2": NodeWord(contact=Contact.ANSWERED, upstream="n1", position=POSITION, timeline=1, gives_up_seconds=5.0),
    },
    unheard_seconds=2.0,
    primary_position=LogPosition(text="0/10", offset=16),
    synchronous=("n2",),
    synchronous_needed=1,
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def places(found: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place of a document but its root."""
    inner = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for key, value in inner:
        yield (*path, key)
        yield from places(value, (*path, key))


@given(path=st.sampled_from(list(places(GOOD.as_document()))), value=JSON)
def test_a_document_is_a_report_that_can_be_weighed_or_none(path: tuple[Any, ...], value: Any) -> None:
    document: Any = copy.deepcopy(GOOD.as_document())
    place = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    try:
        read = Report.from_document(document, cluster="shop", observer="a", marker="m")
    except (AttributeError, KeyError, TypeError, ValueError):
        return
    weighed = weigh([Heard(report=read, age_seconds=0.1)], RULES)
    assert not weighed.may_fail_over  # one of two
    assert read.as_document() == Report.from_document(read.as_document(), cluster="", observer="", marker="").as_document()


async def test_a_report_of_a_wrong_type_is_no_report_and_the_others_are_heard(tmp_path: Path) -> None:
    async with open_store(f"sqlite:///{tmp_path / 'state.db'}", clock=CLOCK, exclusive=True, migrate=True) as store:
        for name in ("a", "b"):
            await write_report(store, Report(cluster="shop", observer=name, marker="m", primary="n1", nodes={}), CLOCK)
        wrongs: tuple[object, ...] = ({**GOOD.as_document(), "unheard_seconds": "2"}, [], "text", {"nodes": []})
        for wrong in wrongs:

            async def write(connection: AsyncConnection, wrong: object = wrong) -> None:
                await connection.execute(update(ha_report).where(ha_report.c.observer == "a").values(document=wrong))

            await store.grouped(write)
            assert [one.report.observer for one in await Listener(store, "shop", CLOCK).hear()] == ["b"]
