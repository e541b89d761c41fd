"""A watchdog without a device: a small process beside the server, which kills it when nobody vouches for it any more."""
