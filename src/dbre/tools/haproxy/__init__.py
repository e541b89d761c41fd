"""HAProxy: its runtime API, and the route that leads clients of a backend to one of its servers."""
