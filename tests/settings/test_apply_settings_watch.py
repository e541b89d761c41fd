"""The watch of ``settings.apply``: an objective is looked at each second, and its suffering ends the operation."""

import asyncio
from collections.abc import Callable

import pytest
from settings_kit import Engines, context_of, fleet_of

from dbre.capabilities.settings.documents import ApplySettingsInput, watch_seconds
from dbre.capabilities.settings.operations.apply_settings import ApplySettings
from dbre.capabilities.settings.slo_guard import SloBurning, SloReading, judge
from dbre.core.errors import PrecheckFailed, Unreachable, UsageError
from dbre.core.operation.context import PlanContext
from dbre.core.operation.plan import Plan, Step
from dbre.testing.clock import FakeClock

CALM = SloReading(burn_rate=0.2, is_paging=False)
UNKNOWN = SloReading(burn_rate=None, is_paging=None)


def watching(read: Callable[[int], SloReading]) -> tuple[ApplySettings, list[tuple[str, str]]]:
    """The operation, with an objective that reads so at each look, from 0."""
    looks: list[tuple[str, str]] = []

    async def slo(name: str, cluster: str) -> SloReading:
        looks.append((name, cluster))
        return read(len(looks) - 1)

    return ApplySettings(fleet=fleet_of("postgresql", {}, user="x", password="x"), engines=Engines(), slo=slo), looks


def plan(*, burn: float | None = None, seconds: float = 10.0) -> Plan:
    step = Step("watch", input={"slo": "writes", "cluster": "orders", "burn": burn, "seconds": seconds})
    return Plan(target="cluster/orders", summary="", steps=(step,))


async def test_a_calm_watch_ends_after_its_time_and_stops_at_every_look() -> None:
    operation, looks = watching(lambda _: CALM)
    clock = FakeClock()
    context = context_of(plan(), "watch", clock=clock)
    task = asyncio.create_task(operation.watch.work(operation, context))
    await clock.advance(9.5)
    assert not task.done()
    await clock.advance(1)
    assert await task == {"slo": "writes", "seconds": 10.0, "worst_burn_rate": 0.2}
    assert set(looks) == {("writes", "orders")}
    assert (len(looks), context.checkpoints, context.seen[-1]) == (11, 11, (10.0, 10.0, "seconds"))


async def test_a_watch_can_be_made_shorter_and_longer_while_it_runs() -> None:
    operation, _ = watching(lambda _: CALM)
    clock = FakeClock()
    context = context_of(plan(seconds=600.0), "watch", clock=clock)
    task = asyncio.create_task(operation.watch.work(operation, context))
    await clock.advance(30)
    assert not task.done()
    context.tuned["watch"] = operation.tunables["watch"].parse("40s")
    await clock.advance(11)
    assert (await task)["seconds"] == 40.0
    with pytest.raises(UsageError, match="longer than a day"):
        operation.tunables["watch"].parse("25h")


@pytest.mark.parametrize(
    ("burn", "reading", "message"),
    [
        (None, SloReading(burn_rate=20.0, is_paging=True), "writes pages: its error budget burns 20.0 times too fast"),
        (
            5.0,
            SloReading(burn_rate=5.0, is_paging=False),
            "the error budget of writes burns 5.0 times too fast, and the limit is 5",
        ),
    ],
)
async def test_suffering_ends_it_at_once(burn: float | None, reading: SloReading, message: str) -> None:
    operation, _ = watching(lambda look: CALM if look < 3 else reading)
    clock = FakeClock()
    task = asyncio.create_task(operation.watch.work(operation, context_of(plan(burn=burn), "watch", clock=clock)))
    await clock.advance(4)
    with pytest.raises(SloBurning) as caught:
        await task
    assert caught.value.message == message
    assert caught.value.context["after_seconds"] == 3.0
    assert not caught.value.retryable


async def test_an_objective_that_nobody_sees_any_more_counts_as_harm_after_a_minute() -> None:
    def read(look: int) -> SloReading:
        if look == 30:
            return CALM  # seen for a moment: the minute begins anew
        if look % 2:
            raise Unreachable("the state store does not answer")
        return UNKNOWN

    operation, _ = watching(read)
    clock = FakeClock()
    task = asyncio.create_task(operation.watch.work(operation, context_of(plan(seconds=600.0), "watch", clock=clock)))
    await clock.advance(89)
    assert not task.done()
    await clock.advance(2)
    with pytest.raises(SloBurning, match="writes has been unknown for 1m, and the limit is 1m"):
        await task


async def test_what_suffers_already_is_not_touched() -> None:
    operation, _ = watching(lambda _: SloReading(burn_rate=30.0, is_paging=True))
    asked = ApplySettingsInput.model_validate(
        {"cluster": "orders", "set": {"work_mem": "1MB"}, "revert_on": {"slo": "writes", "watch": "5m"}}
    )
    assert asked.revert_on is not None
    assert asked.revert_on.watch == watch_seconds("5m") == 300.0
    with pytest.raises(PrecheckFailed, match=r"writes pages.* already, before anything was changed"):
        await operation.plan(PlanContext(clock=FakeClock(), requested_by="somebody"), asked)


def test_a_limit_of_burn_does_not_listen_to_pages_and_the_other_way_round() -> None:
    paging = SloReading(burn_rate=1.0, is_paging=True)
    assert judge(paging, slo="writes", burn=10.0, blind_seconds=0.0) is None
    assert judge(SloReading(burn_rate=99.0, is_paging=False), slo="writes", burn=None, blind_seconds=0.0) is None
    assert judge(SloReading(burn_rate=None, is_paging=False), slo="writes", burn=10.0, blind_seconds=61.0) is not None
