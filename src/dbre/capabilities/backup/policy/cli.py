"""``dbre backup``: copies: taken, listed, shown, verified, checked against policies."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from dbre.core.operation.act import Act
from dbre.core.view import Column, PluginState, PluginStatus, Row, View
from dbre.ports.runtime import runtime

if TYPE_CHECKING:
    import asyncio

    from dbre.capabilities.backup.ground import BackupGround
    from dbre.capabilities.backup.model import BackupSet
    from dbre.core.checks import Finding
    from dbre.core.fleet import Cluster
    from dbre.core.operation.model import OperationRecord
    from dbre.ports.backup.model import Tool, Verified

__all__ = ["app"]

app = typer.Typer()

ClusterName = Annotated[str, typer.Argument(metavar="CLUSTER", help="A cluster of the inventory.")]
AnyCluster = Annotated[str | None, typer.Argument(metavar="[CLUSTER]", help="Only this cluster.")]
SetName = Annotated[str, typer.Argument(metavar="SET", help="Its id, or an end of it (dbre backup list).")]


@app.command()
def take(
    cluster: ClusterName,
    *,
    kind: Annotated[
        str, typer.Option("--kind", metavar="KIND", help="auto, full, incremental; other engines: logical, snapshot.")
    ] = "auto",
    instance: Annotated[str | None, typer.Option("--instance", metavar="NAME", help="Copy this server.")] = None,
    self_contained: Annotated[
        bool, typer.Option("--self-contained", help="Copy the log that makes it consistent, too; wait for no archive.")
    ] = False,
) -> Act:
    """Copy a cluster, verify the copy, store it in every vault of its policy, and seal it."""
    asked: dict[str, Any] = {"cluster": cluster, "kind": kind, "instance": instance, "self_contained": self_contained}
    return Act(kind="backup.take", input=asked, view=_taken)


@app.command("list")
async def list_backups(
    ctx: typer.Context,
    cluster: AnyCluster = None,
    *,
    everything: Annotated[bool, typer.Option("--all", help="Also what failed, and what is deleted.")] = False,
    held: Annotated[bool, typer.Option("--held", help="Only what is held.")] = False,
) -> View:
    """Sets, the newest first."""
    from dbre.capabilities.backup.catalog.sets import list_sets
    from dbre.capabilities.backup.model import SetState

    parts = runtime(ctx)
    if cluster is not None:
        parts.fleet.cluster(cluster)
    past = {SetState.FAILED, SetState.ORPHANED, SetState.DELETED}
    async with parts.open_store() as store, store.read() as connection:
        found = await list_sets(connection, cluster=cluster)
    rows = [
        _row(one) for one in reversed(found) if (everything or one.state not in past) and (one.hold is not None or not held)
    ]
    return View(kind="BackupSetList", items=rows, columns=_COLUMNS, empty="no backups: dbre backup take CLUSTER makes one")


@app.command()
async def show(ctx: typer.Context, name: SetName) -> View:
    """One set with everything that is known of it."""
    from dbre.capabilities.backup.catalog.drills import list_drills
    from dbre.capabilities.backup.catalog.sets import list_sets, set_named

    async with runtime(ctx).open_store() as store, store.read() as connection:
        found = await set_named(connection, name)
        children = [one.id for one in await list_sets(connection, cluster=found.cluster) if one.parent_id == found.id]
        drills = await list_drills(connection, set_id=found.id, limit=1)
    last = drills[0] if drills else None
    row: dict[str, object] = {
        **_row(found),
        "engine": found.engine,
        "policy": found.policy,
        "provider": found.provider,
        "system_id": found.system_id,
        "version": found.version_text,
        "tool": found.tool,
        "manifest_sha256": found.manifest_sha256,
        "lock_until": _moment(found.lock_until),
        "operation_id": str(found.operation_id) if found.operation_id is not None else None,
        "children": children,
        "last_drill": None if last is None else f"{last.verdict} at {_moment(last.ended_at)}: {last.reason}",
        "details": dict(found.details),
    }
    return View(kind="BackupSet", items=[row], single=True)


@app.command()
async def verify(
    ctx: typer.Context,
    name: SetName,
    *,
    vault: Annotated[str | None, typer.Option("--vault", metavar="NAME", help="Only the copy in this vault.")] = None,
) -> View:
    """Read a set back from its vaults and compare every file with the manifest (L1); a drill proves more."""
    from dbre.capabilities.backup.catalog.sets import set_named
    from dbre.capabilities.backup.policy.reading_back import read_back
    from dbre.core.errors import ExitCode, UsageError

    parts = runtime(ctx)
    async with parts.open_store() as store:
        async with store.read() as connection:
            found = await set_named(connection, name)
        vaults = [one for one in found.vaults if vault in (None, one)]
        if not vaults:
            raise UsageError(f"set {found.id} does not lie there", hint=f"it lies in {', '.join(found.vaults) or 'no vault'}")
        ground = parts.backups(store)
        seen = [(one, await read_back(ground, found, one)) for one in vaults]
    rows = [row for one, checked in seen for row in _verified(found, one, checked)]
    is_good = all(checked.is_good for _, checked in seen)
    return View(
        kind="BackupVerificationList",
        items=rows,
        columns=[
            Column(key="vault", title="VAULT"),
            Column(key="outcome", title="OUTCOME"),
            Column(key="subject", title="FILE"),
            Column(key="detail", title="DETAIL"),
        ],
        exit_code=ExitCode.OK if is_good else ExitCode.FINDINGS,
    )


@app.command()
async def policies(ctx: typer.Context) -> View:
    """Policies with the clusters that they are for; a cluster belongs to the first that selects it."""
    from dbre.capabilities.backup.policy.schedules import policies_by_cluster
    from dbre.core.config.fields import duration_text

    parts = runtime(ctx)
    ground = parts.backups(None)
    pairs = policies_by_cluster(ground.settings, parts.fleet)
    rows: list[Row] = [
        {
            "policy": one.name,
            "clusters": [cluster.name for cluster, policy in pairs if policy is one],
            "provider": one.provider,
            "vaults": list(one.vaults),
            "full_cron": one.full_cron,
            "incremental_cron": one.incremental_cron,
            "drill_cron": one.drill.cron,
            "time_zone": one.time_zone,
            "log": one.log.mode,
            "recovery_point_seconds": one.recovery_point.total_seconds(),
            "recovery_time_seconds": one.recovery_time.total_seconds(),
            "window": None if one.retention.window is None else duration_text(one.retention.window),
        }
        for one in ground.settings.policies
    ]
    named = {cluster.name for cluster, _ in pairs}
    without = [one.name for one in parts.fleet.clusters if one.name not in named]
    return View(
        kind="BackupPolicyList",
        items=rows,
        columns=[
            Column(key="policy", title="POLICY"),
            Column(key="clusters", title="CLUSTERS", format=_joined),
            Column(key="vaults", title="VAULTS", format=_joined),
            Column(key="full_cron", title="FULL"),
            Column(key="incremental_cron", title="INCREMENTAL"),
            Column(key="drill_cron", title="DRILL"),
            Column(key="recovery_point_seconds", title="RPO", format=_span, right=True),
            Column(key="recovery_time_seconds", title="RTO", format=_span, right=True),
            Column(key="window", title="WINDOW", right=True),
            Column(key="log", title="LOG", wide=True),
            Column(key="provider", title="PROVIDER", wide=True),
            Column(key="time_zone", title="ZONE", wide=True),
        ],
        notes=[f"no policy selects {', '.join(without)}"] if without else [],
        empty="no policies: add backup.policies to dbre.yaml",
    )


@app.command()
async def check(
    ctx: typer.Context,
    cluster: AnyCluster = None,
    *,
    fail_on: Annotated[
        str, typer.Option("--fail-on", metavar="SEVERITY", help="End with exit code 3 from this severity on.")
    ] = "error",
) -> View:
    """What is not as policies want it: overdue, unproven, not off-site, gaps, chains, forecasts, log, silent vaults."""
    from dbre.capabilities.backup.policy.asking import ask_servers
    from dbre.capabilities.backup.policy.asking_vaults import ask_vaults
    from dbre.capabilities.backup.policy.examining import examine_backups
    from dbre.capabilities.backup.policy.log_keeping import examine_keeping
    from dbre.capabilities.backup.policy.stuck import examine_stuck
    from dbre.core.checks import Severity, exit_code_of, worst_first
    from dbre.core.errors import UsageError
    from dbre.core.text import counted, quoted

    if fail_on not in set(Severity):
        raise UsageError(f"{quoted(fail_on, limit=40)} is no severity", hint=f"write {', '.join(Severity)}")
    parts = runtime(ctx)
    clusters = [parts.fleet.cluster(cluster)] if cluster is not None else list(parts.fleet.clusters)
    async with parts.open_store() as store:
        ground = parts.backups(store)
        found = [
            *await examine_backups(ground, clusters, parts.clock),
            *await ask_servers(ground, clusters),
            *await ask_vaults(ground, clusters),
            *await examine_keeping(ground, store, clusters),
            *await examine_stuck(store, clusters),
        ]
    found = worst_first(found)
    return View(
        kind="FindingList",
        items=[_finding(one) for one in found],
        columns=[
            Column(key="severity", title="SEVERITY"),
            Column(key="subject", title="SUBJECT"),
            Column(key="summary", title="FINDING", below=True),
            Column(key="fix", title="FIX", below=True),
            Column(key="rule", title="RULE", wide=True),
        ],
        empty=f"the backups of {counted(len(clusters), 'cluster')} are as their policies want them",
        exit_code=exit_code_of(found, fail_on=Severity(fail_on)),
        plugin=_plugin(found),
    )


@app.command()
async def tools(ctx: typer.Context, cluster: AnyCluster = None) -> View:
    """The programs that backups need, each tried by asking for its version."""
    from dbre.core.errors import ExitCode

    parts = runtime(ctx)
    clusters = [parts.fleet.cluster(cluster)] if cluster is not None else list(parts.fleet.clusters)
    found, errors = await _tools(parts.backups(None), clusters)
    return View(
        kind="BackupToolList",
        items=[
            {"engine": engine, "name": one.name, "version": one.version, "path": one.path, "problem": one.problem}
            for engine, one in found
        ],
        columns=[
            Column(key="engine", title="ENGINE"),
            Column(key="name", title="PROGRAM"),
            Column(key="version", title="VERSION"),
            Column(key="path", title="PATH"),
            Column(key="problem", title="PROBLEM"),
        ],
        errors=errors,
        empty="no engine of the inventory needs programs",
        exit_code=errors[0].exit_code if errors and not found else ExitCode.OK,
    )


async def _tools(ground: "BackupGround", clusters: "list[Cluster]") -> "tuple[list[tuple[str, Tool]], list[Any]]":
    import asyncio

    from dbre.core.errors import DbreError
    from dbre.ports.contact import CONCURRENT_SERVERS

    limit = asyncio.Semaphore(CONCURRENT_SERVERS)
    versions = await asyncio.gather(*(_version_of(ground, one, limit) for one in clusters))
    found: list[tuple[str, Tool]] = []
    errors: list[DbreError] = []
    asked: set[tuple[str, str, str | None]] = set()
    for cluster, version in zip(clusters, versions, strict=True):
        policy = ground.policy_of(cluster.name)
        provider = policy.provider if policy is not None else "native"
        if (cluster.engine, provider, version) in asked:
            continue
        asked.add((cluster.engine, provider, version))
        try:
            tools = await ground.port_of(cluster, provider=provider).tools(version=version)
            found += [(cluster.engine, one) for one in tools if (cluster.engine, one) not in found]
        except DbreError as error:
            errors.append(error)
    return found, errors


async def _version_of(ground: "BackupGround", cluster: "Cluster", limit: "asyncio.Semaphore") -> str | None:
    """The version of the first server that answers: its programs are what is looked for; None: the newest."""
    from dbre.core.errors import DbreError
    from dbre.ports.contact import contact

    for instance in cluster.instances:
        try:
            async with limit, contact(ground.engines, cluster, instance.address, purpose="backup") as server:
                return (await server.session.identify()).version_text
        except DbreError:  # the next one; fleet check is who tells that a server is down
            continue
    return None


def _taken(record: "OperationRecord") -> View:
    """What became of the copy, from the results of its steps."""
    results = {one.name: one.result or {} for one in record.steps}
    copied, sealed = results.get("copy", {}), results.get("seal", {})
    vaults = [one["vault"] for name, one in results.items() if name.startswith("store:") and one]
    row: dict[str, object] = {
        "set": sealed.get("set") or copied.get("set"),
        "kind": record.planned.plan.observed.get("kind"),
        "parent_id": record.planned.plan.observed.get("parent_id"),
        "vaults": vaults,
        "bytes_source": copied.get("bytes"),
        "bytes_stored": sealed.get("bytes_stored"),
        "start": copied.get("start"),
        "stop": copied.get("stop"),
        "checksums": copied.get("checksums"),
        "anomalies": sealed.get("anomalies", []),
    }
    notes = [f"look at this: {one}" for one in sealed.get("anomalies", [])]
    return View(kind="TakenBackup", items=[row], columns=_TAKEN, single=True, notes=notes, exit_code=record.exit_code)


def _row(one: "BackupSet") -> dict[str, object]:
    return {
        "id": one.id,
        "cluster": one.cluster,
        "kind": one.kind.value,
        "state": one.state.value,
        "parent_id": one.parent_id,
        "started_at": _moment(one.started_at),
        "stopped_at": _moment(one.stopped_at),
        "timeline": one.timeline,
        "start": one.start.text if one.start is not None else None,
        "stop": one.stop.text if one.stop is not None else None,
        "bytes_source": one.bytes_source,
        "bytes_stored": one.bytes_stored,
        "checksums": one.checksums.value,
        "vaults": list(one.vaults),
        "proven_at": _moment(one.proven_at),
        "hold": one.hold,
    }


def _verified(found: "BackupSet", vault: str, checked: "Verified") -> list[Row]:
    from dbre.core.text import counted, printable
    from dbre.core.units import format_bytes, format_duration

    base: dict[str, object] = {"set": found.id, "vault": vault, "level": "L1"}
    if checked.is_good:
        detail = f"{format_bytes(checked.bytes)} in {counted(checked.files, 'file')}, {format_duration(checked.seconds)}"
        return [{**base, "outcome": "good", "rule": None, "subject": None, "detail": detail}]
    return [
        {**base, "outcome": "damaged", "rule": one.rule, "subject": printable(one.subject), "detail": printable(one.detail)}
        for one in checked.faults
    ]


def _finding(one: "Finding") -> Row:
    return {
        "rule": one.rule,
        "severity": one.severity.value,
        "subject": one.subject,
        "summary": one.summary,
        "fix": one.fix,
        "evidence": dict(one.evidence),
    }


def _plugin(found: "list[Finding]") -> PluginStatus:
    from dbre.core.checks import Severity

    if not found:
        return PluginStatus(state=PluginState.OK, text="backups are as their policies want them")
    is_bad = found[0].severity.weight >= Severity.ERROR.weight
    text = f"{len(found)} findings, the worst: {found[0].subject}: {found[0].summary}"
    return PluginStatus(state=PluginState.CRITICAL if is_bad else PluginState.WARNING, text=text)


def _moment(at: Any) -> str | None:
    return None if at is None else at.isoformat().replace("+00:00", "Z")


def _second(value: object) -> str:
    """A moment of a table: to the second, as nobody reads microseconds."""
    return f"{value[:19]}Z" if isinstance(value, str) else "-"


def _joined(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) and value else "-"


def _short(value: object) -> str:
    from dbre.core.units import format_bytes

    return format_bytes(value) if isinstance(value, int) else "-"


def _span(value: object) -> str:
    from dbre.core.units import format_duration

    return format_duration(value) if isinstance(value, int | float) else "-"


_COLUMNS = (
    Column(key="id", title="SET", tail=True),
    Column(key="cluster", title="CLUSTER"),
    Column(key="kind", title="KIND"),
    Column(key="state", title="STATE"),
    Column(key="started_at", title="BEGUN", format=_second, tail=True),
    Column(key="bytes_source", title="SIZE", format=_short, right=True),
    Column(key="bytes_stored", title="STORED", format=_short, right=True),
    Column(key="vaults", title="VAULTS", format=_joined),
    Column(key="proven_at", title="PROVEN", format=_second, tail=True),
    Column(key="hold", title="HELD", wide=True),
    Column(key="checksums", title="CHECKSUMS", wide=True),
    Column(key="stop", title="STOP", wide=True),
    Column(key="parent_id", title="PARENT", wide=True),
)

_TAKEN = (
    Column(key="set", title="SET"),
    Column(key="kind", title="KIND"),
    Column(key="parent_id", title="STANDS ON"),
    Column(key="vaults", title="VAULTS", format=_joined),
    Column(key="bytes_source", title="SIZE", format=_short),
    Column(key="bytes_stored", title="STORED", format=_short),
    Column(key="start", title="LOG FROM"),
    Column(key="stop", title="LOG TO"),
    Column(key="checksums", title="CHECKSUMS"),
    Column(key="anomalies", title="STRANGE", format=_joined),
)
