"""Changes of MariaDB's parameters with SET GLOBAL, which last until the server's next restart: it has no SET PERSIST."""

import asyncio
import time
from dataclasses import replace

from dbre.core.errors import Denied, Unsupported, UsageError
from dbre.core.pool import abort_on_error
from dbre.core.text import printable, quoted
from dbre.core.units import format_duration
from dbre.engines.mysql.connection import Connection, Row, open_connection
from dbre.engines.mysql.facts import ADMINISTER, SECRET_SETTINGS, Product
from dbre.engines.mysql.faults import FAULTS
from dbre.engines.mysql.link import STATEMENT_GRACE_SECONDS, Conversation, Link
from dbre.engines.mysql.option_file import refusal_in_file
from dbre.engines.mysql.variable_value import NUMERIC, normalised, same_value
from dbre.ports.engine import Facet, NamedQuery, Parameter
from dbre.ports.settings import Applies, SettingForecast, SettingNotInEffect, SettingRefused, SettingState

__all__ = ["COMPOSED", "OWN", "SettingChanges", "danger_now"]

_POLL_SECONDS = 0.05
_REFUSED = {
    "init_connect": "it is run by every client that logs in",
    "init_slave": "it is run on replicas",
    "general_log_file": "the server writes files where it says",
    "slow_query_log_file": "the server writes files where it says",
    "server_audit_file_path": "the server writes files where it says",
    "gtid_slave_pos": "it belongs to replication",
    "gtid_binlog_state": "it belongs to replication",
    "server_id": "it belongs to replication",
    "read_only": "it belongs to who is primary",
    "secure_auth": "it lets old passwords in",
    "old_passwords": "it lets old passwords in",
    "skip_grant_tables": "it lets everybody in",
}
_SEVERE = {
    ("innodb_flush_log_at_trx_commit", "0"): "a crash loses the last commits that clients were told of",
    ("innodb_flush_log_at_trx_commit", "2"): "a crash of the machine loses the last commits that clients were told of",
    ("sync_binlog", "0"): "a crash of the machine loses the last commits in the binary log, and replicas may be ahead",
    ("innodb_fast_shutdown", "2"): "the next shutdown is a crash",
    ("foreign_key_checks", "OFF"): "references are not checked any more",
    ("unique_checks", "OFF"): "unique keys are not checked any more",
}

COMPOSED = (
    NamedQuery(
        name="set_global",
        facet=Facet.SETTINGS,
        versions=">=10.5",
        privilege=ADMINISTER,
        text="SET GLOBAL `name` = ?",
        source="mysql/setting_changes.py:set_global",
        parameters=(Parameter(name="value", type="text"),),
        products=(Product.MARIADB.value,),
    ),
)
"""A statement whose name is composed between backticks, after the server itself said that it has such a parameter."""

_NOW = frozenset({"innodb_flush_log_at_trx_commit"})  # the rest may be meant so from the beginning

OWN = frozenset(
    {
        "aria_log_dir_path", "basedir", "bind_address", "character_sets_dir", "datadir", "general_log_file", "gtid_binlog_pos",
        "gtid_binlog_state", "gtid_current_pos", "gtid_slave_pos", "hostname", "init_file", "innodb_data_home_dir",
        "innodb_log_group_home_dir", "innodb_temp_data_file_path", "innodb_temp_tablespaces_dir", "innodb_tmpdir",
        "innodb_undo_directory", "lc_messages_dir", "log_bin_basename", "log_bin_index", "log_error", "pid_file",
        "plugin_dir", "port", "read_only", "relay_log", "relay_log_basename", "relay_log_index", "relay_log_info_file",
        "report_host", "report_port", "rocksdb_datadir", "rocksdb_wal_dir", "server_id", "server_uid", "server_uuid",
        "slave_load_tmpdir", "slow_query_log_file", "socket", "ssl_ca", "ssl_capath", "ssl_cert", "ssl_crl", "ssl_crlpath",
        "ssl_key", "super_read_only", "tmpdir", "tokudb_data_dir", "tokudb_log_dir", "tokudb_tmp_dir",
        "wsrep_data_home_dir", "wsrep_node_address", "wsrep_node_incoming_address", "wsrep_node_name",
        "wsrep_sst_receive_address",
    }
)  # fmt: skip
"""Parameters in which the members of a cluster differ by their nature."""


def danger_now(name: str, value: str | None) -> tuple[str | None, bool]:
    """What a parameter's present value may do, and whether it is that a crash destroys data."""
    if (name, value) == ("innodb_doublewrite", "OFF"):
        return "a crash of the machine leaves torn pages", True
    return (_SEVERE.get((name, value or "")) if name in _NOW else None), False


def _refusal_of(name: str, value: str | None) -> str | None:
    """Why dbre does not change a parameter, or not to this value; None where it does."""
    if name in SECRET_SETTINGS:
        return "it may hold a secret"
    if (name, value) == ("innodb_doublewrite", "OFF"):
        return "a crash of the machine would leave torn pages"
    return _REFUSED.get(name)


class SettingChanges:
    """The acting half of facet ``settings``; its sessions are their own."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def state(self, name: str) -> SettingState:
        """One parameter as a new session sees it; MariaDB stores none."""
        return _state(await self._look(name))

    async def foresee(self, name: str, value: str | None, *, is_kept_elsewhere: bool = False) -> SettingForecast:
        """What a change would do; only looks."""
        found = await self._look(name)
        if is_kept_elsewhere and value is not None:
            if (reason := refusal_in_file(found["name"])) is not None:
                raise SettingRefused(f"dbre does not set {found['name']}: {reason}", hint="an administrator can, without dbre")
            return _forecast_elsewhere(found, self._checked(found, value))
        after = self._check(found, value)
        is_already = same_value(found["value"], after, found)
        notes = [] if is_already else [_file_line(found["name"], None if value is None else after)]
        return SettingForecast(
            now=_state(found),
            value=after,
            stored=None,
            applies=Applies.SESSION,
            is_already=is_already,
            is_lasting=False,
            danger=None if is_already else _SEVERE.get((found["name"], after)),
            notes=tuple(notes),
        )

    async def change(self, name: str, value: str | None, *, is_kept_elsewhere: bool = False) -> SettingState:  # noqa: ARG002
        """SET GLOBAL, and wait until the server shows it: some are changed in the background. It stores nothing anyway."""
        found = await self._look(name)
        after = self._check(found, value)
        return _state(found) if same_value(found["value"], after, found) else await self._set(found, after)

    async def restore(self, state: SettingState, *, is_kept_elsewhere: bool = False) -> SettingState:  # noqa: ARG002
        """Set the value that was there before."""
        found = await self._look(state.name)
        if same_value(found["value"], state.value, found):
            return _state(found)
        return await self._set(found, state.value)

    async def _look(self, name: str) -> Row:
        async def ask(conversation: Conversation) -> Row:
            if conversation.product is not Product.MARIADB:
                raise Unsupported(
                    f"MySQL at {self._link.access.address}: dbre changes parameters of MariaDB and PostgreSQL only",
                    hint=f"an administrator can: SET PERSIST {printable(name, limit=100)} = ...",
                )
            rows = await conversation.rows("setting_detail", name)
            if not rows:
                raise UsageError(f"the server has no parameter {quoted(name, limit=100)}")
            if not await conversation.may(ADMINISTER):
                raise self._denied()
            return rows[0]

        return await self._link.ask(ask)

    def _denied(self) -> Denied:
        access = self._link.access
        return Denied(
            f"MySQL at {access.address}: changing parameters needs {ADMINISTER}, which user {access.user!r} lacks",
            hint="the end of what this prints says what to grant: dbre engine sql mysql --grants --user NAME",
            context={"address": str(access.address), "privilege": ADMINISTER},
        )

    def _check(self, found: Row, value: str | None) -> str:
        name = found["name"]
        if _refusal_of(name, None) is None and _is_static(found):
            raise SettingRefused(
                f"MySQL at {self._link.access.address}: {name} is read when the server starts, and cannot be set while it runs",
                hint=f"write it below [mysqld] of my.cnf, and restart: {name} = {printable(value or 'DEFAULT', limit=100)}",
            )
        return self._checked(found, value)

    def _checked(self, found: Row, value: str | None) -> str:
        """The value as the server would have it. Raises: UsageError, SettingRefused."""
        name, after = found["name"], ""
        reason, subject = _refusal_of(name, None), name
        if value is None and found["default_value"] is None:
            reason = reason or "the server tells no default"
        if reason is None:
            after = found["default_value"] if value is None else normalised(value, found)
            reason, subject = _refusal_of(name, after), f"{name}={printable(after, limit=100)}"
        if reason is not None:
            raise SettingRefused(f"dbre does not set {subject}: {reason}", hint="an administrator can, without dbre")
        return after

    async def _set(self, found: Row, value: str) -> SettingState:
        await self._send(found, value)
        limit = self._link.access.timeouts.statement_seconds
        deadline = time.monotonic() + limit
        while True:
            now = await self._look(found["name"])
            if same_value(now["value"], value, now):
                return _state(now)
            what = f"MySQL at {self._link.access.address} makes {printable(now['value'], limit=100)} of"
            wanted = f"{found['name']}={printable(value, limit=100)}"
            if not same_value(now["value"], found["value"], now):  # neither old nor new: it was rounded, and stays so
                await self._send(found, found["value"])
                raise SettingRefused(f"{what} {wanted}; it was put back", hint=f"ask for {found['name']}={now['value']}")
            if time.monotonic() > deadline:
                raise SettingNotInEffect(
                    f"{what} {wanted}, {format_duration(limit)} after it was set", hint="see its error log"
                )
            await asyncio.sleep(_POLL_SECONDS)

    async def _send(self, found: Row, value: str) -> None:
        limit = self._link.access.timeouts.statement_seconds + STATEMENT_GRACE_SECONDS
        is_number = found["kind"] in NUMERIC and value.lstrip("-").isdigit()
        given: object = int(value) if is_number else float(value) if found["kind"] == "DOUBLE" else value
        try:
            connection: Connection = await open_connection(self._link.access, what="settings")
            with abort_on_error(connection):
                await connection.run(_set_global(found["name"]), given, limit_seconds=limit)
            connection.abort()
        except FAULTS.raised as error:
            raise FAULTS.translate(error, self._link.access) from error


def _is_static(found: Row) -> bool:
    return bool(found["is_static"] == "YES" or found["scope"] not in ("GLOBAL", "SESSION"))


def _forecast_elsewhere(found: Row, after: str) -> SettingForecast:
    """What becomes of it once its configuration file says so, and the server was started again."""
    return SettingForecast(
        now=_state(found),
        value=after,
        stored=after,
        applies=Applies.RESTART if _is_static(found) else Applies.SESSION,
        is_already=same_value(found["value"], after, found),
        is_lasting=True,
        danger=_SEVERE.get((found["name"], after)),
    )


def _set_global(name: str) -> NamedQuery:
    quoted = "`" + name.replace("`", "``") + "`"
    return replace(COMPOSED[0], text=f"SET GLOBAL {quoted} = ?")


def _file_line(name: str, value: str | None) -> str:
    if value is None:
        return f"MariaDB forgets it at its next restart; see that no line of [mysqld] in my.cnf sets {name}"
    return f"MariaDB forgets it at its next restart; to keep it write below [mysqld] of my.cnf: {name} = {value}"


def _state(found: Row) -> SettingState:
    source = str(found["source"] or "unknown").lower().replace("_", " ")
    return SettingState(name=found["name"], value=found["value"] or "", stored=None, source=source, is_pending_restart=False)
