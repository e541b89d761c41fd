"""Real servers for every test that asks for one."""

pytest_plugins = ["dbre.testing.fixtures"]
