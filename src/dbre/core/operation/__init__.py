"""Durable operations: plan, gates, steps, verify, undo, evidence. Each module is imported by its own name."""
