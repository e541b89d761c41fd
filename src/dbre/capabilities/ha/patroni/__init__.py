"""Clusters whose primary Patroni chooses, by a lease that it keeps in etcd."""
