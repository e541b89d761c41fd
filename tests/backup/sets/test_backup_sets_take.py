"""A backup is taken of a real server into real vaults, and is sealed only when all of it is good and there."""

from taking_kit import VAULTS, World

from dbre.capabilities.backup.model import SetState
from dbre.capabilities.backup.taking.staging import staged_ids
from dbre.capabilities.backup.taking.vaults import open_set_vault
from dbre.ports.backup.model import ChecksumState, CopyKind


async def test_a_full_copy_is_verified_stored_in_every_vault_and_sealed(world: World) -> None:
    record = await world.run("backup.take", cluster="orders")
    assert record.state == "succeeded", record.error
    (one,) = (await world.catalog()).sets
    assert one.state is SetState.SEALED
    assert (one.id, one.operation_id) == (str(record.id), record.id)
    assert (one.kind, one.parent_id, one.vaults) == (CopyKind.FULL, None, VAULTS)
    assert one.start is not None
    assert one.stop is not None
    assert one.start.value < one.stop.value
    assert one.checksums is ChecksumState.GOOD
    assert one.manifest_sha256 is not None
    assert one.bytes_stored is not None
    assert 0 < one.bytes_stored < one.bytes_source
    assert one.details["reason"] == "there is no sealed set yet"
    assert staged_ids(world.ground) == (), "the copy in clear text is gone"
    for name in VAULTS:
        async with open_set_vault(world.ground, name) as vault:
            (there,) = (await vault.catalog("orders")).sets
            assert there.id == one.id
            assert there.state is SetState.SEALED
            assert "staged" not in there.details
