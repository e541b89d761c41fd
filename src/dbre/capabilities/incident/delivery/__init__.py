"""Bringing notices to channels: once, in time, not at night when they may wait, and not a thousand at once."""
