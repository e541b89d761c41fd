"""Which parameters of PostgreSQL dbre changes, and which values of them are dangerous; as data."""

import re

__all__ = ["OWN", "REPLICA_NEEDS_AS_MUCH", "danger_now", "danger_of", "refusal_of"]

_REFUSED: tuple[tuple[str, str], ...] = (
    (r".*_command", "it is a shell line, which the server runs, and may hold a secret"),
    (r"primary_conninfo", "it may hold a password, and belongs to replication"),
    (
        r".*_preload_libraries|dynamic_library_path|extension_control_path|archive_library|jit_provider|oauth_validator_libraries",
        "it makes the server load code; a wrong name keeps it from starting",
    ),
    (r"data_directory|config_file|hba_file|ident_file|external_pid_file", "the server's files are not moved while it runs"),
    (r"listen_addresses|port|unix_socket_.*", "dbre could lose the server by it"),
    (r"log_directory|log_filename", "the server writes files where it says"),
    (r"search_path|temp_tablespaces|role|session_authorization|transaction_.*", "it is set for roles, databases or sessions"),
    (r"recovery_.*|primary_slot_name|hot_standby|promote_trigger_file|restore_.*", "it belongs to recovery and replication"),
    (r"allow_alter_system|allow_system_table_mods", "it changes what may be changed"),
    (r"krb_server_keyfile|ssl_key_file|ssl_ca_file|ssl_cert_file|ssl_crl_.*|ssl_dh_params_file", "it names files of secrets"),
)
_DEVELOPER = "Developer Options"
_DESTROYS = {
    ("fsync", "off"): "a crash of the machine would destroy the cluster",
    ("full_page_writes", "off"): "a crash of the machine would leave torn pages",
}
_SEVERE = {
    ("synchronous_commit", "off"): "a crash loses the last commits that clients were told of",
    ("autovacuum", "off"): "tables bloat, and in the end the server stops to prevent a wraparound of transaction ids",
    ("track_counts", "off"): "autovacuum does not work without it",
    ("ssl", "off"): "clients that demand TLS cannot connect any more",
    ("wal_level", "minimal"): "replicas and archiving stop working after the restart",
    ("archive_mode", "off"): "there is no recovery to a point in time any more after the restart",
    ("max_wal_senders", "0"): "replicas cannot connect any more after the restart",
    ("default_transaction_read_only", "on"): "clients cannot write any more",
    ("synchronous_standby_names", ""): "commits do not wait for a replica any more",
}

REPLICA_NEEDS_AS_MUCH = frozenset(
    {"max_connections", "max_worker_processes", "max_wal_senders", "max_prepared_transactions", "max_locks_per_transaction"}
)
"""A standby needs at least its primary's values. Source: PostgreSQL manual, 26.4.3 "Administrator's Overview"."""

_NOW = frozenset({"synchronous_commit", "autovacuum", "track_counts"})  # the rest may be meant so from the beginning

OWN = frozenset(
    {
        "cluster_name", "config_file", "data_directory", "data_directory_mode", "external_pid_file", "hba_file", "hot_standby",
        "ident_file", "in_hot_standby", "krb_server_keyfile", "listen_addresses", "log_directory", "log_filename", "port",
        "primary_conninfo", "primary_slot_name", "promote_trigger_file", "recovery_target", "recovery_target_timeline",
        "shared_memory_size", "shared_memory_size_in_huge_pages", "ssl_ca_file", "ssl_cert_file", "ssl_crl_dir",
        "ssl_crl_file", "ssl_dh_params_file", "ssl_key_file", "stats_temp_directory", "synchronous_standby_names",
        "transaction_read_only", "unix_socket_directories",
    }
)  # fmt: skip
"""Parameters in which the members of a cluster differ by their nature."""


def danger_now(name: str, value: str | None) -> tuple[str | None, bool]:
    """What a parameter's present value may do, and whether it is that a crash destroys data."""
    pair = (name.lower(), value or "")
    if pair in _DESTROYS:
        return _DESTROYS[pair], True
    return (_SEVERE.get(pair) if pair[0] in _NOW else None), False


def refusal_of(name: str, value: str | None, *, category: str) -> str | None:
    """Why dbre does not change a parameter, or not to this value; None where it does."""
    for pattern, reason in _REFUSED:
        if re.fullmatch(pattern, name, re.IGNORECASE):
            return reason
    if category == _DEVELOPER:
        return "it is for developers of PostgreSQL"
    return _DESTROYS.get((name.lower(), value or ""))


def danger_of(name: str, value: str) -> str | None:
    """What a value may do to clients or data; None where it is an ordinary one."""
    return _SEVERE.get((name.lower(), value))
