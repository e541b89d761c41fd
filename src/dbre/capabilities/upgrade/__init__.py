"""Restarts, settings that need one, and new minor versions, one server after the other while the cluster goes on."""
