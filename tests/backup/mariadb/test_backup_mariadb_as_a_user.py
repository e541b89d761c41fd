"""A lab of MariaDB is copied, proved and restored by commands alone."""

import asyncio
import json
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from user_kit import trial_of

from dbre.lab.destruction import destroy
from dbre.lab.mariadb import MariaDbServer
from dbre.lab.site import Site


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_a_lab_is_copied_proved_and_restored(mariadb: MariaDbServer, lab_site: Site) -> None:
    assert mariadb.was_started  # its programs are there
    home = Path(tempfile.mkdtemp(prefix="user-", dir=lab_site.directory))
    try:
        async with trial_of("mariadb", home) as trial:
            await trial.done("backup", "take", trial.name)
            await trial.done("lab", "load", "--name", trial.name, "--directory", str(home / "lab"), "--duration", "2s")
            await trial.done("backup", "take", trial.name, "--kind", "incremental")
            await asyncio.sleep(2.0)  # the log counts whole seconds: what the copy holds lies in another one
            moment = datetime.now(UTC).isoformat()
            drill = await trial.proved()
            assert "pass" in json.dumps(drill)
            target = home / "restored"
            await trial.done(
                "backup", "restore", trial.name, "--to", moment, "--directory", str(target), "--confirm", trial.name
            )
            assert (target / "ibdata1").is_file()
            status, out, errors = await trial.dbre("backup", "diff", trial.name, "lab.ledger", "--latest")
            assert (status, out) == (5, ""), errors
    finally:
        destroy(home)
