"""The primary of before follows again, and becomes primary again: one operation."""
