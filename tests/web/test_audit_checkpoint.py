"""A witness on another machine reads the checkpoints of a control plane with a viewer's token, and notices what it should."""

from pathlib import Path

import pytest

from dbre.core.audit.keys import KEY_FILE, load_key_file
from dbre.core.audit.sources import HttpSource
from dbre.core.audit.witness import Witness
from dbre.core.clock import SystemClock
from dbre.core.errors import Denied
from dbre.core.secrets import Secret
from dbre.demo.control_plane import ControlPlaneProcess


async def test_witness_follows_the_log_over_http(control_plane: ControlPlaneProcess, tmp_path: Path) -> None:
    async with control_plane.client() as client:
        await client.post("/login", data={"token": control_plane.token})  # is recorded
        assert (await client.get("/api/v1/audit/checkpoint?since=-1")).status_code == 422
        page = (await client.get("/api/v1/audit/entries?limit=1")).json()
        proof = (await client.get("/api/v1/audit/entries/0/proof")).json()
        missing = await client.get(f"/api/v1/audit/entries/{2**40}/proof")
    assert missing.status_code == 404
    assert (proof["index"], proof["entry"][0]) == (0, "{")
    own = load_key_file(control_plane.directory / KEY_FILE)
    assert own is not None
    key = own.verifier
    source = HttpSource(control_plane.url, key, token=Secret(control_plane.token))
    first = await source.growth(0)
    assert first is not None
    assert first.checkpoint.size >= page["items"][0]["index"]
    witness = Witness.open(tmp_path / "witness", key, name="elsewhere")
    witness.accept(first, SystemClock())
    again = await source.growth(first.checkpoint.size)
    assert again is not None
    witness.accept(again, SystemClock())
    with pytest.raises(Denied):
        await HttpSource(control_plane.url, key, token=Secret("wrong")).growth(0)
