"""Checks over HTTP: readiness as each product tells it."""

import asyncio
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from dbre import __version__
from dbre.capabilities.stack.documents import ServiceDocument
from dbre.capabilities.stack.model import ServiceKind, ServiceState, Verdict
from dbre.core.text import printable

__all__ = ["HTTP_CHECKS", "check_http"]

_ANSWER_BYTES = 256 * 1024
_SHOWN = 120  # characters of an answer in a detail


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")

    @property
    def document(self) -> Mapping[str, Any]:
        """The JSON object of the answer; empty for anything else."""
        try:
            found = json.loads(self.body)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

    @property
    def is_good(self) -> bool:
        return 200 <= self.status < 300


class _Asker:
    """One service over one connection."""

    def __init__(self, client: httpx.AsyncClient, service: ServiceDocument) -> None:
        self._client = client
        self._base = service.url.rstrip("/")
        self.service = service

    async def get(self, path: str = "") -> _Answer:
        """Raises: httpx.HTTPError."""
        async with self._client.stream("GET", f"{self._base}{path}" if path else self.service.url) as response:
            body = bytearray()
            async for piece in response.aiter_bytes():
                body += piece
                if len(body) >= _ANSWER_BYTES:
                    break
            return _Answer(response.status_code, bytes(body[:_ANSWER_BYTES]))

    async def version(self, path: str, *keys: str) -> str | None:
        """The version that a product tells somewhere; None where it does not. Never an objection to the service."""
        try:
            found: Any = (await self.get(path)).document
        except httpx.HTTPError:
            return None
        for key in keys:
            found = found.get(key) if isinstance(found, Mapping) else None
        return printable(found, limit=40) if isinstance(found, str) and found else None


async def check_http(service: ServiceDocument) -> Verdict:
    """Ask a service by HTTP; the caller sets the deadline. Raises: httpx.HTTPError, OSError, SecretUnavailable."""
    verify: ssl.SSLContext | bool = False  # there is no TLS to verify
    if service.address.scheme == "https":
        authorities = service.tls_ca_file
        verify = await asyncio.to_thread(ssl.create_default_context, cafile=None if authorities is None else str(authorities))
    headers = {"User-Agent": f"dbre/{__version__}"}
    if service.token is not None:
        headers["Authorization"] = f"Bearer {(await service.token.resolve()).reveal()}"
    auth = None
    if service.user is not None:
        password = (await service.password.resolve()).reveal() if service.password else ""
        auth = httpx.BasicAuth(service.user, password)
    async with httpx.AsyncClient(
        trust_env=False,
        follow_redirects=False,
        verify=verify,
        headers=headers,
        auth=auth,
        timeout=service.timeout.total_seconds(),
    ) as client:
        return await HTTP_CHECKS[service.kind](_Asker(client, service))


def _refusal(answer: _Answer, *, what: str = "answers") -> Verdict:
    said = printable(answer.text.strip(), limit=_SHOWN)
    return Verdict(state=ServiceState.DOWN, detail=f"{what} {answer.status}" + (f": {said}" if said else ""))


async def _prometheus(ask: _Asker) -> Verdict:
    answer = await ask.get("/-/ready")
    if not answer.is_good:
        return _refusal(answer, what="/-/ready answers")
    version = await ask.version("/api/v1/status/buildinfo", "data", "version")
    return Verdict(state=ServiceState.UP, detail="ready", version=version)


async def _alertmanager(ask: _Asker) -> Verdict:
    answer = await ask.get("/-/ready")
    if not answer.is_good:
        return _refusal(answer, what="/-/ready answers")
    status = (await ask.get("/api/v2/status")).document
    cluster = status.get("cluster")
    found = cluster.get("status") if isinstance(cluster, dict) else None
    state = ServiceState.DEGRADED if found == "settling" else ServiceState.UP
    version = status.get("versionInfo")
    told = version.get("version") if isinstance(version, dict) else None
    detail = f"ready, cluster {printable(str(found), limit=20)}" if found else "ready"
    return Verdict(state=state, detail=detail, version=printable(told, limit=40) if isinstance(told, str) else None)


async def _loki(ask: _Asker) -> Verdict:
    answer = await ask.get("/ready")
    if not answer.is_good:
        return _refusal(answer, what="/ready answers")
    return Verdict(state=ServiceState.UP, detail="ready", version=await ask.version("/loki/api/v1/status/buildinfo", "version"))


async def _grafana(ask: _Asker) -> Verdict:
    answer = await ask.get("/api/health")
    database, version = answer.document.get("database"), answer.document.get("version")
    told = printable(version, limit=40) if isinstance(version, str) else None
    if not answer.is_good or database != "ok":
        shown = f", database {printable(str(database), limit=40)}" if database is not None else ""
        return Verdict(state=ServiceState.DOWN, detail=f"/api/health answers {answer.status}{shown}", version=told)
    return Verdict(state=ServiceState.UP, detail="database ok", version=told)


async def _rabbitmq(ask: _Asker) -> Verdict:
    answer = await ask.get("/api/health/checks/alarms")
    if answer.is_good:
        version = await ask.version("/api/overview", "rabbitmq_version")
        return Verdict(state=ServiceState.UP, detail="no alarms", version=version)
    if answer.status == 503 and answer.document.get("status") == "failed":  # publishers are blocked, consumers are not
        reason = printable(str(answer.document.get("reason", "an alarm")), limit=_SHOWN)
        return Verdict(state=ServiceState.DEGRADED, detail=f"alarm: {reason}")
    return _refusal(answer)


async def _http(ask: _Asker) -> Verdict:
    answer, service = await ask.get(), ask.service
    is_wanted = answer.is_good if service.expect_status is None else answer.status in service.expect_status
    if not is_wanted:
        return _refusal(answer)
    if service.expect_text is not None and service.expect_text not in answer.text:
        shown = printable(service.expect_text, limit=60)
        return Verdict(state=ServiceState.DOWN, detail=f"answers {answer.status} without the text {shown!r}")
    return Verdict(state=ServiceState.UP, detail=f"answers {answer.status}")


HTTP_CHECKS = {
    ServiceKind.PROMETHEUS: _prometheus,
    ServiceKind.ALERTMANAGER: _alertmanager,
    ServiceKind.LOKI: _loki,
    ServiceKind.GRAFANA: _grafana,
    ServiceKind.RABBITMQ: _rabbitmq,
    ServiceKind.HTTP: _http,
}
"""How each kind with a web address is asked."""
