"""Which parameters of MariaDB dbre writes into an option file, and how; as data."""

import re

from dbre.ports.settings_file import SettingsFormat

__all__ = ["OPTION_FILE", "refusal_in_file"]

OPTION_FILE = SettingsFormat(section="[mysqld]", between=" = ", dash="_")
"""Source: MariaDB knowledge base, "Configuring MariaDB with Option Files"."""

_REFUSED: tuple[tuple[str, str], ...] = (
    (r".*_dir|.*_file|.*_path|.*dir|.*_home_dir|basedir|socket|secure_file_priv", "the server's files are not moved by it"),
    (r"port|extra_port|bind_address|skip_networking|skip_grant_tables|proxy_protocol_networks",
     "dbre could lose the server by it"),
    (r"innodb_page_size|lower_case_table_names|innodb_data_file_path|innodb_undo_tablespaces|innodb_checksum_algorithm",
     "it was fixed when the data directory was made, or replicas must have the same from the beginning"),
    (r"log_bin.*|log_slave_updates|relay_log.*|server_id|report_.*|replicate_.*|gtid_.*|encrypt_binlog",
     "it belongs to replication: a replica that becomes primary would lack what its followers need"),
    (r"plugin_.*|.*_plugin|init_.*|wsrep_.*|ssl_.*|tls_version|have_.*|version.*|hostname|license",
     "it makes the server load code, names files of secrets, or is no setting"),
)  # fmt: skip


def refusal_in_file(name: str) -> str | None:
    """Why dbre does not write a parameter into a file; None where it does."""
    return next((reason for pattern, reason in _REFUSED if re.fullmatch(pattern, name, re.IGNORECASE)), None)
