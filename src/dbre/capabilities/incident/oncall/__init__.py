"""Who is on call, and who is told next when nobody answers."""
