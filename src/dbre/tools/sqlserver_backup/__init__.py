"""Backups of SQL Server: msdb read through sqlcmd, Ola Hallengren's procedures run. Not proved on a server."""

from dbre.tools.sqlserver_backup.repository import SqlServerRepository

__all__ = ["SqlServerRepository"]
