"""What may be chosen of a restore besides its target."""

from dataclasses import dataclass

from dbre.ports.backup.model import LogFile, LogPosition

__all__ = ["RestoreChoice"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreChoice:
    """What may be chosen besides the target."""

    position: LogPosition | None = None  # of a target that is a position, as the engine reads it
    set_id: str | None = None  # start from this set
    vaults: tuple[str, ...] | None = None  # use only these, in this order; None: any
    accept_loss: bool = False  # go as far as there is log where the target lies beyond it
    received: tuple[LogFile, ...] = ()  # in the spool of this machine, the one that is being written included
