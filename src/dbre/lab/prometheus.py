"""A throw-away Prometheus: rules and targets of the caller, and history that was never scraped."""

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dbre.core.programs.account import Account
from dbre.core.programs.errors import BinariesMissing
from dbre.lab.http_server import HttpLabServer
from dbre.lab.programs import ServerProgram, find_program
from dbre.lab.site import Site, run_program

__all__ = ["PrometheusServer", "find_prometheus"]

_LONG_BLOCKS = "--max-block-duration=744h"  # 31 days in a few blocks instead of hundreds
_INTERVALS = {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"}


def find_prometheus(*, account: Account, bindir: Path | None = None) -> ServerProgram:
    """The installed Prometheus, with promtool beside it. Raises: BinariesMissing naming the package."""
    program = find_program(("prometheus",), account=account, oldest=(2, 40, 0), package="prometheus", bindir=bindir)
    if not program.path.with_name("promtool").exists():
        message = f"no promtool beside {program.path}"
        raise BinariesMissing(message, hint="install it: scripts/install-test-servers (apt: prometheus)")
    return program


class PrometheusServer(HttpLabServer):
    """One Prometheus that keeps everything for ten years.

    ``config`` is laid over ``global`` intervals of 1 s: ``{"scrape_configs": [...], "alerting": {...}}``; ``rules`` are
    files by their name. Change both at any time with ``configure``.
    """

    engine = "prometheus"

    def __init__(
        self,
        name: str,
        site: Site,
        *,
        program: ServerProgram,
        port: int | None = None,
        config: Mapping[str, object] | None = None,
        rules: Mapping[str, str] | None = None,
        flags: Sequence[str] = (),
    ) -> None:
        super().__init__(name, site, version_text=program.version_text, port=port, replica_of=None, settings=None)
        self.program = program
        self._config = dict(config or {})
        self._rules = dict(rules or {})
        self._flags = tuple(flags)

    async def configure(self, *, config: Mapping[str, object] | None = None, rules: Mapping[str, str] | None = None) -> None:
        """Replace what is given and make it take effect. Raises: ServerFailed with what Prometheus does not like."""
        self._config = self._config if config is None else dict(config)
        self._rules = self._rules if rules is None else dict(rules)
        await asyncio.to_thread(self._write_files)
        await self.reload()

    async def query(self, expression: str, *, at: float | None = None) -> list[dict[str, Any]]:
        """The series of an instant query: each has ``metric`` (labels) and ``value`` (time, text)."""
        moment = {} if at is None else {"time": repr(at)}
        answer = await self.get("/api/v1/query", query=expression, **moment)
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    async def query_range(self, expression: str, *, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """The series of a range query: each has ``metric`` (labels) and ``values``."""
        answer = await self.get("/api/v1/query_range", query=expression, start=repr(start), end=repr(end), step=repr(step))
        result: list[dict[str, Any]] = answer["data"]["result"]
        return result

    async def backfill(self, openmetrics: str) -> None:
        """Add samples of the past, written as OpenMetrics with timestamps and ``# EOF``; it is restarted to see them."""
        source = self.site.write_file(self.data_directory / "backfill.om", openmetrics)
        await self.stop()
        await self._promtool("tsdb", "create-blocks-from", "openmetrics", "--quiet", _LONG_BLOCKS, source, self._storage)
        source.unlink()
        await self.start()

    async def backfill_rules(self, rules: str, *, start: float, end: float, interval_seconds: int = 300) -> None:
        """Evaluate recording rules over the past, as if they had always been there; it is restarted to see the result."""
        source = self.site.write_file(self.data_directory / "backfill.yml", rules)
        await self._promtool(
            "tsdb", "create-blocks-from", "rules", "--quiet", f"--url={self.url}", f"--start={int(start)}", f"--end={int(end)}",
            f"--eval-interval={interval_seconds}s", f"--output-dir={self._storage}", source,
        )  # fmt: skip
        source.unlink()
        await self.stop()
        await self.start()

    @property
    def _storage(self) -> Path:
        return self.data_directory / "tsdb"

    async def _promtool(self, *arguments: str | Path) -> None:
        await run_program(
            [self.program.path.with_name("promtool"), *arguments],
            account=self.site.account,
            directory=self.data_directory,
            timeout_seconds=300,
        )

    async def _build_data(self) -> None:
        self.site.make_directory(self.data_directory)
        self.site.make_directory(self._storage)
        await asyncio.to_thread(self._write_files)

    def _write_files(self) -> None:
        directory = self.data_directory / "rules"
        if not directory.exists():
            self.site.make_directory(directory)
        for name, text in self._rules.items():
            self.site.write_file(directory / name, text)
        for path in directory.iterdir():
            if path.name not in self._rules:
                path.unlink()
        given = {name: value for name, value in self._config.items() if name != "global"}
        intervals = {**_INTERVALS, **_mapping(self._config.get("global"))}
        document = {"global": intervals, "rule_files": [f"{directory}/*"], **given}
        self.site.write_file(self.data_directory / "prometheus.yml", json.dumps(document, indent=1))  # JSON is YAML

    def _command(self, port: int) -> list[str | Path]:
        return [
            self.program.path,
            f"--config.file={self.data_directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={self._storage}",
            "--storage.tsdb.retention.time=10y",
            f"--web.listen-address={self.site.host.address}:{port}",
            "--web.enable-lifecycle",
            "--web.enable-admin-api",
            "--log.level=warn",
            *self._flags,
        ]


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}
