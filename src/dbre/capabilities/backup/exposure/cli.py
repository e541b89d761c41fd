"""``dbre backup``: how much would be lost now."""

from typing import TYPE_CHECKING, Annotated, cast

import typer

from dbre.core.view import Column, PluginState, PluginStatus, Row, View
from dbre.ports.runtime import runtime

if TYPE_CHECKING:
    from dbre.capabilities.backup.exposure.model import Exposure

__all__ = ["app"]

app = typer.Typer()


@app.command()
async def exposure(
    ctx: typer.Context,
    cluster: Annotated[str | None, typer.Argument(metavar="[CLUSTER]", help="Default: all with a policy.")] = None,
) -> View:
    """What would be lost if the servers burned down now, against the objective; unknown counts as too much."""
    import asyncio

    from dbre.capabilities.backup.exposure.exposure import measure
    from dbre.core.errors import ExitCode

    parts = runtime(ctx)
    names = [cluster] if cluster is not None else [one.name for one in parts.fleet.clusters]
    for name in names:
        parts.fleet.cluster(name)
    async with parts.open_store() as store:
        ground = parts.backups(store)
        policies = {name: ground.policy_of(name) for name in names}
        if cluster is not None:
            ground.require_policy(cluster)
        wanted = {name: one for name, one in policies.items() if one is not None and one.log.mode != "none"}
        found = await asyncio.gather(*(measure(ground, name) for name in wanted))
    limits = {name: one.recovery_point.total_seconds() for name, one in wanted.items()}
    rows = [row for one in found for row in _rows(one, limits[one.cluster])]
    over = [one for one in found if not one.is_within(limits[one.cluster])]
    state = PluginState.OK if not over else PluginState.CRITICAL
    text = "no cluster exposes more than its objective" if not over else f"{over[0].cluster}: {_words(over[0])}"
    return View(
        kind="ExposureList",
        items=rows,
        columns=(
            Column(key="cluster", title="CLUSTER"),
            Column(key="tier", title="TIER"),
            Column(key="seconds", title="WOULD LOSE", format=_duration, right=True),
            Column(key="bytes", title="LOG", format=_bytes, right=True),
            Column(key="objective_seconds", title="OBJECTIVE", format=_duration, right=True),
            Column(key="is_within", title="WITHIN", format=lambda value: "-" if value is None else "yes" if value else "no"),
            Column(key="position", title="RECOVERABLE TO", wide=True),
            Column(key="reason_unknown", title="WHY UNKNOWN", below=True),
        ),
        empty="no cluster has a policy that keeps its log",
        notes=[f"{one.cluster}: {_words(one)}; the objective is {_duration(limits[one.cluster])}" for one in over],
        exit_code=ExitCode.FINDINGS if over else ExitCode.OK,
        plugin=PluginStatus(state=state, text=text),
    )


def _rows(one: "Exposure", limit: float) -> list[Row]:
    best: Row = {
        "id": f"best@{one.cluster}",
        "cluster": one.cluster,
        "tier": "best",
        "at": one.at.isoformat().replace("+00:00", "Z"),
        "seconds": one.seconds,
        "bytes": one.bytes,
        "objective_seconds": limit,
        "is_within": one.is_within(limit),
        "position": one.position.text if one.position is not None else None,
        "reason_unknown": one.reason_unknown,
    }
    return [best] + [
        {
            **best,
            "id": f"{tier.tier.value}@{one.cluster}",
            "tier": tier.tier.value,
            "seconds": tier.seconds,
            "bytes": tier.bytes,
            "is_within": None,
            "position": tier.position.text if tier.position is not None else None,
            "reason_unknown": tier.reason_unknown,
        }
        for tier in one.tiers
    ]


def _words(one: "Exposure") -> str:
    if one.seconds is None:
        return f"exposure is not known: {one.reason_unknown}"
    return f"{_duration(one.seconds)} of changes would be lost"


def _duration(value: object) -> str:
    from dbre.core.units import format_duration

    return "not known" if value is None else format_duration(cast(float, value))


def _bytes(value: object) -> str:
    from dbre.core.units import format_bytes

    return "-" if value is None else format_bytes(cast(int, value))
