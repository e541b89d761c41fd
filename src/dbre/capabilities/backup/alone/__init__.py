"""Restores from a vault alone: no state store, no control plane, no cluster that still lives."""
