"""Facet ``settings`` of PostgreSQL: ``pg_settings``, without the secrets in it."""

import re
from collections.abc import Sequence
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from dbre.engines.postgres.changeable import OWN, danger_now
from dbre.engines.postgres.link import Link
from dbre.engines.postgres.setting_changes import APPLIES, SettingChanges
from dbre.ports.settings import Setting, SettingForecast, SettingState, find_setting

__all__ = ["PostgresSettings", "shown_value"]

_COMMAND = re.compile(r".*_command")  # a shell line: keys of object stores are written into it
_SECRET = re.compile(r".*(passphrase|password|passwd|secret|token|credential|apikey|api_key|private_key).*", re.IGNORECASE)
_NOT_SECRET = {"password_encryption"}
_SECRET_IN_CONNECTION = {"password", "sslpassword", "oauth_client_secret"}


class PostgresSettings:
    """Implements ``ports.settings``."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._changes = SettingChanges(link)

    async def list(self) -> Sequence[Setting]:
        """All parameters that our login may see, with the values that a new session would get."""
        rows = await self._link.ask(lambda conversation: conversation.rows("settings"))
        return [_setting(row) for row in rows]

    async def get(self, name: str) -> Setting:
        """One parameter, whatever the case of its letters. Raises: UsageError with a did-you-mean."""
        whose = f"PostgreSQL at {self._link.access.address} shows our login"
        return find_setting(
            name, await self.list(), whose=whose, otherwise="some parameters are shown to members of pg_monitor only"
        )

    async def state(self, name: str) -> SettingState:
        """One parameter as a new session sees it, and as ``postgresql.auto.conf`` has it."""
        return await self._changes.state((await self.get(name)).name)

    async def foresee(self, name: str, value: str | None, *, is_kept_elsewhere: bool = False) -> SettingForecast:
        """What ``change`` would do; only looks."""
        found = await self.get(name)
        return await self._changes.foresee(found.name, value, is_kept_elsewhere=is_kept_elsewhere)

    async def change(self, name: str, value: str | None, *, is_kept_elsewhere: bool = False) -> SettingState:
        """ALTER SYSTEM, reload, and wait until the server shows it."""
        return await self._changes.change((await self.get(name)).name, value, is_kept_elsewhere=is_kept_elsewhere)

    async def restore(self, state: SettingState, *, is_kept_elsewhere: bool = False) -> SettingState:
        """Put back exactly what ``postgresql.auto.conf`` said before."""
        return await self._changes.restore(state, is_kept_elsewhere=is_kept_elsewhere)


def shown_value(name: str, value: str | None) -> str | None:
    """A parameter's value without its secrets; None where all of it may be one.

    >>> shown_value("primary_conninfo", "host=db password=hunter2")
    'host=db'
    """
    if value is None or name in _NOT_SECRET:
        return value
    if name == "primary_conninfo":
        return _connection_without_secrets(value)
    is_secret = _SECRET.fullmatch(name) or _COMMAND.fullmatch(name)
    return None if is_secret and value not in ("", "(disabled)") else value


def _connection_without_secrets(value: str) -> str | None:
    try:
        parts = conninfo_to_dict(value)
    except psycopg.Error:
        return None
    return make_conninfo("", **{key: part for key, part in parts.items() if key not in _SECRET_IN_CONNECTION})


def _setting(row: Any) -> Setting:
    danger, is_destructive = danger_now(row.name, row.value)
    return Setting(
        name=row.name,
        value=shown_value(row.name, row.value),
        unit=row.unit,
        default=shown_value(row.name, row.default_value),
        source=row.source,
        applies=APPLIES[row.context],
        is_pending_restart=row.is_pending_restart,
        is_own=row.name in OWN,
        danger=danger,
        is_destructive=is_destructive,
    )
