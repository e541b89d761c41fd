"""Changes of PostgreSQL's parameters that last: ALTER SYSTEM, a reload, and the proof that the server took it."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from dbre.core.errors import Denied, Unsupported, UsageError
from dbre.core.pool import abort_on_error
from dbre.core.text import printable, quoted
from dbre.core.units import format_duration
from dbre.engines.postgres.changeable import REPLICA_NEEDS_AS_MUCH, danger_of, refusal_of
from dbre.engines.postgres.connection import Connection, open_connection
from dbre.engines.postgres.facts import READ_FILES
from dbre.engines.postgres.faults import FAULTS
from dbre.engines.postgres.link import STATEMENT_GRACE_SECONDS, Conversation, Link
from dbre.engines.postgres.parameter_value import ValueRule, normalised, same_value, shown
from dbre.engines.postgres.queries import named
from dbre.ports.engine import Facet, NamedQuery, Parameter
from dbre.ports.settings import Applies, SettingForecast, SettingNotInEffect, SettingRefused, SettingState

__all__ = ["APPLIES", "COMPOSED", "SettingChanges"]

APPLIES = {
    "internal": Applies.NEVER,
    "postmaster": Applies.RESTART,
    "sighup": Applies.RELOAD,
    "superuser-backend": Applies.SESSION,
    "backend": Applies.SESSION,
    "superuser": Applies.SESSION,
    "user": Applies.SESSION,
}
_AUTO_FILE = "/postgresql.auto.conf"
_OWN = ("database", "user", "database user", "client")  # sources that speak of our login, not of the server
_HIDES = ("command line", "environment variable", "override")
_POLL_SECONDS = 0.05
_WORKED_OUT_SECONDS = 1.0
_ORIGIN = "postgres/setting_changes.py"

COMPOSED = tuple(
    NamedQuery(
        name=name,
        facet=Facet.SETTINGS,
        versions=">=15",
        privilege="ALTER SYSTEM ON PARAMETER",
        text=text,
        source=f"{_ORIGIN}:{name}",
        parameters=parameters,
    )
    for name, text, parameters in (
        (
            "store_setting",
            "ALTER SYSTEM SET $1 TO $2",
            (Parameter(name="name", type="identifier"), Parameter(name="value", type="literal")),
        ),
        ("forget_setting", "ALTER SYSTEM RESET $1", (Parameter(name="name", type="identifier"),)),
    )
)
"""Statements that take no bind parameters: name and value are composed as identifier and literal, by psycopg."""


@dataclass(frozen=True, slots=True)
class _Look:
    """One parameter with everything that the files say."""

    detail: Any
    files: Sequence[Any]
    overrides: Sequence[Any]

    @property
    def rule(self) -> ValueRule:
        one = self.detail
        return ValueRule(
            name=one.name,
            vartype=one.vartype,
            unit=one.unit,
            minimum=one.min_val,
            maximum=one.max_val,
            words=one.enumvals or (),
        )

    @property
    def applies(self) -> Applies:
        return APPLIES[self.detail.context]

    def from_files(self, *, is_auto_included: bool = True) -> str:
        """The value that the files give, or the built-in one; the last line counts."""
        given = [one for one in self._lines if is_auto_included or not (one.source_file or "").endswith(_AUTO_FILE)]
        return shown(given[-1].value if given else self.detail.boot_val or "", self.rule)

    @property
    def stored(self) -> str | None:
        """What ``postgresql.auto.conf`` says, as it stands there."""
        kept = [one.value for one in self._lines if one.source_file.endswith(_AUTO_FILE)]
        return kept[-1] if kept else None

    @property
    def value(self) -> str:
        """What a new session of somebody without settings of their own gets."""
        if self.detail.source in _OWN:
            return self.from_files()
        return shown(self.detail.reset_val or "", self.rule)

    @property
    def state(self) -> SettingState:
        one = self.detail
        return SettingState(
            name=one.name, value=self.value, stored=self.stored, source=one.source, is_pending_restart=one.is_pending_restart
        )

    @property
    def _lines(self) -> Sequence[Any]:
        return [one for one in self.files if (one.name or "").lower() == self.detail.name.lower() and one.value is not None]


class SettingChanges:
    """The acting half of facet ``settings``; its sessions are their own, and each look is a fresh one."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def state(self, name: str) -> SettingState:
        """One parameter as a new session sees it, and as it is stored."""
        return (await self._look(name)).state

    async def foresee(self, name: str, value: str | None, *, is_kept_elsewhere: bool = False) -> SettingForecast:
        """What a change would do; only looks."""
        look = await self._look(name)
        if is_kept_elsewhere and value is not None:
            self._check_allowed(look, value)
            self._check_seen(look)
            return _forecast_elsewhere(look, value)
        self._check(look, value)
        return _forecast(look, value)

    async def change(self, name: str, value: str | None, *, is_kept_elsewhere: bool = False) -> SettingState:
        """Store a value or take it away, reload, and wait until the server shows it."""
        self._require_own(name, is_kept_elsewhere=is_kept_elsewhere)
        look = await self._look(name)
        self._check(look, value)
        forecast = _forecast(look, value)
        return look.state if forecast.is_already else await self._store(look, forecast.stored, shows=forecast.value)

    async def foresee_forced(self, name: str, value: str) -> tuple[SettingState, str]:
        """A parameter as it is, and ``value`` as it would be stored: also for what is otherwise left alone, for faults."""
        look = await self._look(name)
        self._check_privilege(look)
        return look.state, normalised(value, look.rule)

    async def force(self, name: str, stored: str) -> SettingState:
        """Store a value that makes a fault, reload, and wait until the server shows it; ``restore`` takes it back."""
        look = await self._look(name)
        self._check_privilege(look)
        return await self._store(look, stored, shows=stored)

    async def restore(self, state: SettingState, *, is_kept_elsewhere: bool = False) -> SettingState:
        """Put back what was stored before, exactly."""
        self._require_own(state.name, is_kept_elsewhere=is_kept_elsewhere)
        look = await self._look(state.name)
        self._check_privilege(look)
        if look.stored == state.stored and look.value == state.value:
            return look.state
        return await self._store(look, state.stored, shows=state.value)

    def _require_own(self, name: str, *, is_kept_elsewhere: bool) -> None:
        if is_kept_elsewhere:
            raise Unsupported(
                f"PostgreSQL at {self._link.access.address} has a value of {printable(name, limit=100)} by storing it itself",
                hint="dbre settings apply",
            )

    async def _look(self, name: str) -> _Look:
        async def ask(conversation: Conversation) -> _Look:
            found = await conversation.rows("setting_detail", name)
            if not found:
                raise UsageError(
                    f"PostgreSQL at {self._link.access.address} shows our login no parameter {quoted(name, limit=100)}"
                )
            files = await conversation.rows("setting_files") if await conversation.may(READ_FILES) else None
            if files is None:
                raise self._denied("SELECT ON pg_file_settings", conversation.connection.user)
            return _Look(found[0], files, await conversation.rows("setting_overrides", name))

        return await self._link.ask_afresh(ask)

    def _denied(self, privilege: str, user: str | None) -> Denied:
        access, role = self._link.access, printable(user or "")
        return Denied(
            f"PostgreSQL at {access.address}: changing parameters needs {privilege}, which role {role!r} lacks",
            hint="the end of what this prints says what to grant: dbre engine sql postgresql --grants --user NAME",
            context={"address": str(access.address), "privilege": privilege},
        )

    def _check_allowed(self, look: _Look, value: str | None) -> None:
        one, name = look.detail, printable(look.detail.name, limit=100)
        reason, subject = refusal_of(one.name, None, category=one.category), name  # a refused value may be a secret
        if reason is None and look.applies is Applies.NEVER:
            reason = "it was fixed when the server or its data directory was built"
        if reason is None and value is not None:
            wanted = normalised(value, look.rule)
            reason, subject = refusal_of(one.name, wanted, category=one.category), f"{name}={printable(wanted, limit=100)}"
        if reason is not None:
            raise SettingRefused(f"dbre does not set {subject}: {reason}", hint="an administrator can, without dbre")

    def _check_seen(self, look: _Look) -> None:
        """That no value of the server's own hides what is kept elsewhere; its command line is not its own."""
        if look.stored is None or look.detail.source in _HIDES:
            return
        name = printable(look.detail.name, limit=100)
        raise SettingRefused(
            f"PostgreSQL at {self._link.access.address} stores a value of {name} itself, which hides what is kept elsewhere",
            hint=f"take it away first: ALTER SYSTEM RESET {name}",
        )

    def _check(self, look: _Look, value: str | None) -> None:
        self._check_allowed(look, value)
        one, where = look.detail, f"PostgreSQL at {self._link.access.address}"
        name = printable(one.name, limit=100)
        if one.source in _HIDES and value is not None:
            raise SettingRefused(
                f"{where} has {name} from its {one.source}, which hides whatever is stored",
                hint="change how the server is started",
            )
        broken = next((line for line in look.files if line.error and (line.name is None or line.is_unknown)), None)
        if broken is not None:
            place = f"{printable(broken.source_file)} line {broken.source_line}" if broken.source_file else "its files"
            raise SettingRefused(
                f"{where} would refuse the reload: {place}: {printable(broken.error)}",
                hint="correct that line first: SELECT * FROM pg_file_settings WHERE error IS NOT NULL",
            )
        self._check_privilege(look)

    def _check_privilege(self, look: _Look) -> None:
        if not look.detail.may_alter:
            raise self._denied(f"ALTER SYSTEM ON PARAMETER {printable(look.detail.name)}", self._link.access.user)
        if not look.detail.may_reload:
            raise self._denied("EXECUTE ON pg_reload_conf", self._link.access.user)

    async def _store(self, look: _Look, stored: str | None, *, shows: str) -> SettingState:
        try:
            connection = await open_connection(self._link.access, what="settings")
            with abort_on_error(connection):
                await self._send(connection, look.detail.name, stored)
            connection.abort()
        except FAULTS.raised as error:
            raise FAULTS.translate(error, self._link.access) from error
        return await self._wait(look, stored, shows)

    async def _send(self, connection: Connection, name: str, stored: str | None) -> None:
        limit = self._link.access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
        await connection.run(_statement(name, stored), limit_seconds=limit)
        await connection.run(named("reload"), limit_seconds=limit)

    async def _wait(self, look: _Look, stored: str | None, shows: str) -> SettingState:
        limit = self._link.access.timeouts.statement_seconds
        began = time.monotonic()
        while True:
            found = await self._look(look.detail.name)
            waited = time.monotonic() - began
            if found.stored == stored and _is_settled(found, shows, waited):
                return found.state
            if waited > limit:
                raise self._not_shown(found, shows)
            await asyncio.sleep(_POLL_SECONDS)

    def _not_shown(self, found: _Look, shows: str) -> SettingNotInEffect:
        limit = format_duration(self._link.access.timeouts.statement_seconds)
        name, value = printable(found.detail.name), printable(found.value, limit=100)
        return SettingNotInEffect(
            f"PostgreSQL at {self._link.access.address} stored {name}, and {limit} after the reload still shows {value} "
            f"instead of {printable(shows, limit=100)}",
            hint="see the server's log, and SELECT * FROM pg_file_settings WHERE error IS NOT NULL",
        )


def _is_settled(found: _Look, shows: str, waited: float) -> bool:
    """Whether the server has read its files: a parameter for a restart says by then whether one is due."""
    if found.applies is not Applies.RESTART:
        return same_value(found.value, shows, found.rule)
    is_due = not same_value(found.value, found.from_files(), found.rule)
    # Where the server works out the value itself (wal_buffers = -1), it never looks like that of its files.
    return found.detail.is_pending_restart == is_due or waited > _WORKED_OUT_SECONDS


def _statement(name: str, stored: str | None) -> NamedQuery:
    template = COMPOSED[0] if stored is not None else COMPOSED[1]
    given = {"name": sql.Identifier(*name.split("."))} | ({} if stored is None else {"value": sql.Literal(stored)})
    text = sql.SQL("ALTER SYSTEM SET {name} TO {value}" if stored is not None else "ALTER SYSTEM RESET {name}").format(**given)
    return NamedQuery(
        name=template.name,
        facet=template.facet,
        versions=template.versions,
        privilege=template.privilege,
        text=text.as_string(None),
        source=template.source,
    )


def _forecast(look: _Look, value: str | None) -> SettingForecast:
    rule, now = look.rule, look.state
    after = look.from_files(is_auto_included=False) if value is None else normalised(value, rule)
    is_kept = same_value(look.from_files(), after, rule)
    is_shown = same_value(now.value, after, rule) or (look.applies is Applies.RESTART and now.is_pending_restart)
    is_already = now.stored is None and is_shown if value is None else is_kept and is_shown
    direction = None
    if look.detail.name in REPLICA_NEEDS_AS_MUCH and not is_already and not same_value(now.value, after, rule):
        direction = int(after) > int(now.value)
    return SettingForecast(
        now=now,
        value=after,
        stored=now.stored if is_already else None if value is None else after,
        applies=look.applies,
        is_already=is_already,
        is_lasting=True,
        danger=None if is_already else danger_of(look.detail.name, after),
        notes=() if is_already else tuple(_notes(look)),
        replica_raises=direction,
    )


def _forecast_elsewhere(look: _Look, value: str) -> SettingForecast:
    """What becomes of it once somebody else has it stored, and has reloaded or restarted the server."""
    after, now = normalised(value, look.rule), look.state
    return SettingForecast(
        now=now,
        value=after,
        stored=after,
        applies=look.applies,
        is_already=same_value(now.value, after, look.rule),
        is_lasting=True,
        danger=danger_of(look.detail.name, after),
    )


def _notes(look: _Look) -> Iterator[str]:
    for one in look.overrides:
        whose = " ".join(
            filter(
                None,
                (
                    f"role {printable(one.role_name)}" if one.role_name else "",
                    f"database {printable(one.database_name)}" if one.database_name else "",
                ),
            )
        )
        yield f"{whose or 'every role'} has a value of its own and keeps it: {printable(one.assignment, limit=100)}"
    yield from _also_reloaded(look)


def _also_reloaded(look: _Look) -> Iterator[str]:
    """What somebody wrote into a file and did not reload: our reload makes it count too."""
    last = {str(one.name).lower(): one for one in look.files if one.name and one.value is not None}
    for name, one in last.items():
        if name == look.detail.name.lower() or one.context in ("postmaster", "internal", None) or one.error:
            continue
        rule = ValueRule(name=name, vartype=one.vartype, unit=one.unit)
        if one.source in ("default", "configuration file") and not same_value(one.value, one.reset_val or "", rule):
            yield f"the reload also makes {printable(name)} count as {printable(one.source_file)} line {one.source_line} has it"
