"""What a capability may ask of any engine: protocols and result types; no I/O."""
