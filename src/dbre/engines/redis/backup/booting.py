"""A Redis server is started on a recovered directory, for us alone: a unix socket, no port, no writes but ours."""

import asyncio
import os
import secrets
import signal
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from dbre.core.errors import Denied, Unreachable
from dbre.core.fleet import Address, TlsMode
from dbre.core.programs.account import Account, give
from dbre.core.programs.confined import Confinement
from dbre.core.programs.run import Child, spawn
from dbre.core.programs.scratch import scratch_directory
from dbre.core.secrets import Secret
from dbre.core.text import printable
from dbre.engines.redis.backup.asking import ask
from dbre.engines.redis.backup.programs import SERVER, require_tool
from dbre.engines.redis.backup.source import KEPT_SETTINGS
from dbre.engines.redis.facts import DEFAULT_PORT
from dbre.ports.backup.engine import RecoverOrder
from dbre.ports.backup.errors import RecoveryFailed
from dbre.ports.backup.model import Place
from dbre.ports.engine import Access, Timeouts

__all__ = ["Booted", "booted"]

_SOCKET = "redis.sock"
_POLL_SECONDS = 0.1
_STOP_SECONDS = 600.0
_LOG_LINES = 200
_TAIL_LINES = 12
_LONG = Timeouts(connect_seconds=10.0, statement_seconds=3600.0, lock_seconds=60.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Booted:
    """A server that runs on a copy."""

    access: Access
    child: Child
    log: deque[str]

    async def stop(self) -> None:
        """End it in order. Raises: RecoveryFailed where it does not end, or ends with an error."""
        self.child.signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(_STOP_SECONDS):
                status = await self.child.wait()
        except TimeoutError as error:
            message = f"the recovered server did not stop within {_STOP_SECONDS:.0f} s{_tail(self.log)}"
            raise RecoveryFailed(message) from error
        if status != 0:
            raise RecoveryFailed(f"the recovered server stopped with {status}{_tail(self.log)}")


@asynccontextmanager
async def booted(
    order: RecoverOrder,
    *,
    place: Place,
    confinement: Confinement,
    version: str | None,
    settings: Mapping[str, str],
    is_aof: bool,
) -> AsyncIterator[Booted]:
    """Start it and wait until it has loaded its data; it is killed at the end.

    Raises: RecoveryFailed with the end of its log; BinariesMissing.
    """
    program = await require_tool(SERVER, place, version=version)
    log: deque[str] = deque(maxlen=_LOG_LINES)
    password = Secret(secrets.token_urlsafe(24))
    with scratch_directory(place.account) as directory:
        configuration = directory / "redis.conf"
        _write(configuration, _text(order, directory, password, settings, is_aof=is_aof), place.account)
        access = Access(
            address=Address(str(directory / _SOCKET), DEFAULT_PORT),
            user=None,
            password=password,
            database=None,
            tls=TlsMode.DISABLE,
            timeouts=_LONG,
            application_name="dbre:recovery",
        )
        # the directory comes last, as an argument: its path may have blanks
        words: list[str | Path] = [*confinement.prefix, program, configuration, "--dir", order.directory]
        async with spawn(
            words, account=confinement.account, directory=order.directory, on_line=log.append, program=SERVER
        ) as child:
            await _wait_until_loaded(access, child, log, order.timeout_seconds)
            yield Booted(access=access, child=child, log=log)


def _text(order: RecoverOrder, directory: Path, password: Secret, settings: Mapping[str, str], *, is_aof: bool) -> str:
    chosen = {
        "port": "0",
        "unixsocket": f'"{directory / _SOCKET}"',
        "unixsocketperm": "700",
        "daemonize": "no",
        "requirepass": password.reveal(),
        "appendonly": "yes" if is_aof else "no",
        "appendfsync": "everysec" if order.is_faithful else "no",
        "aof-load-truncated": "no",
        "auto-aof-rewrite-percentage": "0",
        "save": '""',
        "stop-writes-on-bgsave-error": "no",
        "min-replicas-to-write": "1",  # nobody writes until it is promoted
        "dbfilename": "dump.rdb",
        **{name: f'"{settings[name]}"' for name in KEPT_SETTINGS if name in settings},
        **dict(order.extra_settings),
    }
    return "".join(f"{name} {value}\n" for name, value in chosen.items())


def _write(path: Path, text: str, account: Account) -> None:
    with open(path, "x", encoding="utf-8", opener=_private) as file:
        file.write(text)
    give(path, account)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW, 0o600)


async def _wait_until_loaded(access: Access, child: Child, log: Sequence[str], limit_seconds: float) -> None:
    deadline = time.monotonic() + limit_seconds
    while True:
        if child.status is not None:
            status = await child.wait()
            raise RecoveryFailed(
                f"the server that was started from the copy ended with {status}{_tail(log)}",
                hint="see its last lines; verify the set, and try another one",
            )
        try:
            await ask(access, "size")
        except (Unreachable, Denied) as error:
            if time.monotonic() > deadline:
                message = f"the server that was started from the copy does not answer: {error.message}{_tail(log)}"
                raise RecoveryFailed(message, hint="see its last lines") from error
            await asyncio.sleep(_POLL_SECONDS)
        else:
            return


def _tail(log: Sequence[str]) -> str:
    return "".join(f"\n{printable(line, limit=400)}" for line in list(log)[-_TAIL_LINES:])
