"""What each deed needs; read by the matrix of features, which must not load the deeds themselves."""

from collections.abc import Mapping

from dbre.ports.mischief import Deed

__all__ = ["DEEDS"]

_SETTING = "ALTER SYSTEM ON PARAMETER, EXECUTE ON pg_reload_conf, SELECT ON pg_file_settings"
DEEDS: Mapping[Deed, str] = {
    Deed.LOCKS: "UPDATE, DELETE or TRUNCATE ON the table",
    Deed.IDLE_TRANSACTIONS: "CONNECT",
    Deed.DEADLOCKS: "CONNECT",
    Deed.REPLAY_PAUSE: "EXECUTE ON pg_wal_replay_pause, pg_wal_replay_resume",
    Deed.REPLAY_DELAY: _SETTING,
    Deed.ARCHIVE_FAILURE: _SETTING,
    Deed.SLOT_LEAK: "REPLICATION",
    Deed.END_SESSIONS: "pg_monitor, pg_signal_backend",
    Deed.CERTIFICATE: _SETTING,
}
