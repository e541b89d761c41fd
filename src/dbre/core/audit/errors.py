"""What can be wrong with the audit log."""

from dbre.core.errors import Conflict, DbreError, ExitCode, Refused, UsageError

__all__ = [
    "AuditEntryInvalid",
    "AuditRolledBack",
    "CheckpointRefused",
    "EntryMissing",
    "NoteInvalid",
    "ProofInvalid",
    "SigningKeyInvalid",
    "WitnessBusy",
    "WitnessStateInvalid",
]


class AuditEntryInvalid(UsageError):
    """An entry is not the one canonical form of an audit entry."""

    code = "audit.entry_invalid"


class EntryMissing(UsageError):
    """The log has no such entry."""

    code = "audit.entry_missing"


class ProofInvalid(DbreError):
    """A proof does not prove what it should."""

    code = "audit.proof_invalid"
    exit_code = ExitCode.FINDINGS


class NoteInvalid(DbreError):
    """A signed note or its signature is not valid."""

    code = "audit.note_invalid"
    exit_code = ExitCode.FINDINGS


class SigningKeyInvalid(UsageError):
    """A key of the audit log cannot be used."""

    code = "audit.key_invalid"


class CheckpointRefused(Refused):
    """A witness was shown a log that has shrunk or forked, and does not sign it."""

    code = "audit.checkpoint_refused"


class AuditRolledBack(Refused):
    """The log is not a continuation of what was signed or witnessed before: an older state database was put in its place."""

    code = "audit.rolled_back"


class WitnessBusy(Conflict):
    """Another witness works in the same directory."""

    code = "audit.witness_busy"
    retryable = True


class WitnessStateInvalid(DbreError):
    """What a witness remembers cannot be read."""

    code = "audit.witness_state_invalid"
