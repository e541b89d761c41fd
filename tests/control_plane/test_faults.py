"""What happens around a running control plane: full disks, frozen databases, signals, clocks that jump."""

import asyncio
import json
import os
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from plane_kit import answers, cluster, configuration, events, fired, metric, new_secret, run, slo, unreachable, until

from dbre.demo.control_plane import ControlPlaneProcess
from dbre.demo.pager import Pager
from dbre.lab.postgres import PostgresServer

pytestmark = pytest.mark.timeout(180)
STOP_SECONDS = 15.0  # the promise is five; the machine may have much else to do
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


@asynccontextmanager
async def running(directory: Path, document: dict) -> AsyncIterator[ControlPlaneProcess]:
    plane = ControlPlaneProcess(directory, document)
    try:
        await plane.start()
        yield plane
    finally:
        await plane.stop(signal.SIGKILL)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of four megabytes."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=0700", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a file system of its own needs root with CAP_SYS_ADMIN")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


@pytest.mark.slow
async def test_full_state_directory_stops_neither_probing_nor_pages_and_loses_no_count(
    small_disk: Path, tmp_path: Path, fresh_postgres: PostgresServer
) -> None:
    document = configuration([cluster(tmp_path, fresh_postgres)], directory=tmp_path)
    document["state"] = {"url": f"sqlite:///{small_disk}/dbre.db"}
    began = time.monotonic()
    async with running(tmp_path, document) as plane:
        await until(lambda: metric(plane, 'dbre_slo_good_total{cluster="orders",slo="writes"}'))
        filler = small_disk / "filler"
        with filler.open("wb") as file:
            try:
                while True:
                    os.write(file.fileno(), bytes(4096))
            except OSError:
                pass
        refusing = await until(lambda: _status(plane, "/readyz", 503), what="503 on /readyz")
        slo_part = next(one for one in refusing["parts"] if one["part"] == "slo")
        assert slo_part["is_ready"] is False
        assert "full" in slo_part["detail"] or "no space" in slo_part["detail"].lower(), slo_part
        before = await slo(plane)
        await asyncio.sleep(4)
        during = await slo(plane)
        assert during["total"] >= before["total"] + 3  # probing goes on, in memory
        assert during["bad"] == 0
        assert (await _page(plane, "/slo/writes/orders")).status_code == 200
        assert (await _page(plane, "/")).status_code == 200
        await until(lambda: metric(plane, "dbre_slo_unsaved_events"), what="unsaved events on /metrics")
        filler.unlink()
        await until(lambda: _status(plane, "/readyz", 200), what="200 on /readyz")
        assert await plane.stop() == 0
        seconds, stored = time.monotonic() - began, await _stored(plane)
        await plane.start()
        after = await slo(plane)
    assert stored["total"] >= during["total"]
    assert stored["bad"] == 0
    assert after["total"] >= stored["total"]
    assert stored["total"] + stored["missed"] <= seconds + 2, "more events than there were slots"


async def _stored(plane: ControlPlaneProcess) -> dict:
    """What the store alone says of the SLO, read by another process."""
    ended = await run(*plane.command("slo", "list", "-o", "json"))
    assert ended.code == 0, ended.errors
    return json.loads(ended.output)["items"][0]


async def _status(plane: ControlPlaneProcess, path: str, code: int) -> dict | None:
    answer = await answers(plane, path)
    return answer.json() if answer is not None and answer.status_code == code else None


async def _page(plane: ControlPlaneProcess, path: str):
    """What a logged-in browser sees."""
    async with plane.client(authenticated=False) as browser:
        await browser.post("/login", data={"token": plane.token})
        return await browser.get(path)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.soak)])
async def test_stops_in_order_and_soon_although_databases_hang(
    number: signal.Signals, tmp_path: Path, fresh_postgres: PostgresServer
) -> None:
    document = configuration([cluster(tmp_path, fresh_postgres)], directory=tmp_path)
    async with running(tmp_path, document) as plane:
        await until(lambda: metric(plane, 'dbre_slo_good_total{cluster="orders",slo="writes"}'))
        await fresh_postgres.freeze()
        await asyncio.sleep(4.2)
        last = await slo(plane)
        began = time.monotonic()
        assert await plane.stop(number) == 0
        assert time.monotonic() - began < STOP_SECONDS
        assert "Traceback" not in plane.log_tail()
        await fresh_postgres.thaw()
        stored = await _stored(plane)
        assert stored["bad"] >= last["bad"] >= 2  # the last counts are in the store
        assert stored["total"] >= last["total"]
        await plane.start()
        assert len(await events(plane, "control_plane.started")) == 2
        assert len(await events(plane, "control_plane.stopped")) == 1


async def test_hangup_is_said_and_ignored(tmp_path: Path) -> None:
    async with running(tmp_path, configuration([], directory=tmp_path)) as plane:
        plane.send(signal.SIGHUP)
        await until(lambda: "hangup_ignored" in plane.log_tail())
        assert await _status(plane, "/readyz", 200)
        assert await plane.stop() == 0


@pytest.mark.slow
async def test_database_that_accepts_and_never_answers_disturbs_no_other(
    tmp_path: Path, fresh_postgres: PostgresServer
) -> None:
    silent = await asyncio.start_server(lambda _reader, _writer: asyncio.sleep(3600), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    with Pager(new_secret()) as pager:
        clusters = [cluster(tmp_path, fresh_postgres), unreachable("silent", port)]
        async with running(tmp_path, configuration(clusters, pager=pager, directory=tmp_path)) as plane:
            await until(lambda: fired(pager), what=plane.log_tail())
            await asyncio.sleep(3)
            good, bad = await slo(plane, "orders"), await slo(plane, "silent")
            assert (good["bad"], good["missed"], good["excluded"]) == (0, 0, 0)
            assert good["good"] >= 4
            assert bad["good"] == 0
            assert bad["bad"] == bad["total"] >= 4
            assert {one.data["cluster"] for one in pager.deliveries} == {"silent"}
            (first, *_) = await events(plane, "observe.endpoint_bad")
            assert first["data"]["code"] == "timeout"
            slowest = 0.0
            for path in ("/", "/slo", "/slo/writes/silent", "/clusters/silent", "/events", "/metrics", "/healthz", "/readyz"):
                began = time.monotonic()
                assert (await _page(plane, path)).status_code == 200, path
                slowest = max(slowest, time.monotonic() - began)
            assert slowest < 10, slowest  # two requests each; on a busy machine
            began = time.monotonic()
            assert await plane.stop() == 0
            assert time.monotonic() - began < STOP_SECONDS
    silent.close()


@pytest.mark.soak
@pytest.mark.skipif(
    FAKETIME is None and os.environ.get("DBRE_REQUIRE_ALL") != "1", reason="the package libfaketime is not installed"
)
async def test_clock_that_jumps_fires_nothing_and_counts_nothing_twice(
    tmp_path: Path, fresh_postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert FAKETIME is not None, "libfaketime is not installed; DBRE_REQUIRE_ALL=1"
    offset = tmp_path / "offset"
    offset.write_text("+0\n")
    faked = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(offset),
        "FAKETIME_CACHE_DURATION": "1",  # the file is read once a second; each time would slow every look at a clock down
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    for name, value in faked.items():
        monkeypatch.setenv(name, value)
    with Pager(new_secret()) as pager:
        document = configuration([cluster(tmp_path, fresh_postgres)], pager=pager, directory=tmp_path)
        limits = dict.fromkeys(("connect_timeout", "statement_timeout", "total_timeout"), "7900ms")
        document["probe"] = {"interval": "8s", **limits}  # the library makes every look at a clock slow
        async with running(tmp_path, document) as plane:
            for name in faked:
                monkeypatch.delenv(name)
            await until(lambda: metric(plane, 'dbre_slo_good_total{cluster="orders",slo="writes"}'))
            began, first = time.monotonic(), await slo(plane)
            for jump in ("+7200", "-7200", "+0"):  # ahead, far back, and right again
                offset.write_text(f"{jump}\n")
                await asyncio.sleep(9)
            elapsed, last = time.monotonic() - began, await slo(plane)
            stepped = await events(plane, "core.clock_stepped")
            seen = await metric(plane, 'dbre_slo_good_total{cluster="orders",slo="writes"}')
            assert [round(one["data"]["seconds"] / 100) for one in stepped] == [72, -144, 72]
            assert last["bad"] == 0, await events(plane, "observe.endpoint_bad")
            assert pager.deliveries == []
            assert last["total"] <= first["total"] + elapsed / 8 + 2
            assert seen is not None
            # /metrics is up to five seconds old
            assert first["good"] + elapsed / 8 - 3 <= seen <= first["total"] + elapsed / 8 + 2
            await fresh_postgres.freeze()  # and it still pages at once
            await until(lambda: fired(pager), seconds=60, what=plane.log_tail())
            assert await plane.stop() == 0
