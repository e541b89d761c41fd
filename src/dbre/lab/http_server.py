"""What throw-away servers that speak HTTP have in common: an address as a URL, readiness, and loading their files again."""

import asyncio
import json
import signal
import ssl
from collections.abc import Mapping
from typing import Any

import httpx

from dbre.lab.errors import ServerFailed
from dbre.lab.server import LabServer
from dbre.ports.session import Role

__all__ = ["HttpLabServer", "http_client"]


class HttpLabServer(LabServer):
    """A server of the Prometheus family: ``/-/ready`` says that it answers, ``/-/reload`` reads its files again."""

    superuser = ""  # nobody logs in
    default_database = application_database = observer_database = None
    stop_signal = signal.SIGTERM

    @property
    def url(self) -> str:
        """Where clients reach it, without a slash at the end."""
        return f"http://{self.address}"

    async def role(self) -> Role:
        """A single server has one role."""
        return Role.PRIMARY

    async def get(self, path: str, **parameters: str) -> Any:
        """The JSON document at a path. Raises: ServerFailed with what it answered."""
        return (await self._send("GET", path, parameters)).json()

    async def post(self, path: str, document: object = None) -> str:
        """Send a JSON document; returns the body of the answer. Raises: ServerFailed with what it answered."""
        return (await self._send("POST", path, {}, document)).text

    async def reload(self) -> None:
        """Make it read its configuration again. Raises: ServerFailed with what it does not like."""
        await self._send("POST", "/-/reload", {})

    async def _send(self, method: str, path: str, parameters: Mapping[str, str], document: object = None) -> httpx.Response:
        body = None if document is None else json.dumps(document)
        try:
            async with http_client(self.url, timeout_seconds=60) as client, asyncio.timeout(90):
                answer = await client.request(
                    method, path, params=dict(parameters), content=body, headers={"content-type": "application/json"}
                )
        except (httpx.HTTPError, TimeoutError) as error:
            raise ServerFailed(f"{self.name} did not answer {method} {path}: {error!r}") from error
        if answer.is_error:
            raise ServerFailed(f"{self.name} answered {method} {path} with {answer.status_code}: {answer.text[:2000]}")
        return answer

    async def _is_ready(self) -> bool:
        try:
            async with http_client(self.url, timeout_seconds=2) as client:
                return (await client.get("/-/ready")).status_code == httpx.codes.OK
        except httpx.HTTPError:
            return False

    def _says_port_taken(self, log: str) -> bool:
        return "address already in use" in log

    async def _after_first_start(self) -> None:
        """There are no accounts to make."""


def http_client(url: str, *, timeout_seconds: float) -> httpx.AsyncClient:
    """Without certificates, which take longer to load than the answer takes: all is plain HTTP on loopback."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.AsyncClient(base_url=url, trust_env=False, timeout=timeout_seconds, verify=context)
