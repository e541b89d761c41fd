"""``dbre backup``: the stream of changes: where it stands, gaps, the archive client, the map of what can be recovered."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from dbre.core.operation.act import Act
from dbre.core.view import Column, PluginState, PluginStatus, Row, View
from dbre.ports.runtime import runtime

if TYPE_CHECKING:
    from datetime import datetime

    from dbre.capabilities.backup.log.gaps import MissingLog
    from dbre.capabilities.backup.log.status import LogStatus
    from dbre.capabilities.backup.model import Catalog, RecoveryInterval

__all__ = ["app"]

app = typer.Typer()
log = typer.Typer(help="The stream of changes: where it stands, what is missing.", no_args_is_help=True)
app.add_typer(log, name="log")

Cluster = Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")]
SomeCluster = Annotated[str | None, typer.Argument(metavar="[CLUSTER]", help="Default: all with a policy.")]


@log.command()
async def status(ctx: typer.Context, cluster: SomeCluster = None) -> View:
    """Where the log of each cluster stands: on the server, in the spool, in the vaults."""
    from dbre.capabilities.backup.log.status import log_status
    from dbre.core.errors import ExitCode

    parts = runtime(ctx)
    names = [cluster] if cluster is not None else [one.name for one in parts.fleet.clusters]
    async with parts.open_store() as store:
        ground = parts.backups(store)
        if cluster is not None:
            ground.require_policy(cluster)
        kept = [name for name in names if (policy := ground.policy_of(name)) is not None and policy.log.mode != "none"]
        found = [await log_status(ground, store, name) for name in kept]
    bad = [one for one in found if not one.is_good]
    return View(
        kind="BackupLogStatusList",
        items=[_status_row(one) for one in found],
        columns=(
            Column(key="cluster", title="CLUSTER"),
            Column(key="is_good", title="KEPT", format=_yes),
            Column(key="mode", title="MODE"),
            Column(key="instance", title="WRITTEN BY"),
            Column(key="received_by", title="RECEIVED BY"),
            Column(key="kept_bytes", title="KEPT ON SERVER", format=_bytes, right=True),
            Column(key="spool_bytes", title="SPOOL", format=_bytes, right=True),
            Column(key="newest_vaulted", title="VAULTED"),
            Column(key="missing", title="HOLES", right=True),
            Column(key="open_gaps", title="OPEN GAPS", right=True),
            Column(key="system_id", title="SYSTEM", wide=True),
            Column(key="timeline", title="TIMELINE", wide=True, right=True),
            Column(key="slot_state", title="SLOT", wide=True),
            Column(key="newest_verified", title="VERIFIED", wide=True),
        ),
        empty="no cluster has a policy that keeps its log",
        notes=[f"{one.cluster}: {reason}" for one in found for reason in one.reasons],
        errors=[one.error for one in found if one.error is not None],
        exit_code=ExitCode.FINDINGS if bad else ExitCode.OK,
        plugin=PluginStatus(
            state=PluginState.CRITICAL if bad else PluginState.OK,
            text=_worst(bad[0]) if bad else "the log of every cluster is kept",
        ),
    )


@log.command()
async def gaps(ctx: typer.Context, cluster: SomeCluster = None) -> View:
    """Parts of the log that are missing: those that were noted with what is done about them, and holes found just now."""
    from dbre.capabilities.backup.catalog.loading import load_catalog
    from dbre.capabilities.backup.log.missing import find_missing
    from dbre.core.errors import ExitCode

    parts = runtime(ctx)
    names = [cluster] if cluster is not None else [one.name for one in parts.fleet.clusters]
    rows: list[Row] = []
    async with parts.open_store() as store:
        for name in names:
            parts.fleet.cluster(name)
            catalog = await load_catalog(store, name)
            rows += [
                {
                    "cluster": name,
                    "kind": "gap" if one.ended_at is None else "closed gap",
                    "timeline": one.timeline,
                    "start": one.start,
                    "end": one.end,
                    "start_text": None,
                    "end_text": None,
                    "began_at": _moment(one.began_at),
                    "ended_at": _moment(one.ended_at),
                    "reason": one.reason,
                    "remedy": one.remedy,
                }
                for one in catalog.gaps
            ]
            still_open = find_missing(catalog, only_open=True)
            rows += [
                {
                    "cluster": name,
                    "kind": "hole" if one in still_open else "closed hole",
                    "timeline": one.timeline,
                    "start": one.start.value,
                    "end": one.end.value,
                    "start_text": one.start.text,
                    "end_text": one.end.text,
                    "began_at": None,
                    "ended_at": None,
                    "reason": _why_missing(catalog, one),
                    "remedy": f"a full copy: dbre backup take {name} --kind full"
                    if one in still_open
                    else "a full copy was taken after it",
                }
                for one in find_missing(catalog)
                if not _is_noted(catalog, one)
            ]
    is_open = any(one["kind"] in ("gap", "hole") for one in rows)
    return View(
        kind="RecoveryGapList",
        items=rows,
        columns=(
            Column(key="cluster", title="CLUSTER"),
            Column(key="kind", title="WHAT"),
            Column(key="timeline", title="TIMELINE", right=True),
            Column(key="began_at", title="SINCE"),
            Column(key="ended_at", title="CLOSED"),
            Column(key="reason", title="REASON"),
            Column(key="remedy", title="REMEDY"),
        ),
        empty="nothing is missing",
        exit_code=ExitCode.FINDINGS if is_open else ExitCode.OK,
    )


@log.command()
def release(cluster: Cluster) -> Act:
    """Let servers keep no log for a receiver that no policy wants any more: drops the slot dbre_CLUSTER."""
    return Act(kind="backup.release_log", input={"cluster": cluster})


@log.command("archive-client")
async def archive_client(
    ctx: typer.Context,
    cluster: Cluster,
    *,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the program is written.")],
) -> View:
    """Write the program for a server's archive_command; it hands log files to the control plane on this machine."""
    from dbre.capabilities.backup.log.archive_client import archive_setting, write_client
    from dbre.capabilities.backup.log.keeper import archive_socket

    parts = runtime(ctx)
    ground = parts.backups(None)
    ground.require_policy(cluster)
    socket = archive_socket(ground).absolute()
    write_client(out.absolute(), cluster, socket)
    setting = archive_setting(out.absolute())
    return View(
        kind="ArchiveClient",
        items=[{"path": str(out.absolute()), "socket": str(socket), "cluster": cluster, "setting": setting}],
        columns=(
            Column(key="path", title="PROGRAM"),
            Column(key="socket", title="SOCKET"),
            Column(key="setting", title="SETTING OF THE SERVER"),
        ),
        single=True,
        notes=["the server needs archive_mode = on, which takes a restart; the policy needs log: {mode: archive}"],
    )


@app.command("map")
async def recovery_map(ctx: typer.Context, cluster: Cluster) -> View:
    """To which moments one can go back: intervals, what is missing between them, and which moments were proved."""
    from dbre.capabilities.backup.catalog.clock import list_samples
    from dbre.capabilities.backup.catalog.drills import list_drills
    from dbre.capabilities.backup.catalog.loading import load_catalog
    from dbre.capabilities.backup.log.intervals import recovery_intervals
    from dbre.capabilities.backup.model import DrillVerdict
    from dbre.core.errors import ExitCode

    parts = runtime(ctx)
    parts.fleet.cluster(cluster)
    async with parts.open_store() as store:
        catalog = await load_catalog(store, cluster)
        async with store.read() as connection:
            samples = await list_samples(connection, cluster)
            drills = await list_drills(connection, cluster=cluster)
    intervals = recovery_intervals(catalog, samples)
    rows: list[Row] = [_interval_row(one) for one in intervals]
    rows += [
        _map_row(kind="gap", timeline=one.timeline, start_at=one.began_at, end_at=one.ended_at, detail=one.reason)
        for one in catalog.gaps
    ]
    rows += [
        _map_row(
            kind="proven",
            timeline=one.reached.timeline if one.reached is not None else None,
            start_at=one.reached_commit_at,
            end_at=one.reached_commit_at,
            detail=f"drill of {_moment(one.ended_at)} to {one.target_kind} reached level {one.level}",
        )
        for one in drills
        if one.verdict is DrillVerdict.PASS
    ]
    return View(
        kind="RecoveryMap",
        items=rows,
        columns=(
            Column(key="kind", title="WHAT"),
            Column(key="timeline", title="TIMELINE", right=True),
            Column(key="start_at", title="FROM"),
            Column(key="end_at", title="TO"),
            Column(key="start", title="FROM POSITION", wide=True),
            Column(key="end", title="TO POSITION", wide=True),
            Column(key="detail", title="DETAIL", below=True),
        ),
        empty=f"nothing of {cluster} can be recovered: it has no sealed set with its log",
        exit_code=ExitCode.OK if intervals else ExitCode.FINDINGS,
    )


def _is_noted(catalog: "Catalog", one: "MissingLog") -> bool:
    """Whether a gap is written down that is the same, or has it in itself."""
    return any(
        gap.timeline == one.timeline
        and (gap.end == one.end.value or (gap.start <= one.start.value and (gap.end is None or one.end.value <= gap.end)))
        for gap in catalog.gaps
    )


def _why_missing(catalog: "Catalog", one: "MissingLog") -> str:
    from dbre.capabilities.backup.model import LogState
    from dbre.core.text import printable

    damaged = [
        printable(log.file.name, limit=80)
        for log in catalog.logs
        if log.state is LogState.LOST
        and log.file.timeline == one.timeline
        and log.file.start < one.end.value
        and one.start.value < log.file.end
    ]
    where = f"from {one.start.text} to {one.end.text}"
    return f"no log file {where}" if not damaged else f"the records of {', '.join(damaged)} cannot be read, {where}"


def _interval_row(one: "RecoveryInterval") -> Row:
    count = len(one.set_ids)
    return _map_row(
        kind="recoverable",
        timeline=one.timeline,
        start_at=one.start_at,
        end_at=one.end_at,
        start=one.start.text,
        end=one.end.text,
        detail=f"from {count} set{'' if count == 1 else 's'}, the newest {one.set_ids[-1]}",
    )


def _map_row(
    *,
    kind: str,
    timeline: int | None,
    start_at: "datetime | None",
    end_at: "datetime | None",
    detail: str,
    start: str | None = None,
    end: str | None = None,
) -> Row:
    moments = {"start_at": _moment(start_at), "end_at": _moment(end_at)}
    return {"kind": kind, "timeline": timeline, **moments, "start": start, "end": end, "detail": detail}


def _status_row(one: "LogStatus") -> Row:
    backlog = one.backlog
    return {
        "cluster": one.cluster,
        "mode": one.mode,
        "instance": one.instance,
        "system_id": one.system_id,
        "timeline": one.timeline,
        "position": backlog.position.text if backlog is not None else None,
        "slot_state": backlog.state.value if backlog is not None else None,
        "received_by": backlog.active_by if backlog is not None else None,
        "flushed": backlog.flushed.text if backlog is not None and backlog.flushed is not None else None,
        "kept_bytes": backlog.kept_bytes if backlog is not None else None,
        "archive_failed": backlog.archive_failed if backlog is not None else None,
        "spool_files": one.spool_files,
        "spool_bytes": one.spool_bytes,
        "newest_vaulted": one.newest_vaulted.file.name if one.newest_vaulted is not None else None,
        "newest_verified": one.newest_verified.file.name if one.newest_verified is not None else None,
        "missing": len(one.missing),
        "open_gaps": len(one.open_gaps),
        "is_good": one.is_good,
        "heard_at": _moment(one.heard_at),
        "reasons": [*([one.error.message] if one.error is not None else []), *one.reasons],
    }


def _worst(one: "LogStatus") -> str:
    reason = one.error.message if one.error is not None else one.reasons[0]
    return f"the log of {one.cluster} is not kept without a gap: {reason}"


def _yes(value: object) -> str:
    return "yes" if value else "no"


def _moment(value: "datetime | None") -> str | None:
    return None if value is None else value.isoformat(timespec="seconds").replace("+00:00", "Z")


def _bytes(value: object) -> str:
    from dbre.core.units import format_bytes

    return "-" if value is None else format_bytes(cast(int, value))
