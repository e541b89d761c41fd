"""SIGKILL of the process that delivers: every committed event arrives, in order, after the restart too."""

import asyncio
import signal
import sys
from pathlib import Path

from event_kit import emit, states

DELIVERER = """
import asyncio, os, sys
from dbre.core.clock import SystemClock
from dbre.core.events import EventDelivery, Subscription
from dbre.core.secrets import Secret
from dbre.core.store import open_store

async def main():
    url, password, path = sys.argv[1:]
    receiver = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    async def handler(event):
        os.write(receiver, f"{event.id} {event.subject}\\n".encode())

    async with open_store(url, clock=SystemClock(), password=Secret(password)) as store:
        wanted = [Subscription(name="file", kinds=("*",), handler=handler)]
        print("ready", flush=True)
        await EventDelivery(store, wanted, SystemClock(), poll_seconds=0.05).run()

asyncio.run(main())
"""
COUNT = 120


async def test_a_killed_deliverer_loses_nothing_that_was_committed(place, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    async with place.open(migrate=True) as store:
        emitted: list[str] = []
        for round_ in range(2):
            process = await _start(place, inbox)
            for number in range(round_ * COUNT // 2, (round_ + 1) * COUNT // 2):
                emitted += [str(one.id) for one in await emit(store, f"{number:03}")]
            process.send_signal(signal.SIGKILL)
            await process.wait()
        process = await _start(place, inbox)
        try:
            async with asyncio.timeout(60):
                while True:
                    found = await states(store)
                    if len(found) == COUNT and set(found.values()) == {"delivered"}:
                        break
                    await asyncio.sleep(0.05)
        finally:
            process.kill()
            await process.wait()
    lines = [line.split() for line in inbox.read_text().splitlines()]
    assert list(dict.fromkeys(identifier for identifier, _ in lines)) == emitted  # all, in order; repetitions have the same id
    assert len(lines) <= COUNT + 2  # at most one repetition a kill


async def _start(place, inbox: Path) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", DELIVERER, place.url, place.password.reveal() if place.password else "-", str(inbox),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    async with asyncio.timeout(30):
        assert await process.stdout.readline() == b"ready\n"
    return process
