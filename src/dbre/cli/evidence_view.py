"""What ``dbre op evidence ID --out FILE`` does."""

from pathlib import Path
from typing import TYPE_CHECKING

from dbre.core.errors import PrecheckFailed
from dbre.core.units import format_bytes
from dbre.core.view import Column, View

if TYPE_CHECKING:  # for annotations only: root help must stay cheap
    from uuid import UUID

    from dbre.core.operation.evidence.pack import EvidenceSource
    from dbre.core.store import Store
    from dbre.ports.runtime import Runtime

__all__ = ["evidence_view"]

_COLUMNS = (
    Column(key="operation_id", title="OPERATION"),
    Column(key="state", title="STATE"),
    Column(key="is_complete", title="COMPLETE"),
    Column(key="file", title="FILE"),
    Column(key="size_bytes", title="SIZE", format=lambda value: format_bytes(int(str(value)))),
    Column(key="sha256", title="SHA256"),
    Column(key="entries", title="AUDIT ENTRIES"),
    Column(key="verifier_key", title="VERIFIER KEY"),
)


async def evidence_view(here: "Runtime", operation_id: "UUID", out: Path, *, overwrite: bool = False) -> View:
    """Write the pack of an operation that the user may see, and say how to check it.

    Raises: NoSuchOperation; PrecheckFailed where this machine has no key of the audit log; UsageError where the file exists.
    """
    from dbre.core.operation.evidence.pack import write_pack

    async with here.open_desk() as desk:
        await desk.get(operation_id)  # whether this user may see it
    async with here.open_store() as store:
        summary = await write_pack(await _source(here, store), operation_id, out, overwrite=overwrite)
    item = {column.key: getattr(summary, column.key, None) for column in _COLUMNS}
    notes = [
        f"check it anywhere, offline: unzip -p {out.name} verify.py > verify.py; python3 -I verify.py {out.name} --key KEY"
    ]
    if not summary.is_complete:
        notes.insert(
            0, f"operation {operation_id} is {summary.state}: the pack is incomplete, make another one when it has ended"
        )
    return View(
        kind="EvidencePack",
        items=[item | {"operation_id": str(operation_id), "file": str(out)}],
        columns=_COLUMNS,
        single=True,
        notes=notes,
    )


async def _source(here: "Runtime", store: "Store") -> "EvidenceSource":
    from dbre.assembly import slo_snapshots
    from dbre.core.audit.document import AUDIT
    from dbre.core.audit.keys import signing_key
    from dbre.core.operation.evidence.pack import EvidenceSource

    settings, directory = here.config.get(AUDIT), here.config.directory
    is_local = store.dialect == "sqlite"  # a server's log may have its key on another machine
    key = await signing_key(settings, store, directory=directory, create=is_local)
    if key is None:
        raise PrecheckFailed(
            "this machine has no key of the audit log, so the pack cannot be signed",
            hint="run it where the control plane runs, or set audit.key",
        )
    slo = slo_snapshots(here.config, here.fleet, here.clock, store)
    return EvidenceSource(store=store, key=key, clock=here.clock, witness=settings.witness, slo=slo)
