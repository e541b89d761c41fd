"""Servers whose log files are small: what is copied, stored and read in a test of backups is mostly log otherwise."""

from dbre.lab.postgres import PostgresServer
from dbre.lab.site import run_program

__all__ = ["LOG_FILE_BYTES", "make_log_small"]

LOG_FILE_BYTES = 2**20


async def make_log_small(server: PostgresServer) -> None:
    """Stop a server, let it write files of 1 MiB from now on instead of 16, and start it. It must have no replica yet."""
    await server.stop()
    await run_program(
        [server.binaries.program("pg_resetwal"), f"--wal-segsize={LOG_FILE_BYTES // 2**20}", "-D", server.data_directory],
        account=server.site.account,
        directory=server.directory,
    )
    await server.start()
