"""Every fault that can be injected, by name."""

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from dbre.capabilities.chaos.injection.faults.backend_kill import BACKEND_KILL
from dbre.capabilities.chaos.injection.faults.ballast import BALLAST
from dbre.capabilities.chaos.injection.faults.cache_drop import CACHE_DROP
from dbre.capabilities.chaos.injection.faults.certificate import CERTIFICATE_EXPIRY
from dbre.capabilities.chaos.injection.faults.clock_skew import CLOCK_SKEW
from dbre.capabilities.chaos.injection.faults.crashing import CRASH
from dbre.capabilities.chaos.injection.faults.exhausting import EXHAUSTION
from dbre.capabilities.chaos.injection.faults.freezing import FREEZE
from dbre.capabilities.chaos.injection.faults.io_fault import IO_FAULT
from dbre.capabilities.chaos.injection.faults.name_failure import NAME_FAILURE
from dbre.capabilities.chaos.injection.faults.replica_faults import ARCHIVE_FAILURE, REPLAY_PAUSE, REPLICA_LAG, SLOT_LEAK
from dbre.capabilities.chaos.injection.faults.session_faults import (
    DEADLOCKS,
    IDLE_TRANSACTIONS,
    LOCKS,
    SESSION_END,
    WRITE_STALL,
)
from dbre.capabilities.chaos.injection.faults.store_loss import AGENT_FREEZE, STORE_LOSS
from dbre.capabilities.chaos.injection.faults.stuttering import STUTTER
from dbre.capabilities.chaos.injection.faults.toxic import TOXIC
from dbre.capabilities.chaos.injection.model import FaultKind, Parameters
from dbre.capabilities.chaos.injection.network.delaying import DELAY
from dbre.capabilities.chaos.injection.network.narrowing import BANDWIDTH
from dbre.capabilities.chaos.injection.network.partition import PARTITION
from dbre.core.errors import UsageError
from dbre.core.text import closest, printable, quoted

__all__ = ["CATALOGUE", "fault_kind", "parameters_of"]

CATALOGUE: Mapping[str, FaultKind] = {
    one.name: one
    for one in (
        CRASH, BALLAST, FREEZE, STUTTER, EXHAUSTION, PARTITION, DELAY, BANDWIDTH,
        LOCKS, IDLE_TRANSACTIONS, DEADLOCKS, SESSION_END, WRITE_STALL, REPLAY_PAUSE, REPLICA_LAG, ARCHIVE_FAILURE, SLOT_LEAK,
        BACKEND_KILL, STORE_LOSS, AGENT_FREEZE, NAME_FAILURE, TOXIC, CLOCK_SKEW, IO_FAULT, CACHE_DROP, CERTIFICATE_EXPIRY,
    )
}  # fmt: skip


def fault_kind(name: str) -> FaultKind:
    """The fault of that name. Raises: UsageError with a did-you-mean."""
    if name not in CATALOGUE:
        near = closest(name, list(CATALOGUE))
        hint = f"did you mean {near}?" if near else f"known: {', '.join(CATALOGUE)}; see dbre chaos faults"
        raise UsageError(f"{quoted(name, limit=100)} is not a fault", hint=hint)
    return CATALOGUE[name]


def parameters_of(name: str, given: Mapping[str, Any]) -> Parameters:
    """What a fault is asked, validated. Raises: UsageError naming each key that is wrong."""
    kind = fault_kind(name)
    try:
        return kind.parameters.model_validate(dict(given))
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or name}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()
        )
        known = ", ".join(kind.parameters.model_fields) or "none"
        raise UsageError(f"{name}: {printable(wrong, limit=500)}", hint=f"its parameters: {known}") from error
