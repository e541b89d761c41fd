"""Faults as processes of their own: each holds a lease, knows its inverse before it acts, and proves that it is gone."""
