"""A real control plane as a child process: ``dbre server``, started as an init system would, and judged from outside."""

import asyncio
import ctypes
import json
import os
import secrets
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from dbre.core.errors import DbreError
from dbre.lab.free_port import choose_port

__all__ = ["ControlPlaneFailed", "ControlPlaneProcess", "write_private"]

_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_PR_SET_PDEATHSIG = 1  # prctl(2): a signal for this process when its parent ends, however it ends


class ControlPlaneFailed(DbreError):
    """The control plane ended, or did not become ready."""

    code = "demo.control_plane_failed"


@dataclass
class ControlPlaneProcess:
    """``python -m dbre server`` in ``directory``, which holds its ``dbre.yaml``, token, state and log.

    ``configuration`` is the document without ``state`` and ``server``.
    """

    directory: Path
    configuration: dict[str, object]
    port: int = field(default_factory=choose_port)
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    _child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Base URL."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def config_file(self) -> Path:
        """Its configuration."""
        return self.directory / "dbre.yaml"

    @property
    def token_file(self) -> Path:
        """Its login token."""
        return self.directory / "token"

    @property
    def log_file(self) -> Path:
        """Its stdout and stderr."""
        return self.directory / "server.log"

    @property
    def pid(self) -> int:
        """Of the child. Raises: ControlPlaneFailed if it does not run."""
        if self._child is None:
            raise ControlPlaneFailed("the control plane was not started")
        return self._child.pid

    def client(self, *, authenticated: bool = True) -> httpx.AsyncClient:
        """An HTTP client with the token, unless told otherwise."""
        headers = {"Authorization": f"Bearer {self.token}"} if authenticated else {}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=20, trust_env=False)

    def command(self, *arguments: str) -> list[str]:
        """A command line with this control plane's configuration: ``command("slo", "list")``."""
        return [sys.executable, "-m", "dbre", "--config", str(self.config_file), *arguments]

    async def start(self) -> None:
        """Write the files, start, and wait until ``/readyz`` says yes. Raises: ControlPlaneFailed with the log's tail."""
        self._write_files()
        with self.log_file.open("ab") as log:
            self._child = subprocess.Popen(  # noqa: S603, ASYNC220 - our own program; starting it takes milliseconds
                self.command("server"),
                cwd=self.directory,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        try:
            await self._wait_ready()
        except TimeoutError as error:
            raise ControlPlaneFailed(
                f"the control plane is not ready after {_START_SECONDS:.0f} s: {self.log_tail()}"
            ) from error

    def log_tail(self) -> str:
        """The last lines of its log."""
        return self.log_file.read_text(errors="replace")[-3000:].strip()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal: SIGKILL, SIGSTOP, SIGCONT, ..."""
        os.kill(self.pid, number)

    async def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """End it with a signal and give its exit code; SIGKILL follows if it does not end."""
        child, self._child = self._child, None
        if child is None:
            return 0
        if child.poll() is None:
            child.send_signal(number)
            try:
                await asyncio.to_thread(child.wait, _STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.kill()
                await asyncio.to_thread(child.wait)
        return child.returncode

    def _write_files(self) -> None:
        write_private(self.token_file, self.token)
        server = {"host": "127.0.0.1", "port": self.port, "token": f"file:{self.token_file}"}
        document = {"state": {"url": "sqlite:///dbre.db"}, **self.configuration, "server": server}
        write_private(self.config_file, json.dumps(document, indent=2))  # JSON is YAML

    async def _wait_ready(self) -> None:
        async with asyncio.timeout(_START_SECONDS), self.client() as client:
            while True:
                if self._child is not None and self._child.poll() is not None:
                    raise ControlPlaneFailed(f"the control plane ended with {self._child.returncode}: {self.log_tail()}")
                with suppress(httpx.TransportError):
                    if (await client.get("/readyz")).status_code == 200:
                        return
                await asyncio.sleep(0.1)


def write_private(path: Path, text: str) -> None:
    """Write a file that only we can read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
