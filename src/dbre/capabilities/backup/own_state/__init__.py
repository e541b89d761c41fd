"""Copies of our own state store: what dbre knows must survive the machine that it runs on."""
