"""What can be wrong with a vault and with what lies in it."""

from dbre.core.errors import Conflict, DbreError, Refused, UsageError
from dbre.ports.backup.errors import CopyDamaged

__all__ = [
    "IndexBroken",
    "KeyTaken",
    "NoIdentity",
    "NoSuchVault",
    "NotInVault",
    "ObjectDamaged",
    "ObjectMissing",
    "SetConflict",
    "SetUnstorable",
    "StillLocked",
    "VaultMisconfigured",
    "VaultUnusable",
    "WrongIdentity",
]


class VaultMisconfigured(UsageError):
    """What ``dbre.yaml`` says of a vault cannot be used."""

    code = "vault.misconfigured"


class NoSuchVault(UsageError):
    """No vault has that name."""

    code = "vault.unknown"


class VaultUnusable(DbreError):
    """The place itself does not do what is asked of it: full, read-only, permission denied."""

    code = "vault.unusable"


class KeyTaken(Conflict):
    """There is an object of that key already, and no key is ever rewritten."""

    code = "vault.key_taken"


class ObjectMissing(CopyDamaged):
    """The index names an object that is not there."""

    code = "vault.object_missing"


class ObjectDamaged(CopyDamaged):
    """An object is not what was put there: cut off, changed, exchanged, or an older one in a newer one's place."""

    code = "vault.object_damaged"


class IndexBroken(CopyDamaged):
    """The index of a vault does not hold together: forged, cut off, rolled back or forked."""

    code = "vault.index_broken"


class NotInVault(Conflict):
    """The vault has no such set, or has it no longer."""

    code = "vault.not_there"


class NoIdentity(Refused):
    """This machine can write the vault and not read it."""

    code = "vault.no_identity"


class WrongIdentity(Refused):
    """The identity is of none of those for whom the object was encrypted."""

    code = "vault.wrong_identity"


class SetUnstorable(Refused):
    """A copy holds what cannot be put away and brought back: links out of it, sockets, files that change."""

    code = "vault.set_unstorable"


class SetConflict(Conflict):
    """A set of that id is there, and it is another one."""

    code = "vault.set_conflict"


class StillLocked(Refused):
    """The object may not be deleted yet."""

    code = "vault.still_locked"
