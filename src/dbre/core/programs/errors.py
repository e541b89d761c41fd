"""What can go wrong with programs of others."""

from dbre.core.errors import DbreError, Unsupported, UsageError

__all__ = ["BinariesMissing", "DirectoryUnusable", "NoUsableAccount", "ProgramFailed"]


class ProgramFailed(DbreError):
    """A program ended with another status than 0, hung, or could not be run; the message ends with what it printed last."""

    code = "program.failed"


class BinariesMissing(Unsupported):
    """No usable program of the engine and version was found."""

    code = "program.binaries_missing"


class NoUsableAccount(Unsupported):
    """Run by root, and there is no unprivileged account that a server could run as."""

    code = "program.no_account"


class DirectoryUnusable(UsageError):
    """A directory is not ours, not empty, not writable, or the servers' account cannot reach it."""

    code = "program.directory_unusable"
