"""How much would be lost now, in bytes and seconds, as an SLI."""
