"""The command line: a root with lazily loaded groups, and the only place that prints."""
