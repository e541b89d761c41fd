"""What the backup capability may ask of any engine and of any repository that another tool keeps; no I/O here."""
