"""The settings under which a restored server runs: none of those that it was restored with, as they belong elsewhere."""

import re
from collections.abc import Mapping
from datetime import UTC
from pathlib import Path

from dbre.core.errors import UsageError
from dbre.core.text import quoted
from dbre.engines.postgres.backup.log_names import parse_lsn
from dbre.engines.postgres.backup.quoting import setting_line
from dbre.ports.backup.engine import RecoverOrder
from dbre.ports.backup.model import RecoveryTarget, TargetKind

__all__ = ["SOCKET_PORT", "needed_settings", "settings_file", "target_settings"]

_FIRST_IN_PLACE = 15
_FIRST_XID, _LARGEST_XID = 3, 2**64 - 1  # 0 to 2 are no transactions; access/transam.h
SOCKET_PORT = 5432  # of the socket file's name; nothing listens on it
_FROM_CONTROL = {  # a server that recovers needs at least what its source had
    "max_connections": "max_connections setting",
    "max_worker_processes": "max_worker_processes setting",
    "max_wal_senders": "max_wal_senders setting",
    "max_prepared_transactions": "max_prepared_xacts setting",
    "max_locks_per_transaction": "max_locks_per_xact setting",
}
_JAIL = {
    "listen_addresses": "",
    "archive_mode": "off",
    "ssl": "off",
    "max_logical_replication_workers": "0",  # restored subscriptions would move the slot of the real publisher
    "primary_conninfo": "",
    "primary_slot_name": "",
    "synchronous_standby_names": "",
    "wal_level": "replica",
    "hot_standby": "on",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_line_prefix": "",
    "log_timezone": "UTC",
    "lc_messages": "C",
    "autovacuum": "off",
    "cron.launch_active_jobs": "off",
    "dynamic_shared_memory_type": "mmap",  # goes with the directory, however the server ends
    "wal_retrieve_retry_interval": "100ms",
    "restart_after_crash": "off",
    "max_standby_archive_delay": "-1",
}
_NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


def settings_file(order: RecoverOrder, *, control: str, major: int, scratch: Path, restore_command: str, preload: str) -> str:
    """The whole configuration file. Raises: UsageError for a target that makes no sense."""
    settings: dict[str, str] = {**_JAIL, **_needed(control)}
    if major >= _FIRST_IN_PLACE:
        settings["allow_in_place_tablespaces"] = "on"  # else directories in the place of links end recovery
    if major >= 17:
        settings["event_triggers"] = "off"
        settings["summarize_wal"] = "off"
    if not order.is_faithful:
        settings |= _NOT_DURABLE
    settings |= {
        "unix_socket_directories": str(scratch),
        "unix_socket_permissions": "0700",
        "port": str(SOCKET_PORT),
        "hba_file": str(scratch / "pg_hba.conf"),
        "ident_file": str(scratch / "pg_ident.conf"),
        "restore_command": restore_command,
        "shared_preload_libraries": preload,
        **target_settings(order.target, stays=order.stays_at_target),
    }
    settings |= dict(order.extra_settings)
    return "".join(setting_line(name, value) for name, value in settings.items())


def needed_settings(control: str) -> str:
    """Configuration for a server whose own was not in its data directory."""
    return "".join(setting_line(name, value) for name, value in _needed(control).items())


def _needed(control: str) -> Mapping[str, str]:
    """From ``pg_controldata``: what the source had when it wrote the last checkpoint."""
    found = dict(re.findall(r"^(.*?):\s+(.*)$", control, re.MULTILINE))
    return {name: found[label] for name, label in _FROM_CONTROL.items() if label in found}


def target_settings(target: RecoveryTarget, *, stays: bool) -> dict[str, str]:
    """Exactly one ``recovery_target``; two of them would stop the server."""
    found = {"recovery_target_timeline": str(target.timeline) if target.timeline is not None else "latest"}
    if target.kind is TargetKind.LATEST:
        return found
    found["recovery_target_action"] = "pause" if stays else "promote"
    if target.kind is TargetKind.IMMEDIATE:
        return found | {"recovery_target": "immediate"}
    found["recovery_target_inclusive"] = "on" if target.is_inclusive else "off"
    if target.kind is TargetKind.TIME:
        if target.at is None or target.at.tzinfo is None:
            raise UsageError("the target has no moment with an offset", hint="write 2026-11-21T14:05:00+00:00")
        return found | {"recovery_target_time": target.at.astimezone(UTC).isoformat(sep=" ")}
    value = (target.value or "").strip()
    if target.kind is TargetKind.POSITION:
        return found | {"recovery_target_lsn": parse_lsn(value, timeline=target.timeline or 1).text}
    if target.kind is TargetKind.TRANSACTION:
        is_number = value.isascii() and value.isdigit() and len(value) <= len(str(_LARGEST_XID))
        if not is_number or not _FIRST_XID <= int(value) <= _LARGEST_XID:
            raise UsageError(
                f"{quoted(value, limit=60)} is no id of a transaction of PostgreSQL",
                hint="write a whole number from 3 on, as pg_current_xact_id() gives it",
            )
        return found | {"recovery_target_xid": str(int(value))}  # a number that begins with 0 would be read as octal
    if not value or len(value.encode()) > 63:
        raise UsageError(f"{quoted(value, limit=100)} is no name of a restore point", hint="it has 1 to 63 bytes")
    return found | {"recovery_target_name": value}
