"""Throw-away clusters that Patroni runs: etcd, and PostgreSQL servers whose primary Patroni chooses."""
