"""The ways to people: one module a service, all behind the same protocol."""
