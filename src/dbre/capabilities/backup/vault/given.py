"""A vault of which only its directory is known: to be read when nothing else is left."""

from collections.abc import Sequence
from pathlib import Path

from pyrage import x25519

from dbre.capabilities.backup.documents import VaultDocument
from dbre.core.secrets import SecretReference

__all__ = ["GIVEN", "document_of_path"]

GIVEN = "given"
"""What such a vault is called; it has no name of a configuration."""


def document_of_path(path: Path, identity: SecretReference, *, signers: Sequence[str] = ()) -> VaultDocument:
    """A vault in a directory of which nothing is known but that. Nothing can be written to it that anybody could read."""
    nobody = [str(x25519.Identity.generate().to_public()) for _ in range(2)]
    return VaultDocument(
        name=GIVEN, kind="filesystem", path=str(path), recipients=nobody, identity=identity, signers=list(signers)
    )
