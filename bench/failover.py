"""How long nobody can write while the control plane fails over by itself, seen by a client that writes without a pause.

Run: ``.venv/bin/python bench/failover.py [crash|freeze [ROUNDS]]`` (default crash, 5). A lab of a primary and two replicas with
fsync, asynchronous; two ``dbre ha observe`` and ``dbre server`` as processes of their own; the primary is killed (SIGKILL to
all of its processes) or frozen (SIGSTOP to all). One client in a process of its own commits row after row and
connects again at once where it is cut off (``tcp_user_timeout`` 1.5 s). The outage is the longest time between two
acknowledgements around each fault. Afterwards every acknowledged row is looked for.
"""

import asyncio
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

from kit.ledger import Ledger
from kit.report import report
from kit.two_servers import quantile

from dbre.lab import Lab, LabEngine, LabSpec
from dbre.lab.free_port import choose_port
from dbre.lab.postgres import PostgresServer

NAME = f"bench-fo-{os.getpid()}"
_SETTLE_SECONDS = 5.0
_LIMIT_SECONDS = 60.0
_HA = """
ha:
  clusters:
    - cluster: {name}
      failover: {{auto: true, observers: [one, two, control-plane], max_loss: 16MiB, block: 1s}}
server:
  port: {port}
"""


async def main() -> int:
    """Faults, each on a cluster of its own: who crashed may have log that nobody else has, and must be built anew."""
    fault = sys.argv[1] if len(sys.argv) > 1 else "crash"
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 5
    outages: list[float] = []
    acknowledged = lost = 0
    for _ in range(rounds):
        lab = await Lab.create(LabSpec(name=NAME, engine=LabEngine.POSTGRESQL, replicas=2))
        try:
            with ExitStack() as stack:
                await watched(lab, stack)
                outage, written, missing = await measure(lab, fault)
        finally:
            await lab.down()
        outages.append(outage)
        acknowledged, lost = acknowledged + written, lost + missing
    result = {
        "fault": fault,
        "rounds": rounds,
        "outage_p50_s": round(quantile(outages, 0.5), 2),
        "outage_max_s": round(max(outages), 2),
        "outages_s": [round(one, 2) for one in outages],
        "acknowledged": acknowledged,
        "lost": lost,
        "is_ok": max(outages) < _LIMIT_SECONDS,
    }
    return report(result)


async def watched(lab: Lab, stack: ExitStack) -> None:
    """Two observers and the control plane, until the stack is closed."""
    more = lab.config_file.parent / "ha.yaml"
    more.write_text(_HA.format(name=NAME, port=choose_port()))
    more.chmod(0o600)
    start(lab.config_file, more, ["server"], stack)
    await until_verdict(lab.config_file, more, (0, 3))  # the server has made the state store
    start(lab.config_file, more, ["ha", "observe", "--as", "one"], stack)
    start(lab.config_file, more, ["ha", "observe", "--as", "two"], stack)
    await until_verdict(lab.config_file, more, (0,))  # all of them hear the primary


async def until_verdict(config: Path, more: Path, codes: tuple[int, ...]) -> None:
    """Ask for the verdict until the command ends with one of these codes. Raises: TimeoutError."""
    end = time.monotonic() + _LIMIT_SECONDS
    words = [sys.executable, "-P", "-m", "dbre", "-c", config, "-c", more, "ha", "verdict", NAME]
    while time.monotonic() < end:
        done = await asyncio.to_thread(subprocess.run, words, capture_output=True, timeout=60, check=False, cwd=config.parent)
        if done.returncode in codes:
            return
    raise TimeoutError(f"the observers do not agree: {done.stdout.decode()} {done.stderr.decode()}")


def start(config: Path, more: Path, words: list[str], stack: ExitStack) -> None:
    """One process of dbre."""
    log = stack.enter_context((config.parent / f"{words[-1]}.log").open("ab"))
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "dbre", "-c", config, "-c", more, *words], stdout=log, stderr=log, cwd=config.parent
    )

    def end() -> None:
        process.terminate()
        process.wait(60)

    stack.callback(end)


async def primary_of(lab: Lab, old: PostgresServer | None) -> PostgresServer:
    """The server that takes writes, once it is another one than the old. Raises: TimeoutError."""
    end = time.monotonic() + _LIMIT_SECONDS
    while time.monotonic() < end:
        for one in lab.servers:
            assert isinstance(one, PostgresServer)
            if one is not old and one.is_running and (await one.role()).value == "primary":
                return one
        await asyncio.sleep(0.2)
    raise TimeoutError("nobody was promoted")


async def measure(lab: Lab, fault: str) -> tuple[float, int, int]:
    """The outage around the fault, how many rows were acknowledged, and how many of them are missing."""
    ledger = Ledger(lab, pause_seconds=0.01, options={"tcp_user_timeout": "1500"})
    for one in lab.servers:
        async with await one.connect() as admin:
            await admin.execute("ALTER SYSTEM SET wal_receiver_timeout = '1s'")
            await admin.execute("SELECT pg_reload_conf()")
    with ledger.writing():
        await asyncio.sleep(_SETTLE_SECONDS)
        old = await primary_of(lab, None)
        at = time.time()
        await (old.kill() if fault == "crash" else old.freeze())
        await primary_of(lab, old)
        await asyncio.sleep(_SETTLE_SECONDS)
        written = await ledger.end()
    return written.longest_gap(at - 1, at + 3), len(written.acknowledged), len(written.missing)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
