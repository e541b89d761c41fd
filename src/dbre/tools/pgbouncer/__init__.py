"""PgBouncer: its admin console, and the route that holds clients back while the primary changes."""
