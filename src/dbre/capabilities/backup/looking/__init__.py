"""Looking at a moment: a read-only server, and rows of then against those of now."""
