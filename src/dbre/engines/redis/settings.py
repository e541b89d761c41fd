"""Facet ``settings`` of Redis and Valkey: server parameters."""

from collections.abc import Sequence

from dbre.core.errors import Unsupported
from dbre.engines.redis.config_file import checked, refusal_in_file, same_value
from dbre.engines.redis.facts import IMMUTABLE_SETTINGS, SECRET_SETTINGS
from dbre.engines.redis.link import Conversation, Link
from dbre.ports.settings import Applies, Setting, SettingForecast, SettingRefused, SettingState, find_setting

__all__ = ["RedisSettings"]


class RedisSettings:
    """Implements ``ports.settings``. The server tells neither defaults nor where a value came from."""

    def __init__(self, link: Link) -> None:
        self._link = link

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
        """What its file of settings would do. Raises: Unsupported elsewhere: nothing tells types and limits beforehand."""
        found = await self.get(name)
        if not is_kept_elsewhere or value is None:
            raise self._unsupported(found.name)
        reason = "it holds a secret" if found.value is None else refusal_in_file(found.name)
        if reason is not None:
            raise SettingRefused(f"dbre does not set {found.name}: {reason}", hint="an administrator can, without dbre")
        after, now = checked(found.name, value), await self.state(found.name)
        return SettingForecast(
            now=now,
            value=after,
            stored=after,
            applies=found.applies,
            is_already=same_value(now.value, after),
            is_lasting=True,
        )

    async def change(self, name: str, value: str | None) -> SettingState:  # noqa: ARG002 - the port's signature
        """Raises: Unsupported, as ``foresee``."""
        raise self._unsupported((await self.get(name)).name)

    async def restore(self, state: SettingState) -> SettingState:
        """Raises: Unsupported, as ``foresee``."""
        raise self._unsupported(state.name)

    def _unsupported(self, name: str) -> Unsupported:
        return Unsupported(
            f"Redis at {self._link.access.address} tells neither types nor limits of its parameters, so dbre does not set them",
            hint=f"an administrator can: CONFIG SET {name} ..., and CONFIG REWRITE to keep it",
        )


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
