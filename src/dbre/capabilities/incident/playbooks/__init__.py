"""Read-only diagnosis of a cluster, attached to its incident when it opens."""
