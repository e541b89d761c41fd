"""Faults of the network around one instance: packets that are lost, late, or few."""
