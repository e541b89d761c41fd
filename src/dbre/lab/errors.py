"""What can go wrong with throw-away servers."""

from dbre.core.errors import Conflict, DbreError, ExitCode, UsageError

__all__ = [
    "LabError",
    "PortTaken",
    "ServerFailed",
    "UnknownLab",
]


class LabError(DbreError):
    """A throw-away server did not do what was asked."""

    code = "lab.failed"


class ServerFailed(LabError):
    """A server, or the program that makes its data directory, ended or hung; the message ends with the tail of its log."""

    code = "lab.server_failed"


class PortTaken(Conflict):
    """Another process listens on the port that was asked for."""

    code = "lab.port_taken"


class UnknownLab(UsageError):
    """There is no lab of that name."""

    code = "lab.unknown"
    exit_code = ExitCode.USAGE
