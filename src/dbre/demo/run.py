"""Sets the stage, runs the acts, tells the story, and clears everything away."""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from dbre.core.errors import DbreError
from dbre.core.secrets import Secret
from dbre.demo.configuration import LIMIT_SECONDS, configuration
from dbre.demo.control_plane import ControlPlaneProcess, write_private
from dbre.demo.evidence import Documents, Evidence
from dbre.demo.live import Teller
from dbre.demo.pager import Pager
from dbre.demo.scenario import Scenario
from dbre.demo.story import Story
from dbre.lab import Guardian, Lab, LabSpec, LoadClient, LoadPlan, lab_directory

__all__ = ["Stage", "Timing", "play", "stage"]

_CLIENT_RATE = 40.0  # operations a second: 20 writes, 20 reads
_PAGE_SECONDS = 20.0  # the page is waited for so long after the last act
Result = TypeVar("Result")


class LoadEnded(DbreError):
    """Without a load there is nothing to compare the prober with."""

    code = "demo.load_ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """How long each part of the demonstration lasts, in seconds."""

    steady: float = 8.0
    freeze: float = 8.0
    away: float = 3.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Databases, control plane, pager and load, all running."""

    lab: Lab
    plane: ControlPlaneProcess
    pager: Pager
    load: LoadClient
    teller: Teller


@asynccontextmanager
async def stage(*, directory: Path | None, version: int | None, bindir: Path | None, teller: Teller) -> AsyncIterator[Stage]:
    """Start everything, and clear it all away at the end, also after a crash of this process."""
    guardian = Guardian()
    try:
        teller.now("starting a primary and a streaming replica")
        spec = LabSpec(name="demo", replicas=1, version=version, bindir=bindir)
        where = directory or _own_directory()
        lab = await Lab.create(spec, where, guardian=guardian)
        try:
            teller.tell(
                f"{await _product(lab)}: primary on {lab.primary.address}, streaming replica on {lab.replicas[0].address}"
            )
            async with _watched(lab, teller) as everything:
                yield everything
        finally:
            await lab.down()
    finally:
        guardian.close()


@asynccontextmanager
async def _watched(lab: Lab, teller: Teller) -> AsyncIterator[Stage]:
    home = lab.directory / "control-plane"
    home.mkdir(mode=0o700)
    hook_secret = home / "hook-secret"
    write_private(hook_secret, secrets.token_urlsafe(32))
    with Pager(secret=Secret(hook_secret.read_text().strip())) as pager:
        plane = ControlPlaneProcess(home, configuration(lab, hook_url=pager.url, hook_secret=hook_secret))
        try:
            teller.now("starting the control plane")
            await plane.start()
            teller.tell(f"control plane on {plane.url}; it probes every second and pages {pager.url}")
            plan = LoadPlan(rate=_CLIENT_RATE, duration_seconds=None, deadline_seconds=LIMIT_SECONDS)
            load = LoadClient(lab.load_target(), plan)
            yield Stage(lab=lab, plane=plane, pager=pager, load=load, teller=teller)
        finally:
            await plane.stop()


async def play(on: Stage, timing: Timing) -> Story:
    """Run all acts on a stage and give the story. The load runs throughout, and is checked for lost writes at the end."""
    started_at, began = datetime.now(UTC), time.monotonic()
    running = asyncio.ensure_future(on.load.run())
    try:
        scenario = Scenario(on.plane, on.lab.primary, on.load, on.teller)
        on.teller.tell(f"load: {on.load.plan.rate:g} operations a second, each counted from when it was due")
        calm = await _while_running(running, scenario.steady(timing.steady))
        on.teller.tell(
            f"steady: {calm.slots} slots, {calm.client_operations} writes, nothing bad" if not calm.bad_slots else "not steady"
        )
        acts = [
            await _while_running(running, scenario.freeze(timing.freeze)),
            await _while_running(running, scenario.kill(timing.away)),
        ]
        await _while_running(running, on.pager.wait_page(_PAGE_SECONDS))
    finally:
        on.load.stop()
        await asyncio.wait([running])
    report = running.result()
    audit = await on.load.audit()
    on.teller.tell(f"{len(report.ledger.acknowledged)} writes were acknowledged, {len(audit.lost)} of them lost")
    evidence = Evidence(calm=calm, acts=acts, load=report, audit=audit, pager=on.pager, documents=await _documents(on.plane))
    return evidence.story(
        server=await _product(on.lab), started_at=started_at, ended_at=datetime.now(UTC), wall_seconds=time.monotonic() - began
    )


async def _while_running(load: "asyncio.Future[Any]", act: Awaitable[Result]) -> Result:
    """Wait for an act; a load that ends before it has failed, and its error is the demonstration's."""
    task = asyncio.ensure_future(act)
    await asyncio.wait([task, load], return_when=asyncio.FIRST_COMPLETED)
    if not task.done():
        task.cancel()
        load.result()
        raise LoadEnded("the load ended before the demonstration did")
    return task.result()


async def _documents(plane: ControlPlaneProcess) -> Documents:
    async with plane.client() as client:
        slos = (await client.get("/api/v1/slos")).raise_for_status().json()["items"]
        events = (await client.get("/api/v1/events?limit=500")).raise_for_status().json()["items"]
    return Documents(slos=slos, events=sorted(events, key=lambda one: one["sequence"]))


async def _product(lab: Lab) -> str:
    return f"PostgreSQL {(await lab.status())[0].version}"


def _own_directory() -> Path:
    """A new name below the directory of labs, so that demonstrations can run side by side."""
    return lab_directory(f"demo-{secrets.token_hex(3)}", None)
