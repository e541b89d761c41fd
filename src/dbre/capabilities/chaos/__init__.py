"""Chaos: faults on purpose, each with a proof that it is on, a lease that ends it, and a proof that it is gone."""
