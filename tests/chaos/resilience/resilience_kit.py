"""What tests of preflight, switch, suite and reports share: an installation over two real servers, and made-up runs."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import yaml

from dbre.app import Application
from dbre.capabilities.chaos.documents import Experiment
from dbre.capabilities.chaos.runs.model import Run, RunState
from dbre.cli.global_options import GlobalOptions
from dbre.core.operation.desk import Submission
from dbre.core.operation.embedded import EmbeddedDesk
from dbre.core.operation.model import OperationRecord
from dbre.lab.redis import RedisServer

PATIENCE = 90.0
BEGAN = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
ANSWERS = {"name": "b answers", "kind": "answers", "instance": "b", "when": ["before", "after"]}


@dataclass(frozen=True, kw_only=True)
class RedisPair:
    """Instance ``a`` and its replica ``b`` of the cluster ``orders``."""

    primary: RedisServer
    replica: RedisServer

    async def thaw(self) -> None:
        for one in (self.primary, self.replica):
            if one.is_frozen:
                await one.thaw()


class Installation:
    """A configuration with a state store of its own; commands and operations run in this process."""

    def __init__(self, pair: RedisPair, directory: Path) -> None:
        self._pair, self.directory = pair, directory
        self.write()

    def write(self, *, endpoint: str | None = None, **chaos: Any) -> None:
        """The configuration, with a section ``chaos``, and with where clients go to write."""
        password = self.directory / "password"
        password.write_text(self._pair.primary.password.reveal())
        password.chmod(0o600)
        instances = [
            {"name": name, "host": one.address.host, "port": one.address.port}
            for name, one in (("a", self._pair.primary), ("b", self._pair.replica))
        ]
        cluster = {"name": "orders", "environment": "test", "engine": "redis", "tls": "disable", "instances": instances}
        if endpoint is not None:
            cluster["endpoints"] = {"write": [endpoint]}
        if (user := self._pair.primary.access().user) is not None:
            cluster["user"] = user
        cluster["password"] = "file:password"
        document = {"state": {"url": "sqlite:///dbre.db"}, "fleet": {"clusters": [cluster]}, "chaos": chaos}
        (self.directory / "dbre.yaml").write_text(yaml.safe_dump(document))

    @property
    def application(self) -> Application:
        return Application(GlobalOptions(config_files=(self.directory / "dbre.yaml",)))

    @asynccontextmanager
    async def desk(self) -> AsyncIterator[EmbeddedDesk]:
        async with self.application.open_desk() as desk:
            assert isinstance(desk, EmbeddedDesk)
            yield desk

    async def run(self, kind: str, asked: Mapping[str, Any]) -> OperationRecord:
        """Submit and run it to its end."""
        async with self.desk() as desk:
            record = await desk.request(kind, asked, Submission(confirm="orders"))
            async with asyncio.timeout(PATIENCE):
                await desk.run_here(record.id)
            return await desk.get(record.id)

    async def record(self, number: UUID) -> OperationRecord:
        """An operation that was submitted before."""
        async with self.desk() as desk:
            return await desk.get(number)


def freeze(seconds: float, **more: Any) -> dict[str, Any]:
    """An experiment that freezes the replica."""
    fault = {"fault": "freeze", "instance": "b", "for": f"{round(seconds * 1000)}ms"}
    return {"cluster": "orders", "hypothesis": [ANSWERS], "faults": [fault], **more}


async def until(condition: Callable[[], Any]) -> None:
    """Wait for something that has to become true."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - another process's doing
            await asyncio.sleep(0.02)


def at(seconds: float) -> str:
    """A moment of a made-up run."""
    return (BEGAN + timedelta(seconds=seconds)).isoformat()


def made_run(number: int = 1, *, days: float = 0.0, state: RunState = RunState.HELD, **observed: Any) -> Run:
    """A run that froze the primary from 1 s to 11 s and was well at 12 s; ``observed`` says what was different."""
    fault = {
        "fault": "freeze",
        "instance": "a",
        "is_reverted": True,
        "detail": "gone",
        "why": "",
        "on_at": at(1),
        "off_at": at(11),
    }
    document = Experiment.model_validate({"title": "t", "cluster": "orders", "faults": [{"fault": "freeze", "instance": "a"}]})
    run = Run(
        id=UUID(int=number),
        suite_id=None,
        cluster="orders",
        title="The primary freezes",
        entry="leader-failure",
        state=state,
        began_at=BEGAN,
        ended_at=BEGAN + timedelta(seconds=12),
        experiment=document.model_dump(mode="json", by_alias=True),
        observed={"faults": [fault], "during": [], "after": [], "settled_at": at(12), **observed},
        surroundings=None,
        is_final=False,
    )
    return replace(run, began_at=BEGAN - timedelta(days=days))
