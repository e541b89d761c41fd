"""What only looks like a dead primary is not taken for one: the bench of an hour, for a minute."""

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from dbre.lab.etcd import find_etcd
from dbre.lab.site import Site
from dbre.testing.fixtures import installed

BENCH = Path(__file__).parents[2] / "bench" / "false_failovers.py"
_LIMIT_SECONDS = 1700.0

pytestmark = [pytest.mark.slow, pytest.mark.soak, pytest.mark.timeout(1800)]


async def test_nothing_but_death_is_taken_for_death(lab_site: Site) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root makes network namespaces")
    installed(lambda: find_etcd(account=lab_site.account))
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(BENCH), "1", stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(_LIMIT_SECONDS):
        told, complaints = await process.communicate()
    assert told, complaints.decode()
    found = json.loads(told)
    for kind in ("native", "patroni"):
        one = found[kind]
        assert one["heard"] > 0  # observers were at work
        wrong = {name: one[name] for name in ("dead", "failovers", "refused", "fences", "restarts", "false_findings")}
        assert not any(wrong.values()), found
        assert one["control"]["states"] == ["succeeded"], one["control"]
        assert one["control"]["old"] != one["control"]["new"]
    assert process.returncode == 0
