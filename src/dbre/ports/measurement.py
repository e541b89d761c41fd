"""What one probe finds out, and the readings that follow from it."""

from dataclasses import dataclass, field

from dbre.core.fleet import EndpointPurpose
from dbre.core.stopwatch import Stopwatch
from dbre.ports.probe import Outcome, Phases, ProbeReading, ProbeRequest
from dbre.ports.session import Role

__all__ = ["Measurement"]

_WANTED_ROLE = {
    EndpointPurpose.WRITE: Role.PRIMARY,
    EndpointPurpose.READ: Role.PRIMARY,
    EndpointPurpose.REPLICA: Role.REPLICA,
}


@dataclass(slots=True, kw_only=True)
class Measurement:
    """What is known so far, so that a probe that is cut off still tells it."""

    request: ProbeRequest
    watch: Stopwatch = field(default_factory=Stopwatch)
    role: Role | None = None
    system_id: str | None = None
    heartbeat_sequence: int | None = None

    @property
    def is_write(self) -> bool:
        """Whether the heartbeat is to be written, and not only read."""
        return self.request.purpose is EndpointPurpose.WRITE

    def reading(self, outcome: Outcome, code: str | None = None, reason: str | None = None) -> ProbeReading:
        """An outcome with all that is known."""
        spent = {f"{phase}_seconds": seconds for phase, seconds in self.watch.seconds().items()}
        return ProbeReading(
            outcome=outcome,
            code=code,
            reason=reason,
            phases=Phases(**spent, total_seconds=self.watch.total_seconds()),
            role=self.role,
            heartbeat_sequence=self.heartbeat_sequence,
            system_id=self.system_id,
        )

    def wrong_role(self) -> ProbeReading | None:
        """The reading where the server's role does not fit the purpose."""
        wanted = _WANTED_ROLE[self.request.purpose]
        if self.role is wanted:
            return None
        return self.reading(Outcome.BAD, "wrong_role", f"the server is a {self.role}, and a {wanted} is needed")

    def lost_write(self) -> ProbeReading | None:
        """The reading where a write was acknowledged and an older sequence, or none, came back."""
        seen, wanted = self.heartbeat_sequence, self.request.sequence
        if not self.is_write or (seen is not None and seen >= wanted):
            return None
        verb = "committed" if "commit" in self.watch.seconds() else "wrote"
        return self.reading(Outcome.BAD, "lost_write", f"{verb} sequence {wanted}, read back {seen}")
