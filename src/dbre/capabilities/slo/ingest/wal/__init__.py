"""The write-ahead log of the intake: what was acknowledged is on the disk, in segments of framed records."""
