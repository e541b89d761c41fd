"""A certificate that has ended on MariaDB and Redis: clients that check it are turned away, and let in again afterwards."""

import socket
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from certificates_kit import Authority
from injection_kit import order_on
from server_faults_kit import ENDS, come_and_go, failure_of

from dbre.engines.mysql.mischief.certificate import ask_for_tls_at
from dbre.lab.free_port import choose_port
from dbre.lab.mariadb import MariaDbServer
from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.testing.fixtures import running

pytestmark = pytest.mark.slow


def pairs(site: Site, name: str) -> tuple[Path, Path]:
    """A directory with a good pair and one that has ended, for the servers' account; and the authority's certificate."""
    authority, directory = Authority(), site.make_directory(site.directory / name)
    for prefix, days in (("good", 5), ("ended", -2)):
        for suffix, text in zip(("crt", "key"), authority.pair(days=days), strict=True):
            site.write_file(directory / f"{prefix}.{suffix}", text)
    return directory, site.write_file(directory / "authority.crt", authority.certificate)


def why_refused(port: int, trusted: Path, ask: Callable[[socket.socket], bool]) -> str:
    """Why a client that checks the certificate turns away; empty: it does not."""
    context = ssl.create_default_context(cafile=str(trusted))
    with socket.create_connection(("127.0.0.1", port), timeout=30) as plain:
        assert ask(plain)
        try:
            with context.wrap_socket(plain, server_hostname="127.0.0.1"):
                return ""
        except ssl.SSLCertVerificationError as error:
            return error.verify_message


@ENDS
async def test_a_certificate_of_redis_ends(victim: RedisServer, lab_site: Site, tmp_path: Path, end: str) -> None:
    directory, trusted = pairs(lab_site, f"redis-{end}")
    port = choose_port()
    settings = {
        "tls-port": str(port),
        "tls-ca-cert-file": str(trusted),
        "tls-cert-file": str(directory / "good.crt"),
        "tls-key-file": str(directory / "good.key"),
        "tls-auth-clients": "no",
    }
    async with running(RedisServer(f"tls-{end}", lab_site, program=victim.program, settings=settings)) as server:

        async def is_refused() -> bool:
            return "expired" in why_refused(port, trusted, lambda _: True)

        prepared = {"certificate": str(directory / "ended.crt"), "key": str(directory / "ended.key")}
        await come_and_go(server, {"certificate-expiry": (prepared, is_refused)}, tmp_path / "prepared", end)
        assert why_refused(port, trusted, lambda _: True) == ""

        async def is_strange() -> bool:
            return why_refused(port, trusted, lambda _: True) != ""  # signed by nobody, and ended

        await come_and_go(server, {"certificate-expiry": ({}, is_strange)}, tmp_path / "made", end)
        wrong = {**prepared, "key": str(directory / "good.key")}
        assert "certificate" in await failure_of(order_on(server, "certificate-expiry", tmp_path, **wrong))
        assert why_refused(port, trusted, lambda _: True) == ""
    assert "speaks no TLS" in await failure_of(order_on(victim, "certificate-expiry", tmp_path))


@ENDS
async def test_a_certificate_of_mariadb_ends(mariadb: MariaDbServer, lab_site: Site, tmp_path: Path, end: str) -> None:
    directory, trusted = pairs(lab_site, f"mariadb-{end}")
    settings = {"ssl-cert": str(directory / "good.crt"), "ssl-key": str(directory / "good.key")}
    names = {one.name for one in directory.iterdir()}
    good = (directory / "good.key").read_bytes()
    async with running(MariaDbServer(f"tls-{end}", lab_site, program=mariadb.program, settings=settings)) as server:

        async def is_refused() -> bool:
            return "expired" in why_refused(server.address.port, trusted, ask_for_tls_at)

        prepared = {"certificate": str(directory / "ended.crt"), "key": str(directory / "ended.key")}
        await come_and_go(server, {"certificate-expiry": (prepared, is_refused)}, tmp_path / "prepared", end)
        assert why_refused(server.address.port, trusted, ask_for_tls_at) == ""
        wrong = {**prepared, "key": str(directory / "good.key")}
        await failure_of(order_on(server, "certificate-expiry", tmp_path, **wrong))
        assert why_refused(server.address.port, trusted, ask_for_tls_at) == ""
        assert ({one.name for one in directory.iterdir()}, (directory / "good.key").read_bytes()) == (names, good)
    assert "shows no certificate of a file" in await failure_of(order_on(mariadb, "certificate-expiry", tmp_path))
