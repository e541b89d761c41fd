"""Times that do not count: the operations that make and revoke them, and those that planned operations make by themselves."""
