"""Changes of parameters of Redis and Valkey: CONFIG SET, seen to be in effect, and CONFIG REWRITE, so that they last."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from redis.exceptions import ResponseError

from dbre.core.errors import Denied, Unsupported, UsageError
from dbre.core.text import one_line, printable
from dbre.engines.redis.commands import named
from dbre.engines.redis.config_file import checked, danger_of, refusal_of, same_value
from dbre.engines.redis.connection import Connection, Dialer
from dbre.engines.redis.facts import IMMUTABLE_SETTINGS
from dbre.engines.redis.faults import FAULTS, error_word
from dbre.engines.redis.link import sections_of
from dbre.ports.engine import Access
from dbre.ports.settings import Applies, Setting, SettingForecast, SettingNotInEffect, SettingRefused, SettingState

__all__ = ["SettingChanges"]


class SettingChanges:
    """The acting half of facet ``settings``; its sessions are their own."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self._dialer = Dialer(access, what="settings")

    def foresee_elsewhere(self, found: Setting, value: str) -> SettingForecast:
        """What its file of settings would do at the next start."""
        after = self._checked(found, value)
        return _forecast(found, after, is_lasting=True, stored=after)

    async def foresee(self, found: Setting, value: str | None) -> SettingForecast:
        """What ``change`` would do: the server tells neither types nor limits, so that it refuses a bad value only then."""
        if value is None:
            raise Unsupported(
                f"Redis at {self._access.address} does not tell what {found.name} is by default",
                hint=f"say which value it is to have: {found.name}=...",
            )
        after = self._checked(found, value)
        if found.applies is Applies.RESTART:
            raise SettingRefused(
                f"Redis at {self._access.address}: {found.name} is read when the server starts, and not set while it runs",
                hint="have dbre write it into a file, and restart: settings_file in control: of the instance, "
                "and dbre upgrade parameters",
            )
        async with self._session() as ask:
            await self._require_privilege(ask)
            is_lasting = await _has_file(ask)
        told = _forecast(found, after, is_lasting=is_lasting)
        if is_lasting or told.is_already:
            return told
        return _forecast(found, after, notes=("the server has no configuration file, and forgets it at its next restart",))

    async def change(self, found: Setting, value: str | None, *, keeps: bool) -> SettingState:
        """CONFIG SET, read it again, and with ``keeps`` CONFIG REWRITE: otherwise its own file stays as it is."""
        return await self._set(found, (await self.foresee(found, value)).value, keeps=keeps)

    async def restore(self, found: Setting, state: SettingState, *, keeps: bool) -> SettingState:
        """The value of before, as it was told."""
        return await self._set(found, state.value, keeps=keeps)

    def _checked(self, found: Setting, value: str) -> str:
        reason = "it holds a secret" if found.value is None else refusal_of(found.name)
        if reason is not None:
            raise SettingRefused(f"dbre does not set {found.name}: {reason}", hint="an administrator can, without dbre")
        return checked(found.name, value, now=found.value or "")

    async def _set(self, found: Setting, value: str, *, keeps: bool) -> SettingState:
        async with self._session() as ask:
            if (before := await _value(ask, found.name)) != value:
                await self._send(ask, found.name, value)
                if (now := await _value(ask, found.name)) != value:
                    await self._send(ask, found.name, before)
                    raise SettingRefused(
                        f"Redis at {self._access.address} makes {printable(now, limit=100)} of "
                        f"{found.name}={printable(value, limit=100)}; it was put back",
                        hint=f"ask for {found.name}={printable(now, limit=100)}",
                    )
            if keeps and await _has_file(ask):
                await self._keep(ask, found.name, before)
        return _state(found.name, value)

    async def _send(self, ask: Any, name: str, value: str) -> None:
        try:
            await ask("change_setting", name, value)
        except ResponseError as error:
            if error_word(error) == "NOPERM":
                raise self._denied("+config|set") from error
            raise UsageError(
                f"Redis at {self._access.address} does not take {name}={printable(value, limit=100)}: {one_line(str(error))}",
                hint=f"dbre settings show CLUSTER {name}",
            ) from error

    async def _keep(self, ask: Any, name: str, before: str) -> None:
        """What cannot be kept is not left in effect either: after the next restart it would be another value."""
        try:
            await ask("keep_settings")
        except ResponseError as error:
            await self._send(ask, name, before)
            if error_word(error) == "NOPERM":
                raise self._denied("+config|rewrite") from error
            raise SettingNotInEffect(
                f"Redis at {self._access.address} cannot write its configuration file: {one_line(str(error))}; "
                f"{name} was put back",
                hint="the server's account has to be allowed to write that file and its directory",
            ) from error

    async def _require_privilege(self, ask: Any) -> None:
        try:
            await ask("change_nothing")
        except ResponseError as error:
            if error_word(error) == "NOPERM":
                raise self._denied("+config|set") from error

    def _denied(self, privilege: str) -> Denied:
        user = self._access.user or "default"
        return Denied(
            f"Redis at {self._access.address}: changing parameters needs {privilege}, which user {user!r} lacks",
            hint=f"ACL SETUSER {user} {privilege}: who may set every setting of a server may do everything with it",
            context={"address": str(self._access.address), "privilege": privilege},
        )

    @asynccontextmanager
    async def _session(self) -> AsyncIterator[Any]:
        limit = self._access.timeouts.statement_seconds
        try:
            connection: Connection = await self._dialer.open(self._access)

            async def ask(name: str, *parameters: object) -> Any:
                return await connection.run(named(name), *parameters, limit_seconds=limit)

            try:
                yield ask
            finally:
                connection.abort()
        except FAULTS.raised as error:
            raise FAULTS.translate(error, self._access) from error


async def _value(ask: Any, name: str) -> str:
    found = await ask("setting", name)
    return str(found[1]) if len(found) > 1 else ""


async def _has_file(ask: Any) -> bool:
    return bool(sections_of(await ask("info")).get("config_file"))


def _forecast(
    found: Setting, after: str, *, is_lasting: bool = False, stored: str | None = None, notes: tuple[str, ...] = ()
) -> SettingForecast:
    is_already = same_value(found.value or "", after)
    return SettingForecast(
        now=_state(found.name, found.value or ""),
        value=after,
        stored=stored,
        applies=Applies.RESTART if found.name in IMMUTABLE_SETTINGS else Applies.SESSION,
        is_already=is_already,
        is_lasting=is_lasting,
        danger=None if is_already else danger_of(found.name, after, now=found.value or ""),
        notes=notes,
    )


def _state(name: str, value: str) -> SettingState:
    """Where the server would find it after a restart is not known."""
    return SettingState(name=name, value=value, stored=None, source="unknown", is_pending_restart=False)
