"""Backups of MongoDB: directories that mongodump wrote, and Percona Backup for MongoDB. Not proved on a server."""

from dbre.tools.mongodb_backup.dump_repository import DumpRepository
from dbre.tools.mongodb_backup.pbm_repository import PbmRepository

__all__ = ["DumpRepository", "PbmRepository"]
