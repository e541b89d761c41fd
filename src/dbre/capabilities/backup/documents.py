"""The sections ``vaults`` and ``backup`` of ``dbre.yaml``: where copies lie, and what is copied, kept and proved how often."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from dbre.core.config import Document, Duration, FilePath, LabelKey, LabelValue, Name, SecretReference, Section, Size, between
from dbre.core.config.section import Fault
from dbre.core.errors import UsageError

__all__ = [
    "BACKUP",
    "VAULTS",
    "ArchiveDocument",
    "BackupDocument",
    "CanaryDocument",
    "DrillDocument",
    "LogDocument",
    "PolicyDocument",
    "QueryDocument",
    "RepositoryDocument",
    "RetentionDocument",
    "VaultDocument",
]

_RECIPIENT = r"^age1[02-9ac-hj-np-z]{58}$"


class VaultDocument(Document):
    """One place where copies lie: a directory, a bucket, a directory of another machine."""

    name: Name = Field(description="name in policies and commands")
    kind: Literal["filesystem", "s3", "sftp"] = Field(description="how it is reached")
    path: str = Field(default="", max_length=1_000, description="filesystem, sftp: an absolute directory")
    bucket: str = Field(default="", max_length=63, description="s3: the bucket")
    prefix: str = Field(default="", max_length=200, description="s3: what every key begins with")
    endpoint: str = Field(default="", max_length=500, description="s3: URL of a service other than AWS")
    region: str = Field(default="us-east-1", max_length=60, description="s3: the region")
    access_key: SecretReference | None = Field(default=None, description="s3: default: what boto3 finds by itself")
    secret_key: SecretReference | None = Field(default=None, description="s3: goes with access_key")
    object_lock: Literal["none", "governance", "compliance"] = Field(
        default="none", description="s3: mode of the lock; others: advisory"
    )
    host: str = Field(default="", max_length=255, description="sftp: the machine")
    port: int = Field(default=22, ge=1, le=65_535, description="sftp: its port")
    user: str = Field(default="", max_length=100, description="sftp: as whom")
    private_key: SecretReference | None = Field(default=None, description="sftp: the key, in OpenSSH's form")
    password: SecretReference | None = Field(default=None, description="sftp: instead of a key")
    host_key: str = Field(default="", max_length=1_000, description="sftp: 'ssh-ed25519 AAAA...' of the machine; required")
    recipients: list[Annotated[str, Field(pattern=_RECIPIENT)]] = Field(
        min_length=2, max_length=16, description="age recipients who can read it: operations, escrow"
    )
    identity: SecretReference | None = Field(
        default=None, description="age identity (AGE-SECRET-KEY-1...) that reads it; a machine that only writes has none"
    )
    signers: list[Annotated[str, Field(max_length=400)]] = Field(
        default=[],
        max_length=16,
        description="public keys (dbre audit key) of machines whose entries count besides this one's; none known: the key"
        " that the vault itself names is trusted at the first use",
    )
    escrow_age: Duration | None = Field(
        default=timedelta(days=92), description="the escrow identity is tried this often; null: nobody asks"
    )
    is_offsite: bool = Field(default=False, description="true: it survives the loss of the site of the databases")
    can_delete: bool = Field(default=True, description="false: these credentials cannot delete; expiry runs elsewhere")
    bytes_per_second: Size | None = Field(default=None, description="limit of what is written and read: 50MB")


class RetentionDocument(Document):
    """What is kept: the union of all rules. The newest proven set is always kept."""

    window: Duration | None = Field(default=timedelta(days=35), description="every moment of this span can be recovered")
    daily: int = Field(default=0, ge=0, le=400, description="the first set of each of so many days")
    weekly: int = Field(default=0, ge=0, le=200, description="the first set of each of so many ISO weeks")
    monthly: int = Field(default=0, ge=0, le=200, description="the first set of each of so many months")
    yearly: int = Field(default=0, ge=0, le=100, description="the first set of each of so many years")
    minimum_sets: int = Field(default=2, ge=1, le=1_000, description="so many full sets at least")
    grace: Annotated[Duration, between("1ms", "90d")] = Field(
        default=timedelta(days=3), description="between the tombstone and the deletion"
    )
    largest_share: float = Field(default=0.5, gt=0, le=1, description="a plan that removes more of the sets is refused")
    cron: str | None = Field(
        default="40 4 * * *", max_length=200, description="when expiry looks, on the policy's clocks; null: only by hand"
    )


class LogDocument(Document):
    """How the stream of changes is kept."""

    mode: Literal["stream", "synchronous", "archive", "none"] = Field(
        default="stream",
        description="stream: received all the time; synchronous: commits wait for us; archive: the server's archive_command",
    )
    when_blocked: Literal["keep", "drop"] = Field(
        default="keep", description="vault or spool out of order: keep the log on the server, or drop it and take a full copy"
    )
    largest_backlog: Size = Field(  # type: ignore[assignment]  # the default is read like what is given
        default="16GiB", description="of log that the server keeps for us: 16GiB"
    )
    seal_after: Annotated[Duration, between("1s", "1d")] = Field(
        default=timedelta(minutes=1), description="a log file that was begun is ended after this long at the latest"
    )


class CanaryDocument(Document):
    """A row that is written all the time and witnessed: proof that recovery ended where it should."""

    enabled: bool = Field(default=False, description="true: a table dbre.canary is made and written")
    interval: Annotated[Duration, between("1s", "1h")] = Field(default=timedelta(seconds=10), description="between two rows")
    keep: Annotated[Duration, between("1h", "90d")] = Field(default=timedelta(days=7), description="older rows are deleted")
    database: str | None = Field(default=None, max_length=100, description="default: the first of the cluster")


class QueryDocument(Document):
    """A question about the business whose answer tells whether restored data make sense."""

    name: Name = Field(description="name in verdicts")
    sql: str = Field(min_length=1, max_length=10_000, description="one read-only statement that gives one row")
    database: str | None = Field(default=None, max_length=100, description="default: the first of the cluster")
    expect: dict[str, str | int | float | bool | None] = Field(
        default={}, description="values by column; none: true in the first column is expected"
    )
    at_least: dict[str, float] = Field(default={}, description="lower limits by column")
    timeout: Annotated[Duration, between("1s", "1h")] = Field(
        default=timedelta(minutes=1), description="limit of the statement"
    )
    as_superuser: bool = Field(
        default=False, description="asked as the restored server's superuser: for tables with row security, or functions"
    )


class DrillDocument(Document):
    """How backups are proved."""

    cron: str | None = Field(default=None, max_length=200, description="when; default: only by hand")
    time_zone: str = Field(default="UTC", max_length=100, description="whose clocks the expression is read on")
    target: Literal["random", "latest", "restore_point"] = Field(default="random", description="which moment is recovered")
    mode: Literal["faithful", "fast"] = Field(default="faithful", description="fast: without fsync, and no measure of time")
    checks: list[Literal["checksums", "amcheck", "canary", "constraints", "extensions", "rows", "queries"]] = Field(
        default=["checksums", "amcheck", "canary", "constraints", "extensions", "queries"], description="what is looked at"
    )
    queries: list[QueryDocument] = Field(default=[], max_length=100, description="questions about the business")
    smoke_command: list[str] = Field(default=[], max_length=50, description="level L6: a program")
    proof_age: Duration = Field(default=timedelta(days=8), description="an older proof no longer counts")


class PolicyDocument(Document):
    """What is done for the clusters that it selects; the first policy that selects a cluster counts."""

    name: Name = Field(description="name in commands and catalogs")
    selector: dict[LabelKey, LabelValue] = Field(default={}, description="labels of the clusters; default all")
    provider: Literal["native", "dump"] = Field(
        default="native", description="native: files and log; dump: statements or rows, and no log"
    )
    vaults: list[Name] = Field(min_length=1, max_length=8, description="every set goes to each of them")
    from_replica: bool = Field(default=False, description="copy a replica where there is one")
    full_cron: str | None = Field(default=None, max_length=200, description="when full copies are made: '0 2 * * sun'")
    incremental_cron: str | None = Field(default=None, max_length=200, description="incrementals: '0 2 * * mon-sat'")
    time_zone: str = Field(default="UTC", max_length=100, description="whose clocks the expressions are read on")
    bytes_per_second: Size | None = Field(default=None, description="limit of the copy: 50MB")
    longest_chain: int = Field(default=7, ge=1, le=100, description="incrementals on one full, then a full is due")
    largest_chain_ratio: float = Field(default=0.5, gt=0, le=10, description="likewise: their bytes to the full's")
    recovery_point: Annotated[Duration, between("1s", "30d")] = Field(
        default=timedelta(minutes=5), description="RPO: no more than this is ever exposed"
    )
    recovery_time: Annotated[Duration, between("1s", "30d")] = Field(
        default=timedelta(hours=1), description="RTO: a restore takes no longer than this"
    )
    daily_verified_offsite: bool = Field(default=False, description="a finding unless it is so")
    log: LogDocument = Field(default=LogDocument(), description="the stream of changes")
    retention: RetentionDocument = Field(default=RetentionDocument(), description="what is kept")
    canary: CanaryDocument = Field(default=CanaryDocument(), description="the witnessed row")
    drill: DrillDocument = Field(default=DrillDocument(), description="proof")

    @model_validator(mode="before")
    @classmethod
    def _no_log_goes_with_dumps(cls, data: Any) -> Any:
        """A dump is one moment: nothing can be replayed into it."""
        if not isinstance(data, dict) or data.get("provider") != "dump":
            return data
        log = data.get("log", {})
        if not isinstance(log, dict):
            return data
        if log.get("mode", "none") != "none":
            raise UsageError("no log goes with dumps", hint="leave log.mode out, or write provider: native")
        return {**data, "log": {**log, "mode": "none"}}


class RepositoryDocument(Document):
    """A repository that another tool keeps."""

    name: Name = Field(description="name in commands")
    tool: Literal["pgbackrest", "barman", "pg_basebackup", "rman", "sqlserver", "mongodb"] = Field(description="who keeps it")
    config: FilePath | None = Field(default=None, description="the tool's configuration file")
    stanza: str = Field(
        default="", max_length=1_000, description="pgBackRest: stanza; Barman: server; a directory of copies; others: database"
    )
    cluster: Name | None = Field(default=None, description="the cluster of the inventory that it backs up")


class ArchiveDocument(Document):
    """Where servers hand us log files (``archive_command``)."""

    socket: FilePath | None = Field(default=None, description="unix socket of the control plane; default: in backup.directory")


class BackupDocument(Document):
    """How this installation backs up."""

    directory: FilePath | None = Field(default=None, description="spool and staging; default: beside the state store")
    bindir: FilePath | None = Field(default=None, description="the engine's programs; default: the best that are found")
    policies: list[PolicyDocument] = Field(default=[], max_length=200, description="what is copied, kept and proved")
    repositories: list[RepositoryDocument] = Field(default=[], max_length=100, description="kept by other tools")
    archive: ArchiveDocument = Field(default=ArchiveDocument(), description="log files handed to us by servers")
    state_vaults: list[Name] = Field(default=[], max_length=8, description="where the state store itself is backed up to")
    state_every: Annotated[Duration, between("1m", "7d")] = Field(default=timedelta(hours=1), description="how often")
    state_keep: int = Field(default=48, ge=2, le=10_000, description="so many copies of the state store are kept")


def _doubles(data: Any, *path: str) -> Iterator[Fault]:
    seen: set[str] = set()
    for position, one in enumerate(data if isinstance(data, list) else []):
        name = one.get("name") if isinstance(one, dict) else None
        if isinstance(name, str):
            if name in seen:
                yield Fault(path=(*path, position, "name"), message=f"{name!r} is given twice", hint="names are unique")
            seen.add(name)


def _calendar_faults(policies: Any) -> Iterator[Fault]:
    """Expressions and time zones that no scheduler could read: told when the file is read, not in the night."""
    for position, one in enumerate(policies if isinstance(policies, list) else []):
        if not isinstance(one, dict):
            continue
        yield from _cron_faults(one, ("policies", position), ("full_cron", "incremental_cron"), one.get("time_zone"))
        for part, zone in (("drill", None), ("retention", one.get("time_zone"))):
            if isinstance(inner := one.get(part), dict):
                yield from _cron_faults(inner, ("policies", position, part), ("cron",), zone or inner.get("time_zone"))


def _cron_faults(data: dict[str, Any], path: tuple[str | int, ...], keys: tuple[str, ...], zone: Any) -> Iterator[Fault]:
    from dbre.core.operation.schedule.slots import Cron, parse_zone  # croniter costs time that reading a file need not pay

    clock = parse_zone("UTC")
    if isinstance(zone, str):
        try:
            clock = parse_zone(zone)
        except UsageError as error:
            if "time_zone" in data:
                yield Fault(path=(*path, "time_zone"), message=error.message, hint=error.hint)
    for key in keys:
        if isinstance(data.get(key), str):
            try:
                Cron.parse(data[key], clock)
            except UsageError as error:
                yield Fault(path=(*path, key), message=error.message, hint=error.hint)


def _backup_faults(data: Any) -> Iterator[Fault]:
    if isinstance(data, dict):
        yield from _doubles(data.get("policies"), "policies")
        yield from _calendar_faults(data.get("policies"))
        yield from _doubles(data.get("repositories"), "repositories")


VAULTS = Section(
    key="vaults",
    shape=tuple[VaultDocument, ...],
    default=tuple,
    summary="Places where backups lie, encrypted and append-only.",
    faults=_doubles,
)
BACKUP = Section(
    key="backup",
    shape=BackupDocument,
    default=BackupDocument,
    summary="What is backed up how, how long it is kept, and how it is proved.",
    faults=_backup_faults,
)
