"""A throw-away Alertmanager: a single one, without a cluster."""

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dbre.core.programs.account import Account
from dbre.lab.http_server import HttpLabServer
from dbre.lab.programs import ServerProgram, find_program
from dbre.lab.site import Site

__all__ = ["AlertmanagerServer", "find_alertmanager"]

_SILENT: Mapping[str, object] = {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]}


def find_alertmanager(*, account: Account, bindir: Path | None = None) -> ServerProgram:
    """The installed Alertmanager. Raises: BinariesMissing naming the package."""
    names = ("prometheus-alertmanager", "alertmanager")
    return find_program(names, account=account, oldest=(0, 22, 0), package="prometheus-alertmanager", bindir=bindir)


class AlertmanagerServer(HttpLabServer):
    """One Alertmanager; ``config`` is its whole configuration, by default one that tells nobody."""

    engine = "alertmanager"

    def __init__(
        self,
        name: str,
        site: Site,
        *,
        program: ServerProgram,
        port: int | None = None,
        config: Mapping[str, object] | str | None = None,
    ) -> None:
        super().__init__(name, site, version_text=program.version_text, port=port, replica_of=None, settings=None)
        self.program = program
        self._config = config or _SILENT

    async def configure(self, config: Mapping[str, object] | str) -> None:
        """Replace the whole configuration, given as a document or as the text of one.

        Raises: ServerFailed with what Alertmanager does not like.
        """
        self._config = config
        await asyncio.to_thread(self._write_config)
        await self.reload()

    async def alerts(self, *, only: str | None = None) -> list[dict[str, Any]]:
        """What fires there now, as ``GET /api/v2/alerts`` tells it; ``only`` is a matcher: ``severity="page"``."""
        matchers = {} if only is None else {"filter": only}
        found: list[dict[str, Any]] = await self.get("/api/v2/alerts", **matchers)
        return found

    async def _build_data(self) -> None:
        self.site.make_directory(self.data_directory)
        await asyncio.to_thread(self._write_config)

    def _write_config(self) -> None:
        text = self._config if isinstance(self._config, str) else json.dumps(self._config, indent=1)  # JSON is YAML
        self.site.write_file(self.data_directory / "alertmanager.yml", text)

    def _command(self, port: int) -> list[str | Path]:
        return [
            self.program.path,
            f"--config.file={self.data_directory / 'alertmanager.yml'}",
            f"--storage.path={self.data_directory / 'state'}",
            f"--web.listen-address={self.site.host.address}:{port}",
            "--cluster.listen-address=",  # a single one: it would wait for peers
            "--log.level=warn",
        ]
