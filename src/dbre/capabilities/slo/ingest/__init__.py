"""SLIs from real traffic: events taken in over HTTP, OTLP and streams, durable before they are acknowledged."""
