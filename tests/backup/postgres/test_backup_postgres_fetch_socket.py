"""What is left of the socket for a recovering server's questions at its end."""

import asyncio
import os
from pathlib import Path

from dbre.core.programs.account import choose_account
from dbre.engines.postgres.backup.fetch_socket import fetch_socket

SEGMENT = "000000010000000000000001"


class Slow:
    """A log whose files never come."""

    def __init__(self) -> None:
        self.was_asked = asyncio.Event()
        self.was_left = False

    async def fetch(self, _name: str, _into: Path) -> bool:
        self.was_asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.was_left = True
            raise
        return True


async def test_a_question_that_is_still_open_at_the_end_is_given_up(tmp_path: Path) -> None:
    log = Slow()
    async with asyncio.timeout(60):
        async with fetch_socket(log, choose_account({}), directory=tmp_path):
            _, writer = await asyncio.open_unix_connection(tmp_path / "fetch.sock")
            writer.write(os.fsencode(SEGMENT) + b"\n")
            await log.was_asked.wait()
        assert log.was_left, "the log's place may be closed now: nobody may go on reading from it"
        writer.close()
