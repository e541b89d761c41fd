"""The faults themselves, one a module."""
