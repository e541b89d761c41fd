"""Where lab servers have their addresses: on loopback, or each in a network namespace of its own behind a bridge."""
