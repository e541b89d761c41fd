"""High availability: who is primary, who follows whom and how far behind, and what is to be thought of it."""
