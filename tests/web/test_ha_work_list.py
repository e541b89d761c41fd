"""The list of newest operations on the page of a cluster: those that changed who is primary or restarted servers, no others."""

import pytest_asyncio
from playwright.async_api import Browser, expect
from test_pages import log_in

from dbre.core.audit.log import AuditLog
from dbre.core.clock import SystemClock
from dbre.core.events import EventLog
from dbre.core.operation.insertion import NewOperation, insert_operation
from dbre.core.operation.journal import Journal
from dbre.core.operation.plan import Plan, PlannedOperation
from dbre.core.operation.states import OperationState
from dbre.core.store import Store, open_store
from dbre.demo.control_plane import ControlPlaneProcess

MARKUP = "<script>alert(1)</script>"
CLOCK = SystemClock()


async def keep(store: Store, kind: str, summary: str, *, cluster: str = "orders") -> None:
    """One that was cancelled before it ran, so that no worker takes it."""
    plan = Plan(target=f"cluster/{cluster}", summary=summary, steps=())
    planned = PlannedOperation(kind=kind, definition_version=1, input={"cluster": cluster}, plan=plan)
    new = NewOperation(planned=planned, requested_by="ann", state=OperationState.CANCELLED)
    journal = Journal(AuditLog(CLOCK), EventLog(CLOCK), CLOCK)
    await store.grouped(lambda connection: insert_operation(connection, journal, new, actor="ann", clock=CLOCK))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def worked_on(control_plane: ControlPlaneProcess) -> ControlPlaneProcess:
    """Twelve changes of orders and one of another cluster, then more backups than one look reads."""
    async with open_store(f"sqlite:///{control_plane.directory}/dbre.db", clock=CLOCK) as store:
        for number in range(11):
            await keep(store, "ha.switchover", f"switchover number {number}")
        await keep(store, "upgrade.restart", f"restart {MARKUP}")
        await keep(store, "ha.switchover", "switchover of another cluster", cluster="gone")
        for number in range(120):
            await keep(store, "backup.take", f"backup number {number}")
    return control_plane


async def test_the_newest_changes_are_listed_each_with_its_state_and_way(
    browser: Browser, worked_on: ControlPlaneProcess
) -> None:
    context = await browser.new_context()
    page = await log_in(context, worked_on, "/ha/orders")
    shown = page.locator("h2:has-text('Changes of primary, restarts and upgrades') + ul > li")
    await expect(shown).to_have_count(10)
    await expect(shown.first).to_contain_text(f"restart {MARKUP}")
    await expect(shown.first).to_contain_text("cancelled")
    await expect(shown.first).to_contain_text("upgrade.restart")
    assert [(await shown.nth(place).get_by_role("link").inner_text()).rpartition(" ")[2] for place in range(1, 10)] == [
        str(number) for number in range(10, 1, -1)
    ]
    await shown.nth(1).get_by_role("link").click()
    await expect(page.locator("main")).to_contain_text("switchover number 10")
    await context.close()


async def test_another_cluster_has_its_own(browser: Browser, worked_on: ControlPlaneProcess) -> None:
    context = await browser.new_context()
    page = await log_in(context, worked_on, "/ha/gone")
    shown = page.locator("h2:has-text('Changes of primary, restarts and upgrades') + ul > li")
    await expect(shown).to_have_count(1)
    await expect(shown).to_contain_text("switchover of another cluster")
    await context.close()
