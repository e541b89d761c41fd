"""More repositories of pgBackRest for the server that the tests of foreign repositories share: packed, encrypted, elsewhere."""

import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import foreign_kit as kit

from dbre.lab.site import Site
from dbre.ports.backup.model import CopyKind
from dbre.tools.pgbackrest import PgBackRestRepository

__all__ = ["PASSPHRASE", "Elsewhere", "make_place", "over_ssh", "over_tls"]

PASSPHRASE = "correct-horse-battery"


@dataclass(frozen=True, kw_only=True)
class Elsewhere:
    """One repository: as the machine knows it where it lies, and as clients elsewhere know it."""

    foreign: kit.Foreign
    home: Path

    @property
    def here(self) -> Path:
        return self.home / "here.conf"

    def client(self, **options: str | Path) -> Path:
        """A configuration that has the repository on another machine, and no passphrase."""
        return _write(self, "client.conf", {"repo1-host": "localhost", "io-timeout": "10", **options})

    def opened(self, config: Path) -> PgBackRestRepository:
        return PgBackRestRepository(account=self.foreign.site.account, config=config, stanza=kit.STANZA)

    async def inspect(self, config: Path, *options: str | Path) -> tuple[int, dict]:
        words = ("inspect", "pgbackrest", "--config", config, "--stanza", kit.STANZA, *options)
        return await self.foreign.dbre(*words, directory=self.foreign.home.parent)

    def run(self, *words: str) -> None:
        done = self.foreign.run("pgbackrest", f"--config={self.here}", f"--stanza={kit.STANZA}", *words)
        assert done.returncode == 0, done.stdout + done.stderr

    async def fill(self, *options: str) -> None:
        """A full copy, an incremental one, and the log of both, which the server itself archives into its own repository."""
        without = ("--no-archive-check", *options)
        self.run("stanza-create", "--no-online")
        for kind in (CopyKind.FULL, CopyKind.INCREMENTAL):
            self.run("backup", f"--type={kind.value[:4]}", *without)
            await self.foreign.add_rows(50)
            await self._archive()

    async def _archive(self) -> None:
        """Push what the server has archived elsewhere, all of it: the next checkpoint removes it; a file again does nothing."""
        directory = self.foreign.server.data_directory / "pg_wal"
        await kit.until(lambda: not any((directory / "archive_status").glob("*.ready")), "the server's own archive")
        for done in sorted((directory / "archive_status").glob("*.done")):
            if len(done.stem) == 24 and (directory / done.stem).exists():
                self.run("archive-push", str(directory / done.stem))


def make_place(foreign: kit.Foreign, name: str, **options: str) -> Elsewhere:
    """A new repository with those options beside the others."""
    made = Elsewhere(foreign=foreign, home=foreign.site.make_directory(foreign.home.parent / name))
    _write(made, "here.conf", {"repo1-path": foreign.site.make_directory(made.home / "repo"), **options})
    return made


@contextmanager
def over_ssh(made: Elsewhere) -> Iterator[Path]:
    """A server of ssh for this account alone, on loopback; gives the configuration of a client."""
    site, home, port = made.foreign.site, made.home, _free_port()
    for name in ("host", "user"):
        made.foreign.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / name)
    site.write_file(home / "authorized", (home / "user.pub").read_text())
    site.write_file(
        home / "sshd.conf",
        f"ListenAddress localhost:{port}\nHostKey {home}/host\nAuthorizedKeysFile {home}/authorized\nPidFile none\n"
        "StrictModes no\nUsePAM no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\n",
    )
    site.write_file(
        home / "ssh.conf",
        f"Host *\n  IdentityFile {home}/user\n  IdentitiesOnly yes\n  UserKnownHostsFile {home}/known\n"
        "  StrictHostKeyChecking accept-new\n  ConnectTimeout 60\n",
    )
    wrapper = site.write_file(home / "ssh", f'#!/bin/sh\nexec /usr/bin/ssh -F {home}/ssh.conf "$@"\n')
    wrapper.chmod(0o700)
    with _served(site, home, ["/usr/sbin/sshd", "-D", "-e", "-f", home / "sshd.conf"], port):
        yield made.client(
            **{"repo1-host-user": site.account.name, "repo1-host-port": str(port), "repo1-host-config": made.here},
            **{"cmd-ssh": wrapper},
        )


@contextmanager
def over_tls(made: Elsewhere) -> Iterator[Path]:
    """pgBackRest's own server with certificates of both sides; gives the configuration of a client."""
    site, home, port = made.foreign.site, made.home, _free_port()
    _certificate(made, "ca", "ca.test", "-addext", "basicConstraints=critical,CA:TRUE")
    for name, who in (("server", "localhost"), ("client", "client.test")):
        signed = ("-CA", f"{home}/ca.crt", "-CAkey", f"{home}/ca.key")
        _certificate(made, name, who, *signed, "-addext", f"subjectAltName=DNS:{who}")
    serving = _write(
        made,
        "server.conf",
        {
            "tls-server-address": "localhost",
            "tls-server-port": str(port),
            "tls-server-ca-file": home / "ca.crt",
            "tls-server-cert-file": home / "server.crt",
            "tls-server-key-file": home / "server.key",
            "tls-server-auth": f"client.test={kit.STANZA}",
        },
        stanza=False,
    )
    with _served(site, home, ["pgbackrest", f"--config={serving}", "server"], port):
        yield made.client(
            **{"repo1-host-type": "tls", "repo1-host-port": str(port), "repo1-host-config": made.here},
            **{f"repo1-host-{name}-file": home / f"client.{end}" for name, end in (("cert", "crt"), ("key", "key"))},
            **{"repo1-host-ca-file": home / "ca.crt"},
        )


def _certificate(made: Elsewhere, name: str, who: str, *options: str) -> None:
    words = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2", "-subj", f"/CN={who}")
    files = ("-keyout", made.home / f"{name}.key", "-out", made.home / f"{name}.crt")
    done = made.foreign.run("openssl", "req", *words, *options, *files)
    assert done.returncode == 0, done.stderr
    (made.home / f"{name}.key").chmod(0o600)


def _write(made: Elsewhere, name: str, options: dict[str, str | Path], *, stanza: bool = True) -> Path:
    foreign, home = made.foreign, made.home
    for folder in ("log", "lock", "spool"):
        if not (home / folder).exists():
            foreign.site.make_directory(home / folder)
    given = "".join(f"{key}={value}\n" for key, value in options.items())
    of_the_server = (
        f"[{kit.STANZA}]\npg1-path={foreign.server.data_directory}\npg1-port={foreign.server.address.port}\n"
        f"pg1-socket-path={foreign.home}\npg1-user={foreign.server.superuser}\n"
    )
    text = f"[global]\nlog-path={home}/log\nlock-path={home}/lock\nspool-path={home}/spool\nstart-fast=y\n{given}"
    return foreign.site.write_file(home / name, text + (of_the_server if stanza else ""))


@contextmanager
def _served(site: Site, home: Path, argv: list[str | Path], port: int) -> Iterator[None]:
    with ExitStack() as stack:
        log = stack.enter_context((home / "served.log").open("wb"))
        child = subprocess.Popen(
            argv, cwd=home, env={"PATH": os.environ["PATH"], "HOME": str(home)}, stdin=subprocess.DEVNULL, stdout=log,
            stderr=log, start_new_session=True, **site.account.credentials(),
        )  # fmt: skip
        stack.callback(child.wait)
        stack.callback(child.terminate)
        kit.wait_for_port(port, child, home / "served.log")
        yield


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
