"""Consistency: what clients were told, held against what a database promises; and against what is there afterwards."""
