"""How long a restore would take, from what restores took."""
