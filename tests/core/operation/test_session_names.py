"""Who a session on a target says that it is."""

from pathlib import Path
from uuid import UUID

from desk_kit import ALICE, Office
from engine_kit import Bench, Diary, Scripted, plan
from hypothesis import given
from hypothesis import strategies as st

from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.plan import Plan
from dbre.core.operation.session_name import LONGEST_SESSION_NAME, planning_name, session_name
from dbre.core.store import Store

ID = UUID("0192f3c1-4f2e-7c3a-9d1b-5f6a7b8c9d0e")


@given(st.text(max_size=200), st.text(max_size=200))
def test_a_name_is_short_printable_ascii_and_keeps_the_id(kind: str, requested_by: str) -> None:
    for name in (session_name(kind, ID, requested_by), planning_name(kind, requested_by)):
        assert len(name.encode("ascii")) <= LONGEST_SESSION_NAME
        assert name.isprintable()
        assert name.startswith("dbre:")
    assert ":7b8c9d0e:" in session_name(kind, ID, requested_by)


def test_who_asked_is_there_however_long_the_kind_is() -> None:
    assert session_name("k" * 100, ID, "anna@example.com").endswith(":7b8c9d0e:anna@example.com")
    assert session_name("settings.apply", ID, "josé\n") == "dbre:settings.apply:7b8c9d0e:jos??"


async def test_steps_bear_the_end_of_the_id_and_who_asked(store: Store, tmp_path: Path) -> None:
    bench, names = Bench(store, Diary(tmp_path / "diary")), list[str]()

    async def note(context: StepContext) -> None:
        names.append(context.application_name)

    operation = Scripted(bench.diary, {"once:a": note})
    operation_id = await bench.submit(operation, plan("once:a"))
    assert await bench.runner(operation).run(operation_id) is not None
    assert names == [f"dbre:test.scripted:{str(operation_id)[-8:]}:alice"]


async def test_planning_bears_the_name_of_who_asks(store: Store) -> None:
    office, names = Office(store), list[str]()
    real = office.operation.plan

    async def look(context: PlanContext, asked: object) -> Plan:
        names.append(context.application_name)
        return await real(context, asked)

    office.operation.plan = look
    await office.desk(ALICE).preview("test.set", {"cluster": "orders"})
    assert names == ["dbre:plan:test.set:alice"]
