"""What can be wrong with the state store: one class, one code and one exit code each."""

from dbre.core.errors import ExitCode, StoreError

__all__ = [
    "ConstraintViolated",
    "ControlPlaneLockLost",
    "ControlPlaneRunning",
    "NotAStore",
    "SchemaNewer",
    "SchemaOlder",
    "StoreBusy",
    "StoreCorrupt",
    "StoreDenied",
    "StoreFull",
    "StoreMissing",
    "StoreNotWritable",
    "StoreTimeout",
    "StoreUnreachable",
    "StoreUrlInvalid",
]


class StoreUrlInvalid(StoreError):
    """The URL of the state store cannot be used."""

    code = "store.url_invalid"
    exit_code = ExitCode.USAGE


class StoreMissing(StoreError):
    """There is no state store yet; the control plane creates it."""

    code = "store.missing"
    exit_code = ExitCode.REFUSED


class SchemaOlder(StoreError):
    """The store was written by an older dbre and has not been migrated."""

    code = "store.schema_older"
    exit_code = ExitCode.REFUSED


class SchemaNewer(StoreError):
    """The store was written by a newer dbre than this one."""

    code = "store.schema_newer"
    exit_code = ExitCode.REFUSED


class NotAStore(StoreError):
    """A healthy database, but not one of dbre."""

    code = "store.not_a_store"
    exit_code = ExitCode.REFUSED


class StoreCorrupt(StoreError):
    """The file or the database is damaged."""

    code = "store.corrupt"


class StoreFull(StoreError):
    """No space is left where the store lives."""

    code = "store.full"
    retryable = True


class StoreNotWritable(StoreError):
    """The file, its directory or the server takes no writes."""

    code = "store.not_writable"


class StoreBusy(StoreError):
    """Another process held the write lock for longer than dbre waits."""

    code = "store.busy"
    retryable = True


class StoreTimeout(StoreError):
    """A transaction took longer than it may."""

    code = "store.timeout"
    retryable = True


class StoreUnreachable(StoreError):
    """The PostgreSQL server of the store does not answer."""

    code = "store.unreachable"
    exit_code = ExitCode.UNREACHABLE
    retryable = True


class StoreDenied(StoreError):
    """The PostgreSQL server of the store refuses the login or the statement."""

    code = "store.denied"
    exit_code = ExitCode.DENIED


class ControlPlaneRunning(StoreError):
    """Another control plane works on this store."""

    code = "store.control_plane_running"
    exit_code = ExitCode.CONFLICT


class ControlPlaneLockLost(StoreError):
    """The lock against a second control plane is gone; this process must end, for another may already have taken over."""

    code = "store.control_plane_lock_lost"
    exit_code = ExitCode.CONFLICT


class ConstraintViolated(StoreError):
    """A row contradicts a constraint of its table."""

    code = "store.constraint_violated"
