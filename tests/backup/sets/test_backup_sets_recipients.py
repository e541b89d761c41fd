"""Keys of a vault that were changed since sets were stored: a full copy is due, and who opens what is told."""

from dataclasses import replace
from datetime import timedelta

import pytest
from sets_kit import CLUSTER, START, SYSTEM, backup_set, position, set_id

from dbre.capabilities.backup.documents import PolicyDocument, VaultDocument
from dbre.capabilities.backup.model import BackupSet, Catalog
from dbre.capabilities.backup.policy.chain import NoSuchCopy, choose
from dbre.capabilities.backup.policy.checks import Examined, examine_cluster
from dbre.core.checks import Finding, Severity
from dbre.ports.backup.model import CopyKind, SourceSurvey

KINDS = (CopyKind.FULL, CopyKind.INCREMENTAL)
POLICY = PolicyDocument.model_validate({"name": "daily", "vaults": ["near"]})
FIRST, SECOND, ADDED = ("age1" + letter * 58 for letter in "qpz")
SURVEY = SourceSurvey(
    product="postgresql",
    version=(18, 4),
    version_text="18.4",
    system_id=SYSTEM,
    timeline=1,
    position=position(2**40),
    server_time=START,
    is_replica=False,
    data_bytes=1000,
    has_checksums=True,
    can_increment=True,
    why_no_increment=None,
    segment_bytes=2**24,
)


def vault(*recipients: str) -> VaultDocument:
    return VaultDocument.model_validate({"name": "near", "kind": "filesystem", "path": "/srv", "recipients": recipients})


def chain(*recipients: str, number: int = 0) -> tuple[BackupSet, BackupSet]:
    """A full set and an increment on it, as they were encrypted for these; for none: nobody noted it."""
    details = {"recipients": {"near": list(recipients)}} if recipients else {}
    full = backup_set(number, bytes_source=1000, details=details)
    more = {"kind": CopyKind.INCREMENTAL, "parent_id": set_id(number), "bytes_source": 10}
    return full, backup_set(number + 1, **more, details=details)


def findings(*sets: BackupSet, vaults: tuple[VaultDocument, ...]) -> dict[str, Finding]:
    proven = [replace(one, proven_at=START) for one in sets]
    catalog = Catalog(sets=tuple(proven), logs=(), switches=())
    now = START + timedelta(hours=1)
    found = examine_cluster(Examined(cluster=CLUSTER, policy=POLICY, catalog=catalog, vaults=vaults, now=now))
    return {one.rule: one for one in found}


def test_a_key_that_was_added_asks_for_a_full_copy_until_there_is_one() -> None:
    old = chain(FIRST, SECOND)
    catalog, changed = Catalog(sets=old, logs=(), switches=()), (vault(FIRST, SECOND, ADDED),)
    found = choose(None, KINDS, catalog, POLICY, SURVEY, vaults=changed)
    assert (found.kind, found.parent) == (CopyKind.FULL, None)
    assert f"recipient {ADDED} of vault near cannot open set {old[0].id}" in found.reason
    with pytest.raises(NoSuchCopy, match="cannot open set"):
        choose(CopyKind.INCREMENTAL, KINDS, catalog, POLICY, SURVEY, vaults=changed)
    assert choose(None, KINDS, catalog, POLICY, SURVEY, vaults=(vault(FIRST, SECOND),)).parent == old[1]
    unknown = Catalog(sets=chain(), logs=(), switches=())
    assert choose(None, KINDS, unknown, POLICY, SURVEY, vaults=changed).kind is CopyKind.INCREMENTAL


def test_whom_copies_shut_out_and_who_still_opens_them_is_told() -> None:
    old, changed = chain(FIRST, SECOND), (vault(FIRST, ADDED),)
    found = findings(*old, vaults=changed)
    assert found["backup.shut_out"].severity is Severity.ERROR
    assert found["backup.shut_out"].fix == f"dbre backup take {CLUSTER} --kind full"
    assert (
        f"{SECOND} is no recipient of vault near any more, and still opens 2 sets" in found["backup.former_recipient"].summary
    )
    found = findings(*old, *chain(FIRST, ADDED, number=2), vaults=changed)
    assert "backup.shut_out" not in found
    summary = found["backup.old_recipients"].summary
    assert f"{old[1].started_at:%Y-%m-%d %H:%MZ} and before in vault near cannot be opened by {ADDED}" in summary
    assert found["backup.old_recipients"].severity is Severity.INFO
    assert not set(findings(*old, vaults=(vault(FIRST, SECOND),))) & {"backup.shut_out", "backup.former_recipient"}
