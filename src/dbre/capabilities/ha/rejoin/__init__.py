"""A server whose place another one took follows again; what only it had is kept as a file."""
