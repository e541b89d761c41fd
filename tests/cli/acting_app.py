"""dbre with one more command, ``trial set``, whose operation changes a number in a file; run as a program, or in process."""

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import BaseModel

from dbre import assembly
from dbre.app import Application
from dbre.cli import commands, root
from dbre.core.errors import DbreError
from dbre.core.operation.act import Act
from dbre.core.operation.context import PlanContext, StepContext
from dbre.core.operation.definition import NotHappened, Operation, OutcomeUnknown, Tunable, Verification, step
from dbre.core.operation.plan import Change, Plan, Risk, Step


class Asked(BaseModel, extra="forbid"):
    file: str
    value: int
    risk: Risk = Risk.MILD
    seconds: float = 0
    trouble: str = ""  # fail, unknown, unverified


class SetNumber(Operation[Asked]):
    kind, version, document = "trial.set", 1, Asked
    tunables: Mapping[str, Tunable] = {"pause": Tunable(default=0, parse=float, summary="seconds between two looks")}

    async def plan(self, _: PlanContext, asked: Asked) -> Plan:
        now = _read(asked.file)
        steps = [Step("put", input={"file": asked.file, "value": asked.value, "before": now}, undo="put-back")]
        steps.append(Step("rest", input={"seconds": asked.seconds, "trouble": asked.trouble}))
        return Plan(
            target=f"host/{Path(asked.file).stem}",
            summary=f"set {Path(asked.file).name} to {asked.value}",
            steps=tuple(steps),
            risk=asked.risk,
            changes=(Change(subject="number", before=str(now), after=str(asked.value)),),
            blast_radius=("whoever reads the number\x1b[2J",),
            observed={"value": now},
        )

    @step(timeout_seconds=5, idempotent=True)
    async def put(self, context: StepContext) -> None:
        Path(context.input["file"]).write_text(json.dumps(context.input["value"]))

    @step(timeout_seconds=5, idempotent=True)
    async def put_back(self, context: StepContext) -> None:
        Path(context.input["file"]).write_text(json.dumps(context.input["before"]))

    @step(timeout_seconds=60)
    async def rest(self, context: StepContext) -> None:
        await context.note("resting\x1b[31m")
        for done in range(round(context.input["seconds"] * 20)):
            await context.progress(done, context.input["seconds"] * 20, "looks")
            await context.checkpoint()
            await asyncio.sleep(0.05)
        match context.input["trouble"]:
            case "fail":
                raise DbreError("the number is cursed\x1b[2J", hint="take another")
            case "unknown":
                raise OutcomeUnknown("nobody can tell")

    @rest.probe
    async def _(self, context: StepContext) -> None:
        if context.input["trouble"] == "unknown":
            raise OutcomeUnknown("nobody can tell")
        raise NotHappened

    async def verify(self, context: StepContext) -> list[Verification]:
        holds = context.plan.steps[1].input["trouble"] != "unverified"
        return [Verification(subject="number", holds=holds, detail="seen")]


def _read(file: str) -> Any:
    path = Path(file)
    return json.loads(path.read_text()) if path.exists() else 0


trial = typer.Typer(no_args_is_help=True)


@trial.command("set")
def set_number(
    file: str,
    value: int,
    risk: Annotated[str, typer.Option()] = "mild",
    seconds: Annotated[float, typer.Option()] = 0,
    trouble: Annotated[str, typer.Option()] = "",
) -> Act:
    """Set a number."""
    asked = {"file": file, "value": value, "risk": risk, "seconds": seconds, "trouble": trouble}
    return Act(kind="trial.set", input=asked)


@trial.command("get")
def get_number(file: str) -> None:
    """A command that does not act."""


def install() -> None:
    """Put the command and the operation in their places."""
    commands.COMMANDS["trial"] = commands.CommandEntry("Operate", __name__, "A trial.", "trial")
    assembly.kinds_of = lambda *_, **__: assembly.Kinds(SetNumber())


def main(arguments: list[str] | None = None) -> int:
    """One command line."""
    return root.main(Application, arguments)


if __name__ == "__main__":
    install()
    sys.exit(main())
