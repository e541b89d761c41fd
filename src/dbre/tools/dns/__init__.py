"""DNS: records asked for, and changed by RFC 2136 with TSIG where they are still what they were."""
