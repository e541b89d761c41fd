"""``dbre slo simulate``: what would have paged."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dbre.core.view import View
from dbre.ports.runtime import Runtime, runtime

if TYPE_CHECKING:
    from dbre.capabilities.slo.budget_policy import BudgetPolicy
    from dbre.capabilities.slo.correction import Interval
    from dbre.capabilities.slo.definition import SloInstance
    from dbre.capabilities.slo.series import SlotSeries
    from dbre.capabilities.slo.simulation.variants import Outcome

__all__ = ["app"]

app = typer.Typer()

Several = list[str] | None


@app.command("simulate")
async def simulate_slo(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="SLO[@CLUSTER[/GROUP]]", help="The SLO whose history or rules are taken.")],
    *,
    days: Annotated[int, typer.Option("--days", min=1, max=400, help="How much of the history, back from now.")] = 30,
    target: Annotated[Several, typer.Option("--target", help="Another target: 99.95%; may be repeated.")] = None,
    window: Annotated[Several, typer.Option("--window", help="Another rolling window: 7d; may be repeated.")] = None,
    rule: Annotated[
        Several, typer.Option("--rule", metavar="RULE", help="Instead of its rules: page:2%:1h:5m; may be repeated.")
    ] = None,
    corrected: Annotated[bool, typer.Option("--corrected", help="Leave out the times that corrections take out.")] = False,
    csv: Annotated[Path | None, typer.Option("--csv", help="Replay this file: time,good,bad.")] = None,
    prometheus: Annotated[
        str | None, typer.Option("--prometheus", metavar="NAME", help="Replay counters of this server of the configuration.")
    ] = None,
    bad: Annotated[str | None, typer.Option("--bad", help="With --prometheus: counters of bad events.")] = None,
    total: Annotated[str | None, typer.Option("--total", help="With --prometheus: counters of all events.")] = None,
    policy: Annotated[bool, typer.Option("--policy", help="When each error-budget policy would have stopped changes.")] = False,
    model: Annotated[bool, typer.Option("--model", help="Replay invented traffic: false pages and detection times.")] = False,
    per_minute: Annotated[
        Several, typer.Option("--per-minute", help="With --model: requests a minute; may be repeated.")
    ] = None,
    runs: Annotated[int, typer.Option("--runs", min=1, max=1000, help="With --model: histories for each rate.")] = 4,
    seed: Annotated[int, typer.Option("--seed", help="With --model: of the invented traffic.")] = 1,
) -> View:
    """What would have paged, and when: a history against this SLO, and against other targets, windows and rules."""
    from dbre.capabilities.slo.simulation.views import model_view, policy_view, simulation_view
    from dbre.core.errors import UsageError

    if model and policy:
        raise UsageError("--policy replays a history, and --model has none", hint="leave one of both out")
    if corrected and csv is not None:
        raise UsageError("corrections are about what was counted, not about a file", hint="leave one of both out")
    parts = runtime(ctx)
    instances = _instances(parts, name)
    if model:
        return await model_view(instances[0], per_minute=per_minute, runs=runs, seed=seed)
    outcomes: list[tuple[SloInstance, list[Outcome]]] = []
    asked: dict[str, Any] = {"targets": target or [], "windows": window or [], "rules": rule or []}
    asked["policies"] = _policies(parts) if policy else ()
    now = parts.clock.now()
    for instance in instances:
        series, interval_ms = await _history(parts, instance, now, days, csv, (prometheus, bad, total))
        asked["corrected"] = await _corrections(parts, instance) if corrected else ()
        outcomes.append((instance, await asyncio.to_thread(_replayed, instance, series, interval_ms, now, days, asked)))
    return policy_view(outcomes) if policy else simulation_view(outcomes)


def _policies(parts: Runtime) -> "tuple[BudgetPolicy, ...]":
    from dbre.capabilities.slo.budget_documents import ERROR_BUDGET_POLICIES, budget_policies

    return budget_policies(parts.config.get(ERROR_BUDGET_POLICIES))


def _instances(parts: Runtime, name: str) -> "tuple[SloInstance, ...]":
    from dbre.capabilities.slo.documents import SLOS, definitions_from
    from dbre.capabilities.slo.reading import select_instances

    return select_instances(definitions_from(parts.config.get(SLOS)), parts.fleet, name=name)


async def _history(
    parts: Runtime,
    instance: "SloInstance",
    now: datetime,
    days: int,
    csv: Path | None,
    counters: tuple[str | None, str | None, str | None],
) -> "tuple[SlotSeries, int]":
    from dbre.capabilities.slo.look_back import longest_look_back
    from dbre.capabilities.slo.simulation.csv_history import read_csv
    from dbre.capabilities.slo.simulation.stored import stored_history

    if csv is not None:
        return await asyncio.to_thread(read_csv, csv), 0
    if counters[0] is not None or counters[1] is not None:
        return await _from_prometheus(parts, instance, now, days, counters), 0
    since = now - timedelta(days=days, seconds=longest_look_back(instance))
    async with parts.open_store() as store:
        return await stored_history(store, instance, since=since, until=now)


async def _corrections(parts: Runtime, instance: "SloInstance") -> "tuple[Interval, ...]":
    from dbre.capabilities.slo.simulation.stored import stored_corrections

    async with parts.open_store() as store:
        return await stored_corrections(store, instance)


async def _from_prometheus(
    parts: Runtime, instance: "SloInstance", now: datetime, days: int, counters: tuple[str | None, str | None, str | None]
) -> "SlotSeries":
    from dbre.capabilities.slo.polling.documents import PROMETHEUS
    from dbre.capabilities.slo.simulation.stored import prometheus_history
    from dbre.capabilities.slo.sources import PrometheusSource
    from dbre.core.errors import UsageError
    from dbre.core.text import closest

    name, bad, total = counters
    source = instance.definition.sli.source
    if isinstance(source, PrometheusSource):
        name, bad, total = name or source.prometheus, bad or source.bad, total or source.total
    if name is None or bad is None or total is None:
        raise UsageError(
            f"SLO {instance.definition.name} has no counters of a Prometheus of its own",
            hint="give --prometheus NAME --bad COUNTERS --total COUNTERS",
        )
    servers = {one.name: one for one in parts.config.get(PROMETHEUS)}
    if name not in servers:
        near = closest(name, list(servers))
        hint = f"did you mean {near}?" if near else "add it under `prometheus` in dbre.yaml: name, url"
        raise UsageError(f"no server of the section prometheus is named {name}", hint=hint)
    since = now - timedelta(days=days)
    return await prometheus_history(servers[name], bad=bad, total=total, cluster=instance.cluster.name, since=since, until=now)


def _replayed(
    instance: "SloInstance", series: "SlotSeries", interval_ms: int, now: datetime, days: int, asked: dict[str, Any]
) -> "list[Outcome]":
    from dbre.capabilities.slo.series import slot_at
    from dbre.capabilities.slo.simulation.variants import read_rule, read_target, read_window, simulate, variants_of

    end = min(slot_at(now) + 1, series.end or slot_at(now) + 1)  # a file may be of another year
    start = max(end - days * 8_640, series.first if series.first is not None else end - days * 8_640)
    chosen = variants_of(
        instance.definition,
        targets=[read_target(one) for one in asked["targets"]],
        windows=[read_window(one) for one in asked["windows"]],
        rules=[read_rule(one) for one in asked["rules"]],
    )
    given: dict[str, Any] = {"start": start, "end": end, "interval_ms": interval_ms}
    given |= {"policies": asked["policies"], "corrected": asked["corrected"]}
    return [simulate(one, instance, series, **given) for one in chosen]
