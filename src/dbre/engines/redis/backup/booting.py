"""A Redis server is started on a recovered directory, for us alone: a unix socket, no port, no writes but ours."""

import secrets
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from dbre.core.errors import Denied, Unreachable
from dbre.core.fleet import Address, TlsMode
from dbre.core.programs.confined import Confinement
from dbre.core.programs.scratch import scratch_directory
from dbre.core.secrets import Secret
from dbre.engines.redis.backup.asking import ask
from dbre.engines.redis.backup.programs import SERVER, require_tool
from dbre.engines.redis.backup.source import KEPT_SETTINGS
from dbre.engines.redis.facts import DEFAULT_PORT
from dbre.ports.backup.child_server import ChildServer, Launch, child_server, write_private
from dbre.ports.backup.engine import RecoverOrder
from dbre.ports.backup.model import Place
from dbre.ports.engine import Access, Timeouts

__all__ = ["booted"]

_SOCKET = "redis.sock"
_LONG = Timeouts(connect_seconds=10.0, statement_seconds=3600.0, lock_seconds=60.0)


@asynccontextmanager
async def booted(
    order: RecoverOrder,
    *,
    place: Place,
    confinement: Confinement,
    version: str | None,
    settings: Mapping[str, str],
    is_aof: bool,
) -> AsyncIterator[ChildServer]:
    """Start it and wait until it has loaded its data; it is killed at the end.

    Raises: RecoveryFailed with the end of its log; BinariesMissing.
    """
    program = await require_tool(SERVER, place, version=version)
    password = Secret(secrets.token_urlsafe(24))
    with scratch_directory(place.account) as directory:
        configuration = directory / "redis.conf"
        write_private(configuration, _text(order, directory, password, settings, is_aof=is_aof), place.account)
        access = Access(
            address=Address(str(directory / _SOCKET), DEFAULT_PORT),
            user=None,
            password=password,
            database=None,
            tls=TlsMode.DISABLE,
            timeouts=_LONG,
            application_name="dbre:recovery",
        )
        launch = Launch(
            words=[program, configuration, "--dir", order.directory],  # last, as an argument: its path may have blanks
            program=SERVER,
            directory=order.directory,
            access=access,
            ask=partial(ask, access, "size"),
            not_yet=(Unreachable, Denied),
            timeout_seconds=order.timeout_seconds,
        )
        async with child_server(launch, confinement) as server:
            yield server


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
