"""An append-only, encrypted, self-describing store of backups, in several places."""
