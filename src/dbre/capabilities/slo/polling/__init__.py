"""SLIs that dbre asks for: counters of a Prometheus, queries, checks of services."""
