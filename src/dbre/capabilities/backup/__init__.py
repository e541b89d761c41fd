"""Backups that are proved: copies, continuous log, recovery to the second, drills, measured RPO and RTO, vaults."""
