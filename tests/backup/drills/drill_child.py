"""Makes one drill as whoever runs it, on what a test has laid out: python drill_child.py FACTS.json"""

import asyncio
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from uuid import UUID

sys.path.insert(0, str(Path(__file__).parent))

from drills_world import drilled, make_ground, policy_of

from dbre.core.clock import SystemClock
from dbre.core.fleet import Cluster, Fleet, TlsMode
from dbre.core.programs.account import choose_account
from dbre.core.store import open_store


async def main(facts: dict[str, Any]) -> None:
    directory = Path(facts["directory"])
    site = SimpleNamespace(account=choose_account({}), cache=Path(facts["cache"]))
    cluster = Cluster(
        name="orders", environment="test", engine="postgresql", instances=(), endpoints=(), databases=("shop",), user=None,
        password=None, tls=TlsMode.DISABLE, tls_ca_file=None,
    )  # fmt: skip
    async with open_store(f"sqlite:///{directory / 'dbre.db'}", clock=SystemClock()) as store:
        ground = make_ground(directory, cast(Any, site), store, Fleet(clusters=(cluster,)), policy_of())
        found = await drilled(ground, number=UUID(facts["number"]), target=facts["target"], mode=facts["mode"])
    recovery = next((one for one in found.results if one.name == "recovery"), None)
    answer = {
        "uid": os.geteuid(),
        "verdict": found.verdict.value,
        "reason": found.reason,
        "level": found.level,
        "jail": dict(recovery.evidence) if recovery else None,
    }
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    asyncio.run(main(json.loads(Path(sys.argv[1]).read_text())))
