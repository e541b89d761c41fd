"""``dbre ha observe`` and ``dbre ha verdict``: an observer of its own, and what all of them say."""

import math
from typing import TYPE_CHECKING, Annotated

import typer

from dbre.core.view import View
from dbre.ports.runtime import runtime

if TYPE_CHECKING:
    from dbre.capabilities.ha.detection.observing import Vouch
    from dbre.capabilities.ha.detection.weighing import Weighing
    from dbre.core.fleet import Cluster

__all__ = ["app"]

app = typer.Typer()

_LATE_SECONDS = 10.0


@app.command()
async def observe(
    ctx: typer.Context,
    clusters: Annotated[
        list[str] | None, typer.Argument(metavar="[CLUSTER]...", help="Default: every cluster that names this observer.")
    ] = None,
    *,
    name: Annotated[str, typer.Option("--as", metavar="NAME", help="Which of the observers of the configuration this is.")],
    every: Annotated[str, typer.Option("--every", metavar="TIME", help="From one round to the next.")] = "500ms",
    lasting: Annotated[str | None, typer.Option("--for", metavar="TIME", help="Then end. Default: until Ctrl-C.")] = None,
) -> View:
    """Watch the primary from here and report to the state store; run it where the network takes another path."""
    from dbre.capabilities.ha.config_document import HA
    from dbre.capabilities.ha.detection.observing import observe_all, observed_by
    from dbre.capabilities.ha.watchdog.sending import sender_for
    from dbre.core.progress import report
    from dbre.core.text import counted
    from dbre.core.units import parse_duration

    parts = runtime(ctx)
    settings = parts.config.get(HA)
    chosen = observed_by(settings, parts.fleet, name, clusters or [])

    async def vouch_of(cluster: "Cluster") -> "Vouch | None":
        sender = await sender_for(settings, cluster, name)
        return sender.send if sender is not None else None

    seconds = parse_duration(lasting).total_seconds() if lasting is not None else None
    report(f"{name} watches {', '.join(one.name for one in chosen)}; stop with Ctrl-C")
    async with parts.open_store() as store:
        rounds = await observe_all(
            parts.engines,
            parts.fleet,
            chosen,
            store,
            parts.clock,
            name=name,
            every_seconds=parse_duration(every).total_seconds(),
            for_seconds=seconds,
            vouch_of=vouch_of,
        )
    text = "".join(f"{cluster}: {counted(count, 'round')}\n" for cluster, count in rounds.items())
    items = [{"cluster": cluster, "observer": name, "rounds": count} for cluster, count in rounds.items()]
    return View(kind="HaObservationList", items=items, text=text)


@app.command()
async def verdict(
    ctx: typer.Context, cluster: Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")]
) -> View:
    """What the observers of a cluster say of its primary, and what that allows; ends with 3 where anything is wrong."""
    from dbre.capabilities.ha.config_document import HA
    from dbre.capabilities.ha.detection.reports import Listener
    from dbre.core.errors import ExitCode, UsageError

    parts = runtime(ctx)
    found = parts.fleet.cluster(cluster)
    settings = parts.config.get(HA).of(found.name).failover
    if settings is None or not settings.observers:
        raise UsageError(
            f"cluster {found.name} has no observers", hint="list them: ha: clusters: - cluster: ... failover: observers: [a, b]"
        )
    async with parts.open_store() as store:
        weighed = await Listener(store, found.name, parts.clock).settled(settings.rules)
    return View(
        kind="HaVerdict",
        items=[_document(found.name, weighed)],
        single=True,
        text=_text(found.name, weighed),
        exit_code=ExitCode.OK if weighed.judgement.is_healthy and not weighed.notes else ExitCode.FINDINGS,
    )


def _document(cluster: str, weighed: "Weighing") -> dict[str, object]:
    return {
        "cluster": cluster,
        "primary": weighed.primary,
        "verdicts": [one.value for one in weighed.judgement.verdicts],
        "action": weighed.judgement.action.value,
        "reasons": list(weighed.judgement.reasons),
        "observers": [
            {
                "name": name,
                "counts_as": contact.value,
                "note": weighed.notes.get(name),
                "contact": weighed.reports[name].contact.value if name in weighed.reports else None,
                "unheard_seconds": weighed.reports[name].unheard_seconds if name in weighed.reports else None,
            }
            for name, contact in weighed.contacts.items()
        ],
        "patience": {name: seconds if seconds < math.inf else None for name, seconds in weighed.patience.items()},
    }


def _text(cluster: str, weighed: "Weighing") -> str:
    from dbre.core.units import format_duration

    judgement = weighed.judgement
    words = ", ".join(one.value.replace("_", " ") for one in judgement.verdicts) or "healthy"
    lines = [f"{cluster}: primary {weighed.primary or 'unknown'}, {words}; allows: {judgement.action.value.replace('_', ' ')}"]
    lines += [f"  {one}" for one in judgement.reasons]
    for name, contact in weighed.contacts.items():
        note = weighed.notes.get(name)
        said = weighed.reports[name].contact.value if name in weighed.reports else "nothing"
        lines.append(f"{name}: says {said}" + (f"; does not count: {note}" if note else f"; counts as {contact.value}"))
    late = {name: seconds for name, seconds in weighed.patience.items() if seconds > _LATE_SECONDS}
    if late:
        times = ", ".join(f"{name} {format_duration(one) if one < math.inf else 'never'}" for name, one in late.items())
        lines.append(f"a frozen or black-holed primary is not dead before its replicas give it up, these late: {times}")
    return "\n".join(lines) + "\n"
