"""The audit log: an append-only Merkle tree of what was done by whom. Each module is imported by its own name."""
