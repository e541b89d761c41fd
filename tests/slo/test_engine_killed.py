"""SIGKILL of a process that runs the engine while an alert fires: told once, lost never."""

import asyncio
import os
import sys
from pathlib import Path

import pytest
from sqlalchemy import func, select

from dbre.capabilities.slo.tables import slo_alert_states
from dbre.core.events import recent

HERE = Path(__file__).parent


async def run_until_firing(place, good: int):
    password = "" if place.password is None else place.password.reveal()
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        str(HERE / "engine_process.py"),
        place.url,
        password,
        str(good),
        cwd=HERE,
        env={**os.environ, "PYTHONPATH": str(HERE.parent)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    async with asyncio.timeout(60):
        while (line := await process.stdout.readline()) != b"firing\n":
            assert line, (await process.stderr.read()).decode()  # log lines come before
        await asyncio.sleep(1.3)  # let it go on storing: the kill hits it at work
        process.kill()
        await process.wait()


@pytest.mark.slow
async def test_a_killed_engine_has_told_once_and_its_successor_keeps_the_alert(place):
    for good in (360, 0):  # the second one finds history and alert in the store
        await run_until_firing(place, good)
    async with place.open(migrate=False) as store, store.read() as connection:
        events = [one for one in await recent(connection, limit=100) if one.kind.startswith("slo.")]
        states = (await connection.execute(select(func.count()).select_from(slo_alert_states))).scalar()
    assert [(one.kind, one.data["rule"]) for one in events if one.data["rule"] == "page-1h"] == [("slo.alert_fired", "page-1h")]
    assert len({one.data["alert_id"] for one in events}) == len(events)
    assert states is not None
    assert states >= 1
