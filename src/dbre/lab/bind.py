"""A throw-away BIND: a zone that takes signed updates, and a resolver that caches answers about it."""

import asyncio
import base64
import secrets
import signal
from collections.abc import Mapping
from pathlib import Path

from dbre.core.programs.account import Account
from dbre.core.secrets import Secret
from dbre.lab.programs import ServerProgram, find_program
from dbre.lab.server import LabServer
from dbre.lab.site import Site, log_tail
from dbre.ports.session import Role

__all__ = ["KEY_NAME", "BindServer", "find_bind"]

KEY_NAME = "dbre-update"
_OPTIONS = """\
options {{
  directory "{directory}";
  listen-on port {port} {{ {address}; }};
  listen-on-v6 {{ none; }};
  pid-file none;
  session-keyfile none;
  managed-keys-directory "{directory}";
  dnssec-validation no;
  empty-zones-enable no;
  notify no;
  recursion {recursion};
  allow-query {{ any; }};
  max-cache-ttl 3600;
  tcp-clients 50;
}};
controls {{ }};
logging {{ channel here {{ stderr; severity info; print-time yes; }}; category default {{ here; }}; }};
"""
_ZONE = """\
key "{key}" {{ algorithm hmac-sha256; secret "{secret}"; }};
zone "{zone}" {{ type master; file "zone.db"; update-policy {{ grant {key} zonesub ANY; }}; }};
"""
_FORWARD = 'zone "{zone}" {{ type forward; forward only; forwarders {{ {host} port {port}; }}; }};\n'
_RECORDS = """\
$TTL 300
@ IN SOA ns.{zone}. admin.{zone}. ( 1 3600 600 86400 5 )
@ IN NS ns.{zone}.
ns IN A {address}
"""


def find_bind(*, account: Account, bindir: Path | None = None) -> ServerProgram:
    """The installed BIND. Raises: BinariesMissing naming the package."""
    return find_program(("named",), account=account, oldest=(9, 16, 0), package="bind9", bindir=bindir, flag="-v")


class BindServer(LabServer):
    """One name server for ``zone``; with ``forward_to``, a resolver that asks that one and caches its answers.

    ``records`` are names within the zone with the rest of their line: ``{"db": "300 IN A 127.0.0.1"}``.
    """

    engine = "bind"
    superuser = KEY_NAME  # its password is the key of updates
    default_database = application_database = observer_database = None
    stop_signal = signal.SIGTERM

    def __init__(
        self,
        name: str,
        site: Site,
        *,
        program: ServerProgram,
        zone: str,
        records: Mapping[str, str] | None = None,
        forward_to: "BindServer | None" = None,
        port: int | None = None,
    ) -> None:
        super().__init__(name, site, version_text=program.version_text, port=port, replica_of=None, settings=None)
        self.program = program
        self.zone = zone
        self._records = dict(records or {})
        self._authority = forward_to

    async def role(self) -> Role:
        """A single server has one role."""
        return Role.PRIMARY

    def _initial_password(self) -> Secret:
        return Secret(base64.b64encode(secrets.token_bytes(32)).decode())

    async def _build_data(self) -> None:
        self.site.make_directory(self.data_directory)
        if self._authority is None:
            text = _RECORDS.format(zone=self.zone, address=self.site.host.address)
            text += "".join(f"{name} {rest}\n" for name, rest in self._records.items())
            self.site.write_file(self.data_directory / "zone.db", text)

    def _command(self, port: int) -> list[str | Path]:
        text = _OPTIONS.format(
            directory=self.data_directory,
            port=port,
            address=self.site.host.address,
            recursion="no" if self._authority is None else "yes",
        )
        if self._authority is None:
            text += _ZONE.format(key=KEY_NAME, secret=self.password.reveal(), zone=self.zone)
        else:
            where = self._authority.address
            text += _FORWARD.format(zone=self.zone, host=where.host, port=where.port)
        path = self.site.write_file(self.data_directory / "named.conf", text)
        return [self.program.path, "-g", "-4", "-n", "1", "-c", path]

    async def _is_ready(self) -> bool:
        """Whether it says that it runs, and takes a connection."""
        if "all zones loaded" not in log_tail(self.log_file, lines=200):
            return False
        try:
            async with asyncio.timeout(2):
                _, writer = await asyncio.open_connection(self.address.host, self.address.port)
                writer.close()
        except (OSError, TimeoutError):
            return False
        return True

    def _says_port_taken(self, log: str) -> bool:
        return "address in use" in log

    async def _after_first_start(self) -> None:
        """Its key stands in its configuration."""
