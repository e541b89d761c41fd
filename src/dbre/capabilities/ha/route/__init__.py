"""The ways by which clients reach the primary: looked at, turned, and who stayed behind."""
