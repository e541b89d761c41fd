"""Whether clients will survive a change of primary: their settings, and what their sessions do."""
