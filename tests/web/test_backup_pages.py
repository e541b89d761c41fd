"""Backups on the pages and in the API: what is known is shown, what is not known is said, names are only text."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, expect
from test_pages import log_in

from dbre.capabilities.backup.catalog.clock import ClockSample, insert_samples
from dbre.capabilities.backup.catalog.drills import insert_drill
from dbre.capabilities.backup.catalog.gaps import insert_gap
from dbre.capabilities.backup.catalog.logs import insert_log
from dbre.capabilities.backup.catalog.sets import insert_set
from dbre.capabilities.backup.model import BackupSet, Drill, DrillVerdict, LogState, RecoveryGap, SetState, StoredLog
from dbre.core.clock import SystemClock
from dbre.core.operation.embedded import open_or_create_store
from dbre.core.store import Store
from dbre.demo.control_plane import ControlPlaneProcess
from dbre.lab.free_port import choose_port
from dbre.ports.backup.model import ChecksumState, CopyKind, LogFile, LogKind, LogPosition, Phase
from dbre.ports.restored_checks import CheckOutcome, RestoredResult

MARKUP = "<script>alert(1)</script>"
NOW = datetime.now(UTC).replace(microsecond=0)
DRILL = uuid.UUID("019a0000-0000-7000-8000-000000000001")
SEGMENT = 16 * 2**20


def at(hours: float) -> datetime:
    return NOW - timedelta(hours=hours)


def position(value: int) -> LogPosition:
    return LogPosition(1, value, f"0/{value:X}")


SET = BackupSet(
    id="019a0000-0000-7000-8000-00000000aaaa",
    cluster="orders",
    engine="postgresql",
    policy="all",
    provider="native",
    system_id="77",
    kind=CopyKind.FULL,
    parent_id=None,
    state=SetState.SEALED,
    start=position(SEGMENT),
    stop=position(SEGMENT + 4096),
    started_at=at(5),
    stopped_at=at(4.9),
    version_text="18.4",
    tool="pg_basebackup 18.4",
    checksums=ChecksumState.GOOD,
    bytes_source=40_000_000,
    bytes_stored=4_000_000,
    manifest_sha256="a" * 64,
    vaults=("here",),
    proven_at=at(1),
)
DRILLED = Drill(
    id=DRILL,
    cluster="orders",
    set_id=SET.id,
    system_id="77",
    target_kind="time",
    target_value=at(3).isoformat(),
    mode="faithful",
    started_at=at(1.1),
    ended_at=at(1),
    phases=(Phase(name="fetch", seconds=2.5, bytes=4_000_000), Phase(name="replay", seconds=1.0)),
    reached=position(SEGMENT + 8192),
    reached_commit_at=at(3),
    results=(
        RestoredResult(level="L5", name=f"queries/{MARKUP}", outcome=CheckOutcome.PASS, detail="12 orders", seconds=0.1),
        RestoredResult(level="L4", name="amcheck", outcome=CheckOutcome.INCONCLUSIVE, detail="no extension", seconds=0.0),
    ),
    recovery_point_seconds=0.8,
    recovery_time_seconds=3.5,
    verdict=DrillVerdict.PASS,
    reason=f"reached the target {MARKUP}",
    level="L5",
    operation_id=None,
)


async def fill(store: Store) -> None:
    files = [
        LogFile(
            name=f"0000000100000000{n:08X}",
            kind=LogKind.SEGMENT,
            timeline=1,
            start=n * SEGMENT,
            end=(n + 1) * SEGMENT,
            size=SEGMENT,
            sha256="b" * 64,
        )
        for n in range(1, 5)
    ]
    gap = RecoveryGap(
        id=uuid.uuid4(),
        cluster="orders",
        system_id="77",
        timeline=1,
        start=5 * SEGMENT,
        end=None,
        began_at=at(0.5),
        ended_at=None,
        reason=f"the slot was dropped {MARKUP}",
        remedy="a full copy is under way",
    )
    samples = [
        ClockSample(cluster="orders", system_id="77", at=at(5 - n * 0.5), timeline=1, value=(1 + n // 2) * SEGMENT + 5000)
        for n in range(9)
    ]
    async with store.begin() as connection:
        await insert_set(connection, SET)
        for file in files:
            log = StoredLog(
                cluster="orders", system_id="77", file=file, state=LogState.VAULTED, received_at=at(2), vaults=("here",)
            )
            await insert_log(connection, log)
        await insert_gap(connection, gap)
        await insert_samples(connection, samples)
        await insert_drill(connection, DRILLED)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plane(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ControlPlaneProcess]:
    """A control plane that finds backups in its store; none of its databases is there."""
    directory: Path = tmp_path_factory.mktemp("backups")
    shared = {"environment": "test", "engine": "postgresql", "user": "dbre"}
    clusters = [
        shared | {"name": name, "instances": [{"name": f"{name}-1", "host": "127.0.0.1", "port": choose_port()}]}
        for name in ("orders", "empty", "without")
    ]
    key = "age1" + "q" * 58
    configuration: dict[str, object] = {
        "fleet": {"clusters": clusters},
        "vaults": [{"name": "here", "kind": "filesystem", "path": str(directory / "vault"), "recipients": [key, key]}],
        "backup": {
            "policies": [
                {"name": "all", "selector": {"cluster": name}, "vaults": ["here"], "log": {"mode": "none"}}
                for name in ("orders", "empty")
            ]
        },
    }
    policies = configuration["backup"]["policies"]  # type: ignore[index]
    policies[1]["name"] = "second"
    url = f"sqlite:///{directory}/dbre.db"
    async with open_or_create_store(url, clock=SystemClock(), tell=lambda _: None, password=None, directory=directory) as store:
        await fill(store)
    process = ControlPlaneProcess(directory, configuration)
    await process.start()
    yield process
    await process.stop()


async def test_backups_are_listed_unproved_first_and_unknown_is_null(plane: ControlPlaneProcess) -> None:
    async with plane.client() as client:
        items = (await client.get("/api/v1/backups")).raise_for_status().json()["items"]
    assert [one["cluster"] for one in items] == ["empty", "orders", "without"]
    empty, orders, _ = items
    assert (empty["is_proven"], empty["newest_set"], empty["recoverable_until"], empty["exposure_seconds"]) == (
        False,
        None,
        None,
        None,
    )
    assert (orders["is_proven"], orders["last_proof_level"], orders["recovery_time_seconds"]) == (True, "L5", 3.5)
    assert orders["newest_set"]["id"] == SET.id
    assert orders["open_gaps"] == 1
    assert orders["recoverable_from"] is not None


async def test_one_cluster_has_sets_intervals_gaps_and_drills(plane: ControlPlaneProcess) -> None:
    async with plane.client() as client:
        found = (await client.get("/api/v1/backups/orders")).raise_for_status().json()
        drill = (await client.get(f"/api/v1/drills/{DRILL}")).raise_for_status().json()
    assert [one["kind"] for one in found["sets"]] == ["full"]
    assert [one["timeline"] for one in found["intervals"]] == [1]
    assert found["gaps"][0]["reason"].endswith(MARKUP)
    assert [one["id"] for one in found["drills"]] == [str(DRILL)]
    assert [one["name"] for one in drill["phases"]] == ["fetch", "replay"]
    assert drill["results"][1]["outcome"] == "inconclusive"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/v1/backups/nope", 404),
        ("/api/v1/drills/nope", 404),
        ("/api/v1/drills/019a0000-0000-7000-8000-00000000ffff", 404),
    ],
)
async def test_what_is_not_there_is_said_with_what_to_do(plane: ControlPlaneProcess, path: str, status: int) -> None:
    async with plane.client() as client:
        answer = await client.get(path)
    assert answer.status_code == status
    assert answer.json()["error"]["hint"]


async def test_pages_show_the_map_and_lead_to_the_drill(browser: Browser, plane: ControlPlaneProcess) -> None:
    context = await browser.new_context(bypass_csp=True)  # axe is injected as a script
    page = await log_in(context, plane, "/backups")
    row = page.get_by_role("row", name="orders")
    await expect(row).to_contain_text("proved")
    await expect(page.get_by_role("row", name="empty")).to_contain_text("never proved")
    await row.get_by_role("link", name="orders").click()
    await expect(page.locator("svg rect.reach")).to_have_count(1)
    await expect(page.locator("svg rect.gap")).to_have_count(1)
    await expect(page.locator("svg .point.pass")).to_have_count(1)
    await expect(page.get_by_role("region", name="Gaps")).to_contain_text(MARKUP)
    found = await Axe().run(page)
    assert [one["id"] for one in found.response["violations"] if one["impact"] in ("serious", "critical")] == []
    await page.get_by_role("region", name="Drills").get_by_role("link").click()
    await expect(page.get_by_role("region", name="Checks")).to_contain_text(f"queries/{MARKUP}")
    await expect(page.get_by_role("navigation", name="Main").get_by_role("link", name="Backups")).to_have_attribute(
        "aria-current", "page"
    )
    found = await Axe().run(page)
    assert [one["id"] for one in found.response["violations"] if one["impact"] in ("serious", "critical")] == []
    await page.set_viewport_size({"width": 360, "height": 800})
    for path in (page.url, f"{plane.url}/backups", f"{plane.url}/backups/orders"):
        await page.goto(path)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360, "tables scroll by themselves, never the page"
    await context.close()


async def test_metrics_tell_the_proof_and_leave_out_what_is_not_known(plane: ControlPlaneProcess) -> None:
    async with plane.client() as client, asyncio.timeout(60):
        while 'dbre_backup_proof_valid{cluster="orders"} 1.0' not in (text := (await client.get("/metrics")).text):  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.2)
    assert 'dbre_backup_open_gaps{cluster="orders"} 1.0' in text
    assert 'dbre_backup_drill_recovery_time_seconds{cluster="orders"} 3.5' in text
    assert 'dbre_backup_proof_valid{cluster="empty"} 0.0' in text
    assert 'dbre_backup_proof_timestamp_seconds{cluster="empty"}' not in text
    assert "dbre_backup_exposure_seconds{" not in text
