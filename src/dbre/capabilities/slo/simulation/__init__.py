"""What would have happened: stored, given or invented counts replayed against targets, windows and rules."""
