"""Could a set be stored now? It blocks."""

from dbre.capabilities.backup.vault.errors import VaultMisconfigured
from dbre.capabilities.backup.vault.inside import Inside

__all__ = ["require_writable"]


def require_writable(inside: Inside) -> tuple[str, ...]:
    """See that a set could be stored now; what is doubtful about it. Nothing is left in the vault."""
    home = inside.home
    home.storage.try_writing()
    home.states()  # an index that is broken, or signed by somebody else, takes no entry
    if home.key is None:
        raise VaultMisconfigured(
            "this machine has no key that signs what it puts there", hint="`dbre audit key` shows or makes it"
        )
    if home.document.identity is not None and not inside.contents.reads_own:
        return ("the identity here opens nothing that is stored from now on: it belongs to none of the recipients",)
    return ()
