"""Facet ``settings`` of MySQL and MariaDB: server parameters."""

from collections.abc import Sequence

from dbre.engines.mysql.connection import Row
from dbre.engines.mysql.facts import SECRET_SETTINGS, STATIC_SETTINGS
from dbre.engines.mysql.link import Conversation, Link
from dbre.engines.mysql.setting_changes import OWN, SettingChanges, danger_now
from dbre.ports.settings import Applies, Setting, SettingForecast, SettingState, find_setting

__all__ = ["MySqlSettings"]


class MySqlSettings:
    """Implements ``ports.settings``. MySQL tells no defaults, and its static parameters come from a table of ours."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._changes = SettingChanges(link)

    async def list(self) -> Sequence[Setting]:
        """All global parameters, sorted by name."""
        return await self._link.ask(_settings)

    async def get(self, name: str) -> Setting:
        """One parameter. Raises: UsageError with a did-you-mean if the server has none of that name."""
        return find_setting(name, await self.list(), whose="the server has")

    async def state(self, name: str) -> SettingState:
        """One parameter as a new session sees it; MariaDB stores none."""
        return await self._changes.state((await self.get(name)).name)

    async def foresee(self, name: str, value: str | None, *, is_kept_elsewhere: bool = False) -> SettingForecast:
        """What ``change`` would do; only looks."""
        found = await self.get(name)
        return await self._changes.foresee(found.name, value, is_kept_elsewhere=is_kept_elsewhere)

    async def change(self, name: str, value: str | None, *, is_kept_elsewhere: bool = False) -> SettingState:
        """SET GLOBAL, until the next restart; with None the server's default."""
        return await self._changes.change((await self.get(name)).name, value, is_kept_elsewhere=is_kept_elsewhere)

    async def restore(self, state: SettingState, *, is_kept_elsewhere: bool = False) -> SettingState:
        """Set the value that was there before."""
        return await self._changes.restore(state, is_kept_elsewhere=is_kept_elsewhere)


async def _settings(conversation: Conversation) -> Sequence[Setting]:
    found = [_setting(row) for row in await conversation.rows("settings")]
    return sorted(found, key=lambda setting: setting.name)


def _setting(row: Row) -> Setting:
    name, is_secret = row["name"], row["name"] in SECRET_SETTINGS
    source = str(row["source"] or "unknown").lower().replace("_", " ")
    danger, is_destructive = danger_now(name, row["value"])
    return Setting(
        name=name,
        value=None if is_secret else row["value"],
        unit=None,
        default=None if is_secret else row["default_value"],
        source=f"{source}: {row['source_file']}" if row["source_file"] else source,
        applies=_applies(row),
        is_pending_restart=None,
        is_own=name in OWN,
        danger=danger,
        is_destructive=is_destructive,
    )


def _applies(row: Row) -> Applies:
    if row["is_static"] is None:
        return Applies.RESTART if row["name"] in STATIC_SETTINGS else Applies.SESSION
    if row["is_static"] != "YES":
        return Applies.SESSION
    return Applies.RESTART if row["command_line"] else Applies.NEVER
