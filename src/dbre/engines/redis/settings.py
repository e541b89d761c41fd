"""Facet ``settings`` of Redis and Valkey: server parameters."""

from collections.abc import Sequence

from dbre.core.errors import UsageError
from dbre.core.text import closest, printable
from dbre.engines.redis.facts import IMMUTABLE_SETTINGS, SECRET_SETTINGS
from dbre.engines.redis.link import Conversation, Link
from dbre.ports.settings import Applies, Setting

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
        settings = {setting.name: setting for setting in await self.list()}
        wanted = name.lower()
        if wanted in settings:
            return settings[wanted]
        nearest = closest(wanted, settings)
        raise UsageError(
            f"the server has no parameter {printable(name, limit=100)!r}",
            hint=f"did you mean {nearest!r}?" if nearest else "see them all: dbre engine settings",
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
