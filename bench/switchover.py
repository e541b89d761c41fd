"""How long nobody can write while the primary changes as planned, seen by a client that writes without a pause.

Run: ``.venv/bin/python bench/switchover.py [ROUNDS [VERSION]]`` (default 10, the newest PostgreSQL). A lab of a primary and a
replica with fsync; ``dbre ha switchover`` as a user types it, there and back; one client in a process of its own commits row
after row, and connects again at once where it is cut off. The gap is the longest time between two acknowledgements while the
primary changes. Afterwards every acknowledged row is looked for. No pooler holds clients back.
``step_p50_ms`` tells by the journal where the time goes: nobody can write from give-up to promote.
"""

import asyncio
import os
import sys
import time
from pathlib import Path

from kit.ledger import Ledger
from kit.report import report
from kit.step_times import step_milliseconds
from kit.two_servers import quantile

from dbre.core.programs.account import Account
from dbre.core.programs.run import run
from dbre.lab import Lab, LabEngine, LabSpec

NAME = f"bench-sw-{os.getpid()}"
GOAL_SECONDS = 0.25
_SETTLE_SECONDS = 1.0


async def switch(config: Path) -> tuple[float, float]:
    """One change of primary by the command; when it began and ended."""
    began = time.time()
    words = [sys.executable, "-P", "-m", "dbre", "-c", str(config), "ha", "switchover", NAME, "--yes", "--confirm", NAME]
    ourselves = Account(name=str(os.geteuid()), uid=os.geteuid(), gid=os.getegid(), switch=False)
    await run(words, account=ourselves, directory=config.parent, timeout_seconds=600.0)
    return began, time.time()


async def main() -> int:
    """Rounds there and back, and what the client saw."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    version = int(sys.argv[2]) if len(sys.argv) > 2 else None
    spec = LabSpec(name=NAME, engine=LabEngine.POSTGRESQL, replicas=1, version=version)
    lab = await Lab.create(spec)
    try:
        return report(await measure(lab, rounds))
    finally:
        await lab.down()


async def measure(lab: Lab, rounds: int) -> dict[str, object]:
    """The longest gap of each change, and the rows that are missing."""
    with Ledger(lab, pause_seconds=0.002).writing() as ledger:
        await asyncio.sleep(_SETTLE_SECONDS)
        windows = []
        for _ in range(rounds):
            windows.append(await switch(lab.config_file))
            await asyncio.sleep(_SETTLE_SECONDS)
        written = await ledger.end()
    gaps = [written.longest_gap(began, ended) for began, ended in windows]
    return {
        "server": lab.primary.version_text,
        "rounds": rounds,
        "gap_p50_ms": round(quantile(gaps, 0.5) * 1000),
        "gap_max_ms": round(max(gaps) * 1000),
        "gaps_ms": [round(one * 1000) for one in gaps],
        "command_p50_s": round(quantile([ended - began for began, ended in windows], 0.5), 2),
        "acknowledged": len(written.acknowledged),
        "lost": len(written.missing),
        "step_p50_ms": await step_milliseconds(lab.config_file.parent / "dbre.db", "ha.switchover"),
        "is_ok": quantile(gaps, 0.5) < GOAL_SECONDS and not written.missing,
    }


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
