"""What is kept and why, and how the rest goes."""
