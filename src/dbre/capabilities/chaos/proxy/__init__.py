"""Fault proxy: stands between clients and a server and, when told so, delays, cuts, corrupts and refuses."""
