"""Who somebody is, and what they may do. Each module is imported by its own name."""
