"""Makes a pack of files: manifest, signed statement, and a zip with the same bytes for the same facts."""

import hashlib
import json
from collections.abc import Mapping

from dbre.core.audit.signed_note import SigningKey
from dbre.core.errors import DbreError
from dbre.core.operation.evidence import verify

__all__ = ["EvidenceUnsound", "seal"]


class EvidenceUnsound(DbreError):
    """The pack would not stand the check that its readers will make."""

    code = "operation.evidence_unsound"


def seal(files: Mapping[str, bytes], key: SigningKey) -> bytes:
    """The zip of these files with their manifest and its signature (DSSE envelope of an in-toto statement).

    Raises: EvidenceUnsound where the program in the pack would not accept it, which means that the store is damaged.
    """
    listed = [
        {"name": name, "size": len(files[name]), "sha256": hashlib.sha256(files[name]).hexdigest()} for name in sorted(files)
    ]
    manifest = verify.canonical({"api_version": "dbre/v1", "kind": "EvidenceManifest", "files": listed})
    public = verify.verifier_key(str(key.verifier))
    try:
        checkpoint = verify.read_checkpoint(files["checkpoint.txt"], public)
    except verify.Invalid as error:
        raise EvidenceUnsound(f"the checkpoint cannot be used: {error}", hint="dbre audit verify") from error
    payload = verify.statement_of(manifest, json.loads(files["operation.json"]), checkpoint)
    note = key.sign(verify.pae(verify.PAYLOAD_TYPE, payload).decode())  # its signature is over exactly this text
    statement = verify.envelope_of(payload, public.label, note.signatures[0].data[len(public.id) :])
    whole = {**files, "manifest.json": manifest, "statement.json": statement}
    is_intact, lines = verify.report(verify.Pack(whole))
    if not is_intact:
        problems = "; ".join(line.split(maxsplit=1)[1] for line in lines if line.startswith("FAILED"))
        raise EvidenceUnsound(f"the pack would not be accepted: {problems}", hint="dbre audit verify")
    data = verify.archive(whole)
    if len(data) > verify.LIMIT_PACK_BYTES:
        raise EvidenceUnsound(f"the pack has {len(data)} bytes, the limit is {verify.LIMIT_PACK_BYTES}")
    return data
