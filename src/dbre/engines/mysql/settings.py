"""Facet ``settings`` of MySQL and MariaDB: server parameters."""

from collections.abc import Sequence

from dbre.engines.mysql.connection import Row
from dbre.engines.mysql.facts import SECRET_SETTINGS, STATIC_SETTINGS
from dbre.engines.mysql.link import Conversation, Link
from dbre.ports.settings import Applies, Setting, find_setting

__all__ = ["MySqlSettings"]


class MySqlSettings:
    """Implements ``ports.settings``. MySQL tells no defaults, and its static parameters come from a table of ours."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def list(self) -> Sequence[Setting]:
        """All global parameters, sorted by name."""
        return await self._link.ask(_settings)

    async def get(self, name: str) -> Setting:
        """One parameter. Raises: UsageError with a did-you-mean if the server has none of that name."""
        return find_setting(name, await self.list(), whose="the server has")


async def _settings(conversation: Conversation) -> Sequence[Setting]:
    found = [_setting(row) for row in await conversation.rows("settings")]
    return sorted(found, key=lambda setting: setting.name)


def _setting(row: Row) -> Setting:
    name, is_secret = row["name"], row["name"] in SECRET_SETTINGS
    source = str(row["source"] or "unknown").lower().replace("_", " ")
    return Setting(
        name=name,
        value=None if is_secret else row["value"],
        unit=None,
        default=None if is_secret else row["default_value"],
        source=f"{source}: {row['source_file']}" if row["source_file"] else source,
        applies=_applies(row),
        is_pending_restart=None,
    )


def _applies(row: Row) -> Applies:
    if row["is_static"] is None:
        return Applies.RESTART if row["name"] in STATIC_SETTINGS else Applies.SESSION
    if row["is_static"] != "YES":
        return Applies.SESSION
    return Applies.RESTART if row["command_line"] else Applies.NEVER
