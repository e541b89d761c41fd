"""Drivers of external programs and services, one module each."""
