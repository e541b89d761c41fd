"""A control plane for one test: store, audit log, desk, runner and sweeper are dbre's own; two routes speak for its API.

Usage: python small_plane.py DIRECTORY PORT
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import uvicorn
from fastapi import FastAPI, Header, HTTPException
from pydantic import BaseModel

from dbre.assembly import Kinds
from dbre.core.audit.log import AuditLog
from dbre.core.clock import SystemClock
from dbre.core.events import EventLog
from dbre.core.fleet import Fleet
from dbre.core.gates.asking import Gates
from dbre.core.identity.model import Grant, Principal, PrincipalKind, Role
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import Operation, step
from dbre.core.operation.document import OperationsDocument
from dbre.core.operation.documents import operation_document
from dbre.core.operation.journal import Journal
from dbre.core.operation.local_dispatch import LocalDispatcher
from dbre.core.operation.plan import Plan, Risk, Step
from dbre.core.operation.runner import OperationRunner
from dbre.core.operation.store_desk import DeskParts, StoreDesk
from dbre.core.operation.sweeper import Sweeper
from dbre.core.operation.worker_identity import this_worker
from dbre.core.store import Store, open_store
from dbre.web.api.operation_items import ReasonBody, SubmitBody

TOKEN = "t0ken-of-the-scheduler"


class CountDocument(BaseModel):
    """How long it takes, and how it ends."""

    name: str
    seconds: float = 0.0
    fails: bool = False


class Count(Operation[CountDocument]):
    """Writes a line for each effect, so that a test can count them."""

    kind, version, document = "test.count", 1, CountDocument
    directory = Path()

    async def plan(self, context: PlanContext, asked: CountDocument) -> Plan:  # noqa: ARG002 - looks at nothing
        return Plan(
            target=f"cluster/{asked.name}",
            summary="count",
            risk=Risk.MILD,
            steps=(Step("count", input={"name": asked.name}, undo="uncount"), Step("linger", input=asked.model_dump())),
        )

    @step(timeout_seconds=10)
    async def count(self, context: StepContext) -> None:
        self._line(context, "counted")

    @count.probe
    async def _(self, context: StepContext) -> Mapping[str, Any]:  # noqa: ARG002 - a line is written at once
        return {}

    @step(timeout_seconds=10, idempotent=True)
    async def uncount(self, context: StepContext) -> None:
        self._line(context, "uncounted")

    @step(timeout_seconds=60, idempotent=True)
    async def linger(self, context: StepContext) -> None:
        if context.input["fails"]:
            raise ValueError("it was told to fail")
        for _ in range(int(context.input["seconds"] * 10)):
            await asyncio.sleep(0.1)
            await context.checkpoint()

    def _line(self, context: StepContext, what: str) -> None:
        with (self.directory / str(context.input["name"])).open("a") as file:
            file.write(f"{what} {context.token.operation_id}\n")


def application(desk: StoreDesk) -> FastAPI:
    """The routes that an exported file uses, over dbre's own bodies and documents."""
    app = FastAPI()

    def check(authorization: str) -> None:
        if authorization != f"Bearer {TOKEN}":
            raise HTTPException(401, "the token is wrong")

    @app.post("/api/v1/operations", status_code=202)
    async def submit(body: SubmitBody, idempotency_key: str = Header(), authorization: str = Header("")) -> dict[str, Any]:
        check(authorization)
        assert body.kind is not None
        return operation_document(await desk.request(body.kind, body.input or {}, body.submission(idempotency_key)))

    @app.get("/api/v1/operations/{operation_id}")
    async def get(operation_id: UUID, authorization: str = Header("")) -> dict[str, Any]:
        check(authorization)
        return operation_document(await desk.get(operation_id))

    @app.post("/api/v1/operations/{operation_id}/cancel")
    async def cancel(operation_id: UUID, body: ReasonBody, authorization: str = Header("")) -> dict[str, Any]:
        check(authorization)
        return operation_document(await desk.cancel(operation_id, reason=body.reason))

    return app


async def serve(store: Store, directory: Path, port: int) -> None:
    """Run until killed."""
    clock, fleet, kinds = SystemClock(), Fleet(), Kinds(Count())
    journal, gates = Journal(AuditLog(clock), EventLog(clock), clock), Gates((), clock)
    settings = OperationsDocument(lease=timedelta(seconds=3), renewal=timedelta(seconds=1))
    runner = OperationRunner(store, kinds, journal, gates, clock, worker=this_worker(), fleet=fleet, settings=settings)
    sweeper = Sweeper(store, LocalDispatcher(runner), clock, runner.leases)
    parts = DeskParts(
        store=store, registry=kinds, journal=journal, gates=gates, fleet=fleet, clock=clock, dispatcher=sweeper
    )  # fmt: skip
    service = Principal(name="scheduler", kind=PrincipalKind.SERVICE, grants=(Grant(role=Role.ADMIN),))
    config = uvicorn.Config(application(StoreDesk(parts, service)), host="127.0.0.1", port=port, log_level="warning")
    sweeping = asyncio.create_task(sweeper.run())
    await uvicorn.Server(config).serve()
    sweeping.cancel()
    with suppress(asyncio.CancelledError):
        await sweeping


async def main(directory: Path, port: int) -> None:
    """Open the store and serve."""
    Count.directory = directory
    async with open_store(f"sqlite:///{directory}/dbre.db", clock=SystemClock(), exclusive=True, migrate=True) as store:
        (directory / "pid").write_text(str(os.getpid()))
        await serve(store, directory, port)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
