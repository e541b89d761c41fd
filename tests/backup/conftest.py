"""Makes the kits of this directory importable by the tests below it."""
