"""What can go wrong with throw-away servers."""

from dbre.core.errors import Conflict, DbreError, ExitCode, Unsupported, UsageError

__all__ = [
    "BinariesMissing",
    "DirectoryUnusable",
    "LabError",
    "NoUsableAccount",
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


class BinariesMissing(Unsupported):
    """No usable server program of the engine and version was found."""

    code = "lab.binaries_missing"


class NoUsableAccount(Unsupported):
    """Run by root, and there is no unprivileged account that a server could run as."""

    code = "lab.no_account"


class DirectoryUnusable(UsageError):
    """The lab's directory is not ours, not empty, not writable, or the servers' account cannot reach it."""

    code = "lab.directory_unusable"


class UnknownLab(UsageError):
    """There is no lab of that name."""

    code = "lab.unknown"
    exit_code = ExitCode.USAGE
