"""libpq: connection strings read without connecting, and the route that is a list of hosts in them."""
