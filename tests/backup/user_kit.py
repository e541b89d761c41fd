"""A lab with backups, used as a person does: by commands alone, beside ``dbre server``."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from left_behind_kit import wait_until_empty

_LIMIT_SECONDS = 90.0
_AGAIN_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Trial:
    """Commands on one lab."""

    home: Path
    name: str

    async def dbre(self, *words: str) -> tuple[int, str, str]:
        """Exit status, stdout and stderr of one command."""
        child = await self.start(*words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE)
        try:
            async with asyncio.timeout(_LIMIT_SECONDS):
                out, errors = await child.communicate()
        finally:
            if child.returncode is None:
                child.kill()
        assert child.returncode is not None
        return child.returncode, out.decode(), errors.decode()

    async def done(self, *words: str) -> str:
        """Stdout of a command that must end with 0."""
        status, out, errors = await self.dbre(*words)
        assert status == 0, (words, status, out, errors)
        return out

    async def start(self, *words: str, **rest: Any) -> asyncio.subprocess.Process:
        environment = {**os.environ, "DBRE_CONFIG": str(self.home / "dbre.yaml")}
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "dbre", *words, cwd=self.home, env=environment, stdin=asyncio.subprocess.DEVNULL, **rest
        )

    async def set_up(self) -> None:
        """Vault, keys and policy, as the guide tells."""
        (self.home / "vault").mkdir(mode=0o700)
        keys = [json.loads(await self.done("vault", "key", "--out", f"{one}.key", "-o", "json")) for one in ("ours", "escrow")]
        recipients = ", ".join(one["items"][0]["recipient"] for one in keys)
        text = (self.home / "lab" / "dbre.yaml").read_text().replace("file:password", f"file:{self.home}/lab/password")
        text += f"""
server: {{port: 0}}
vaults:
  - {{name: main, kind: filesystem, path: {self.home}/vault, recipients: [{recipients}], identity: "file:{self.home}/ours.key"}}
backup:
  policies:
    - name: daily
      vaults: [main]
      log: {{mode: stream, seal_after: 1s}}
      canary: {{enabled: true, interval: 1s}}
"""
        (self.home / "dbre.yaml").write_text(text)

    async def proved(self) -> dict[str, Any]:
        """A drill that passes: the first ones may come before the canary's first row is stored."""
        async with asyncio.timeout(_LIMIT_SECONDS):
            while True:
                status, out, errors = await self.dbre("backup", "drill", self.name, "--target", "latest", "-o", "json")
                if status == 0:
                    found: dict[str, Any] = json.loads(out)
                    return found
                assert status == 3, (status, out, errors)
                await asyncio.sleep(_AGAIN_SECONDS)


@asynccontextmanager
async def trial_of(engine: str, home: Path, *, replicas: int = 0) -> AsyncIterator[Trial]:
    """A lab of one server, or more, with its control plane, which is killed at the end and leaves nobody behind."""
    home.chmod(0o711)
    trial = Trial(home=home, name=f"user-{engine}")
    (home / "dbre.yaml").write_text('state: {url: "sqlite:///dbre.db"}\n')
    lab = ("--name", trial.name, "--directory", str(home / "lab"))
    try:
        await trial.done("lab", "up", "--engine", engine, "--replicas", str(replicas), *lab)
        await trial.set_up()
        with (home / "server.log").open("wb") as log:
            server = await trial.start("server", stdout=log, stderr=log)
        try:
            yield trial
        finally:
            server.send_signal(signal.SIGKILL)
            await server.wait()
        await wait_until_empty(home / "backup")
    finally:
        await trial.dbre("lab", "down", *lab)
