"""A library that makes calls on files fail or wait, and the file by which it is told."""
