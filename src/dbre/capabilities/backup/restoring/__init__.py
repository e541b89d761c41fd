"""From what and how a moment is recovered: planned, told, done."""
