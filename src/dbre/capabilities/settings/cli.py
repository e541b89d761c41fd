"""``dbre settings``: server parameters shown, compared and changed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from dbre.core.operation.act import Act
from dbre.core.view import Column, Row, View
from dbre.ports.runtime import Runtime, runtime

if TYPE_CHECKING:
    from dbre.core.errors import DbreError
    from dbre.core.fleet import Instance
    from dbre.core.operation.model import OperationRecord
    from dbre.ports.engine import Server
    from dbre.ports.settings import Setting

__all__ = ["app"]

app = typer.Typer(help="Server parameters: shown, compared, changed.", no_args_is_help=True)

ClusterName = Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")]
InstanceOption = Annotated[
    list[str] | None, typer.Option("--instance", metavar="NAME", help="Only this instance; may be given again.")
]
_Answer = TypeVar("_Answer")
_DEFAULTS = ("default", "compiled", "compile-time")
_OWN_SESSION = ("client", "session")  # what the session of dbre sets for itself says nothing of the server


@app.command()
async def show(
    ctx: typer.Context,
    cluster: ClusterName,
    *,
    instance: InstanceOption = None,
    name: Annotated[str | None, typer.Option("--name", help="Only this parameter; * stands for any text: innodb_*.")] = None,
    changed: Annotated[bool, typer.Option("--changed", help="Only those that differ from their default.")] = False,
) -> View:
    """The parameters of each instance, with where their values come from."""
    found, errors = await _settings(runtime(ctx), cluster, instance or [])
    if name is not None and found:
        _check_name(name, {one.name for settings in found.values() for one in settings})
    rows = [
        _row(instance_name, one)
        for instance_name, settings in found.items()
        for one in settings
        if (name is None or fnmatchcase(one.name.lower(), name.lower())) and (not changed or _is_changed(one))
    ]
    columns = [
        Column(key="instance", title="INSTANCE"),
        Column(key="name", title="PARAMETER"),
        Column(key="value", title="VALUE"),
        Column(key="unit", title="UNIT"),
        Column(key="source", title="SOURCE"),
        Column(key="is_pending_restart", title="RESTART", format=_due),
        Column(key="default", title="DEFAULT", wide=True),
        Column(key="applies", title="TAKES EFFECT", wide=True),
    ]
    return View(kind="SettingList", items=rows, columns=columns, errors=errors, exit_code=_code(errors, rows))


@app.command()
async def diff(ctx: typer.Context, cluster: ClusterName) -> View:
    """Parameters in which the instances differ, and those that wait for a restart."""
    from dbre.ports.settings_drift import drift_between

    found, errors = await _settings(runtime(ctx), cluster, [])
    rows: list[Row] = [
        {"name": one.name, "instance": instance, "value": value, "unit": one.unit, "reason": "differs"}
        for one in drift_between(found)
        for instance, value in one.values.items()
    ]
    rows += [
        {"name": one.name, "instance": instance, "value": one.value, "unit": one.unit, "reason": "waits_for_restart"}
        for instance, settings in found.items()
        for one in settings
        if one.is_pending_restart
    ]
    columns = [
        Column(key="name", title="PARAMETER"),
        Column(key="instance", title="INSTANCE"),
        Column(key="value", title="VALUE"),
        Column(key="unit", title="UNIT"),
        Column(key="reason", title="WHY", format=lambda value: str(value).replace("_", " ")),
    ]
    empty = "the instances have the same parameters, and none waits for a restart"
    return View(
        kind="SettingDriftList", items=rows, columns=columns, errors=errors, empty=empty, exit_code=_code(errors, [*found])
    )


@app.command("apply")
def apply_settings(
    cluster: ClusterName,
    assignments: Annotated[list[str] | None, typer.Argument(metavar="[NAME=VALUE]...", help="work_mem=64MB")] = None,
    *,
    reset: Annotated[
        list[str] | None, typer.Option("--reset", metavar="NAME", help="Take the stored value away; may be given again.")
    ] = None,
    instance: InstanceOption = None,
    revert_if_burning: Annotated[
        str | None, typer.Option("--revert-if-burning", metavar="SLO", help="Take it all back if this SLO suffers.")
    ] = None,
    burn_rate: Annotated[
        float | None, typer.Option("--burn-rate", help="Suffers: burns this many times too fast. Default: it pages.")
    ] = None,
    watch_for: Annotated[
        str | None, typer.Option("--watch-for", metavar="TIME", help="How long to watch the SLO. Default: 10m.")
    ] = None,
) -> Act:
    """Change parameters on every instance of a cluster, replicas first; undone if one fails."""
    from dbre.core.errors import UsageError

    for flag, given in (("--watch-for", watch_for), ("--burn-rate", burn_rate)):
        if given is not None and revert_if_burning is None:
            raise UsageError(f"{flag} needs --revert-if-burning: no SLO is named to watch", hint="add --revert-if-burning SLO")
    asked: dict[str, Any] = {
        "cluster": cluster,
        "set": dict(_assignment(one) for one in assignments or []),
        "reset": reset or [],
        "instances": instance or [],
    }
    if revert_if_burning is not None:
        asked["revert_on"] = {"slo": revert_if_burning, "burn": burn_rate, "watch": watch_for or "10m"}
    return Act(kind="settings.apply", input=asked, view=_applied)


def _check_name(name: str, known: set[str]) -> None:
    """Raises: UsageError where no parameter has such a name."""
    from dbre.core.errors import UsageError
    from dbre.core.text import closest, printable

    if any(fnmatchcase(one.lower(), name.lower()) for one in known):
        return
    near = closest(name, sorted(known))
    parts = f"--name '*{printable(name, limit=60)}*' looks for a part of the name"
    raise UsageError(f"no parameter is named {printable(name, limit=100)}", hint=f"did you mean {near}?" if near else parts)


def _assignment(text: str) -> tuple[str, str]:
    from dbre.core.errors import UsageError
    from dbre.core.text import quoted

    name, equals, value = text.partition("=")
    if not equals or not name.strip():
        raise UsageError(f"{quoted(text, limit=100)} is no assignment", hint="write work_mem=64MB")
    return name.strip(), value


def _applied(record: "OperationRecord") -> View:
    """Each parameter of each instance as it was and as it is now."""
    plan = record.planned.plan
    pending = {
        (step.name, one["name"])
        for step in record.steps
        for one in (step.result or {}).get("settings", [])
        if one.get("is_pending_restart")
    }
    rows = [
        {
            "instance": step.input["instance"],
            "name": one["name"],
            "before": one["before"]["value"],
            "after": one["value"],
            "is_pending_restart": (step.name, one["name"]) in pending,
            "status": "applied",
        }
        for step in plan.steps
        if step.handler == "apply"
        for one in step.input["changes"]
    ]
    changed = {(row["instance"], row["name"]) for row in rows}
    for change in plan.changes:
        instance, _, name = change.subject.partition(": ")
        if (instance, name) not in changed:
            same = {"instance": instance, "name": name, "before": change.before, "after": change.after}
            rows.append(same | {"is_pending_restart": None, "status": "already_applied"})
    columns = [
        Column(key="instance", title="INSTANCE"),
        Column(key="name", title="PARAMETER"),
        Column(key="before", title="BEFORE"),
        Column(key="after", title="AFTER"),
        Column(key="is_pending_restart", title="RESTART", format=_due),
        Column(key="status", title="STATUS", format=lambda value: str(value).replace("_", " ")),
    ]
    return View(kind="AppliedSettingList", items=rows, columns=columns, exit_code=record.exit_code)


async def _settings(
    parts: Runtime, cluster: str, instances: Sequence[str]
) -> "tuple[dict[str, Sequence[Setting]], list[DbreError]]":
    return await _each(parts, cluster, instances, lambda server: server.settings.list())


async def _each(
    parts: Runtime, cluster: str, instances: Sequence[str], ask: "Callable[[Server], Awaitable[_Answer]]"
) -> "tuple[dict[str, _Answer], list[DbreError]]":
    from dbre.capabilities.settings.survey import chosen_instances
    from dbre.core.errors import DbreError
    from dbre.ports.contact import contact

    found = parts.fleet.cluster(cluster)

    async def one(instance: "Instance") -> "_Answer | DbreError":
        try:
            async with contact(parts.engines, found, instance.address, purpose="settings") as server:
                return await ask(server)
        except DbreError as error:
            return error

    chosen = chosen_instances(found, instances)
    answers = await asyncio.gather(*(one(instance) for instance in chosen))
    good = {
        instance.name: answer for instance, answer in zip(chosen, answers, strict=True) if not isinstance(answer, DbreError)
    }
    return good, [answer for answer in answers if isinstance(answer, DbreError)]


def _code(errors: "Sequence[DbreError]", good: Sequence[object]) -> Any:
    from dbre.core.errors import ExitCode

    return errors[0].exit_code if errors and not good else ExitCode.OK


def _row(instance: str, setting: "Setting") -> Row:
    return {
        "instance": instance,
        "name": setting.name,
        "value": setting.value,
        "unit": setting.unit,
        "default": setting.default,
        "source": setting.source,
        "applies": setting.applies.value,
        "is_pending_restart": setting.is_pending_restart,
    }


def _is_changed(setting: "Setting") -> bool:
    """Values that the server works out by itself have the source of a default, and count as one."""
    if setting.source.lower() in _OWN_SESSION:
        return False
    if setting.source in _DEFAULTS:
        return bool(setting.is_pending_restart)
    return setting.default is None or setting.value != setting.default or bool(setting.is_pending_restart)


def _due(value: object) -> str:
    return "due" if value else "-"
