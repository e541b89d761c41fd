"""Facet ``settings`` of Redis and Valkey: server parameters."""

from collections.abc import Sequence

from dbre.engines.redis.facts import IMMUTABLE_SETTINGS, SECRET_SETTINGS
from dbre.engines.redis.link import Conversation, Link
from dbre.engines.redis.setting_changes import SettingChanges
from dbre.ports.settings import Applies, Setting, SettingForecast, SettingState, find_setting

__all__ = ["RedisSettings"]


class RedisSettings:
    """Implements ``ports.settings``. The server tells neither defaults nor where a value came from."""

    def __init__(self, link: Link) -> None:
        self._link = link
        self._changes = SettingChanges(link.access)

    async def list(self) -> Sequence[Setting]:
        """All parameters, sorted by name; logins and passwords among them are withheld."""
        return await self._link.ask(_settings)

    async def get(self, name: str) -> Setting:
        """One parameter. Raises: UsageError with a did-you-mean if the server has none of that name."""
        return find_setting(name, await self.list(), whose="the server has")

    async def state(self, name: str) -> SettingState:
        """One parameter; where the server would find it after a restart is not known."""
        found = await self.get(name)
        return SettingState(
            name=found.name, value=found.value or "", stored=None, source=found.source, is_pending_restart=False
        )

    async def foresee(self, name: str, value: str | None, *, is_kept_elsewhere: bool = False) -> SettingForecast:
        """What a change would do, as far as the server tells; only looks."""
        found = await self.get(name)
        if is_kept_elsewhere and value is not None:
            return self._changes.foresee_elsewhere(found, value)
        return await self._changes.foresee(found, value)

    async def change(self, name: str, value: str | None, *, is_kept_elsewhere: bool = False) -> SettingState:
        """CONFIG SET, and CONFIG REWRITE where the server keeps it in its own file."""
        return await self._changes.change(await self.get(name), value, keeps=not is_kept_elsewhere)

    async def restore(self, state: SettingState, *, is_kept_elsewhere: bool = False) -> SettingState:
        """CONFIG SET what was there; CONFIG REWRITE likewise."""
        return await self._changes.restore(await self.get(state.name), state, keeps=not is_kept_elsewhere)


async def _settings(conversation: Conversation) -> Sequence[Setting]:
    answer = await conversation.ask("settings")
    pairs = zip(answer[::2], answer[1::2], strict=True)
    return [_setting(name, value) for name, value in sorted(pairs)]


def _setting(name: str, value: str) -> Setting:
    return Setting(
        name=name,
        value=None if name in SECRET_SETTINGS else value,
        unit=None,
        default=None,
        source="unknown",
        applies=Applies.RESTART if name in IMMUTABLE_SETTINGS else Applies.SESSION,
        is_pending_restart=None,
    )
