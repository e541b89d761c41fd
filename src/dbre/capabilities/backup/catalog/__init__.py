"""The catalog of backups in the state store: rows read and written in the caller's transaction."""
