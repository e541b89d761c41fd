"""Directories that ``pg_basebackup`` wrote for others, alone or beside each other, and the log that lies with them."""

from dbre.tools.pg_basebackup.repository import BaseBackupDirectory

__all__ = ["BaseBackupDirectory"]
