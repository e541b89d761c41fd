"""A process that keeps the log of one server until it is killed: directory, port, cache; the password comes on stdin."""

import asyncio
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from log_plane import plane

from dbre.core.fleet import Address
from dbre.core.programs.account import Account, choose_account
from dbre.core.secrets import Secret
from dbre.lab.postgres.template import TEMPLATE_SUPERUSER


@dataclass(frozen=True, kw_only=True)
class Place:
    account: Account


@dataclass(frozen=True, kw_only=True)
class Described:
    """As much of a lab server as the plane needs."""

    name: str
    address: Address
    password: Secret
    site: Place
    engine: str = "postgresql"
    superuser: str = TEMPLATE_SUPERUSER
    default_database: str = "postgres"


async def main(directory: Path, port: int, cache: Path, password: str) -> None:
    server: Any = Described(
        name="fresh",
        address=Address("127.0.0.1", port),
        password=Secret(password),
        site=Place(account=choose_account(os.environ)),
    )
    async with plane(directory, [server], cache=cache) as one, one.keeping():
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), sys.stdin.readline().strip()))
