"""A lab of Redis is copied, proved and restored by commands alone."""

import asyncio
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from user_kit import trial_of

from dbre.lab.destruction import destroy
from dbre.lab.redis import RedisServer
from dbre.lab.site import Site


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_lab_is_copied_proved_and_restored(redis_server: RedisServer, lab_site: Site) -> None:
    assert redis_server.was_started  # its programs are there
    home = Path(tempfile.mkdtemp(prefix="user-", dir=lab_site.directory))
    try:
        async with trial_of("redis", home, replicas=1) as trial:
            await trial.done("backup", "take", trial.name)
            await asyncio.sleep(2.0)  # the log counts whole seconds: what the copy holds lies in another one
            moment = datetime.now(UTC).isoformat()
            drill = await trial.proved()
            assert "pass" in json.dumps(drill)
            target = home / "restored"
            await trial.done(
                "backup", "restore", trial.name, "--to", moment, "--directory", str(target), "--confirm", trial.name
            )
            assert list((target / "appendonlydir").iterdir())
            status, _, errors = await trial.dbre("backup", "take", trial.name, "--kind", "incremental")
            assert status in (2, 5), errors
            events = json.loads(await trial.done("events", "list", "-o", "json"))["items"]
            assert events
            released = [one for one in events if one["kind"] == "backup.slot_released"]
            assert not released, "the replica never kept log for us, and is looked at since the first seconds"
    finally:
        destroy(home)
