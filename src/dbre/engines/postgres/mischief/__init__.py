"""Facet ``mischief``: faults on purpose by what the server itself offers."""
