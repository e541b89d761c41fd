"""The desk of a control plane elsewhere, over its API: for people and programs without access to the state store."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import httpx

from dbre import __version__
from dbre.core.errors import Unreachable, UsageError
from dbre.core.identity.documents import principal_from_document
from dbre.core.identity.model import Principal
from dbre.core.operation.client_document import server_url
from dbre.core.operation.desk import OperationFilter, OverrideRequest, Preview, Submission
from dbre.core.operation.documents import (
    operation_from_document,
    plan_document,
    preview_from_document,
)
from dbre.core.operation.model import OperationRecord, Resolution
from dbre.core.operation.plan import PlannedOperation
from dbre.core.operation.planning import PLAN_SECONDS
from dbre.core.operation.remote_errors import error_of
from dbre.core.secrets import Secret
from dbre.core.text import printable

__all__ = ["HttpDesk", "open_http_desk"]

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = PLAN_SECONDS + 15.0  # a submission is planned once more on the other side
_PATH = "/api/v1/operations"


@asynccontextmanager
async def open_http_desk(url: str, token: Secret | None) -> AsyncIterator["HttpDesk"]:
    """A desk for the time of one command. Raises: UsageError for an address to which no token may be sent."""
    headers = {"Accept": "application/json", "User-Agent": f"dbre/{__version__}"}
    if token is not None:
        headers["Authorization"] = f"Bearer {_header(token)}"
    limits = httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS)
    base = server_url(url)
    # A redirect would carry the token to another place, and without TLS a proxy of the environment would read it.
    is_encrypted = base.startswith("https:")
    async with httpx.AsyncClient(
        base_url=base, headers=headers, timeout=limits, follow_redirects=False, trust_env=is_encrypted
    ) as client:
        yield HttpDesk(client)


class HttpDesk:
    """Sends each act to the control plane (``OperationDesk``); who acts is whoever the token belongs to."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def preview(self, kind: str, asked: Mapping[str, Any]) -> Preview:
        """Have the plan made there; nothing is stored."""
        return preview_from_document(await self._post(f"{_PATH}/plan", {"kind": kind, "input": dict(asked)}))

    async def submit(self, planned: PlannedOperation, submission: Submission) -> OperationRecord:
        """Submit exactly this plan."""
        body = {"plan": plan_document(planned)} | _submission(submission)
        return operation_from_document(await self._post(_PATH, body, headers=_key(submission)))

    async def request(
        self, kind: str, asked: Mapping[str, Any], submission: Submission, *, plan_hash: str | None = None
    ) -> OperationRecord:
        """Have it planned and submitted there in one go."""
        body: dict[str, Any] = {"kind": kind, "input": dict(asked)} | _submission(submission)
        if plan_hash is not None:
            body["plan_hash"] = plan_hash
        return operation_from_document(await self._post(_PATH, body, headers=_key(submission)))

    async def approve(self, operation_id: UUID, *, plan_hash: str | None = None, comment: str | None = None) -> OperationRecord:
        """Consent to the stored plan."""
        return await self._act(operation_id, "approve", plan_hash=plan_hash, comment=comment)

    async def pause(self, operation_id: UUID, *, reason: str | None = None) -> OperationRecord:
        """Stop at the next boundary, until ``resume``."""
        return await self._act(operation_id, "pause", reason=reason)

    async def resume(self, operation_id: UUID) -> OperationRecord:
        """Go on after ``pause``."""
        return await self._act(operation_id, "resume")

    async def cancel(self, operation_id: UUID, *, reason: str | None = None) -> OperationRecord:
        """Stop at the next boundary and undo what was done."""
        return await self._act(operation_id, "cancel", reason=reason)

    async def retry(self, operation_id: UUID, *, confirm: str | None = None) -> OperationRecord:
        """Submit the input of an operation that ended badly once more."""
        return await self._act(operation_id, "retry", confirm=confirm)

    async def resolve(self, operation_id: UUID, resolution: Resolution, *, reason: str) -> OperationRecord:
        """Decide for an operation that needs an operator."""
        return await self._act(operation_id, "resolve", resolution=resolution.value, reason=reason)

    async def tune(self, operation_id: UUID, values: Mapping[str, str]) -> OperationRecord:
        """Change tunables of a running operation."""
        return await self._act(operation_id, "tune", values=dict(values))

    async def override(self, operation_id: UUID, request: OverrideRequest) -> OperationRecord:
        """Bypass a gate that holds an operation that is stored already."""
        return await self._act(operation_id, "override", gate=request.gate, reason=request.reason, ticket=request.ticket)

    async def get(self, operation_id: UUID) -> OperationRecord:
        """One operation with its journal."""
        return operation_from_document(await self.ask("GET", f"{_PATH}/{operation_id}"))

    async def list(self, wanted: OperationFilter) -> Sequence[OperationRecord]:
        """Operations without their journals."""
        given = {
            "kind": wanted.kind,
            "target": wanted.target,
            "requested_by": wanted.requested_by,
            "before": wanted.before and str(wanted.before),
            "id_part": wanted.id_part,
            "dedup_key": wanted.dedup_key,
            "limit": str(wanted.limit),
        }
        pairs = [(key, value) for key, value in given.items() if value is not None]
        pairs += [("state", state.value) for state in wanted.states]
        found = await self.ask("GET", _PATH, params=pairs)
        items = found.get("items")
        if not isinstance(items, list):
            raise self._not_dbre("no list of operations")
        return [operation_from_document(one) for one in items]

    async def principal(self) -> Principal:
        """Who the token belongs to, as the control plane sees it."""
        return principal_from_document(await self.ask("GET", "/api/v1/identity"))

    async def items(self, path: str, **parameters: str | int | None) -> Sequence[dict[str, Any]]:
        """A list of the API, as it answers: ``items("/gates/held")``."""
        given = {key: str(value) for key, value in parameters.items() if value is not None}
        found = (await self.ask("GET", f"/api/v1{path}", params=given)).get("items")
        if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
            raise self._not_dbre(f"no list at /api/v1{path}")
        return found

    async def _act(self, operation_id: UUID, act: str, **body: Any) -> OperationRecord:
        given = {key: value for key, value in body.items() if value is not None}
        return operation_from_document(await self._post(f"{_PATH}/{operation_id}/{act}", given))

    async def _post(self, path: str, body: Any, *, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        return await self.ask("POST", path, json=body, headers=dict(headers or {}))

    async def ask(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """One request; the document that it is answered with. Raises: what the control plane says, as the same error."""
        try:
            answer = await self._client.request(method, path, **more)
        except httpx.TimeoutException as error:
            raise self._silent(f"no answer within {_seconds(error):.0f} s") from error
        except httpx.HTTPError as error:
            raise self._silent(printable(str(error) or type(error).__name__, limit=300)) from error
        if answer.is_redirect:
            place = printable(answer.headers.get("location", "another place"), limit=200)
            raise UsageError(
                f"{self._client.base_url} redirects to {place}, where the token is not sent",
                hint="set client.url to the address of the control plane itself",
            )
        return self._document(answer)

    def _document(self, answer: httpx.Response) -> dict[str, Any]:
        try:
            found = answer.json()
        except ValueError:
            found = None
        if answer.is_success and isinstance(found, dict):
            return found
        problem = found.get("error") if isinstance(found, dict) else None
        if isinstance(problem, dict):
            raise error_of(answer.status_code, problem)
        raise self._not_dbre(f"HTTP {answer.status_code}")

    def _silent(self, why: str) -> Unreachable:
        return Unreachable(
            f"control plane {self._client.base_url} is not reachable: {why}",
            hint="what it had accepted before goes on there; see client.url, DBRE_SERVER",
        )

    def _not_dbre(self, what: str) -> Unreachable:
        return Unreachable(
            f"{self._client.base_url} does not answer as a control plane of dbre does: {what}",
            hint="see client.url, DBRE_SERVER, and whether a proxy stands before it",
        )


def _header(token: Secret) -> str:
    value = token.reveal().strip()
    if not value.isascii() or not value.isprintable() or " " in value:
        raise UsageError("the token has characters that no token has", hint="see client.token, DBRE_TOKEN")
    return value


def _key(submission: Submission) -> dict[str, str]:
    key = submission.dedup_key
    if key is None:
        return {}
    if not key.isascii() or not key.isprintable():
        raise UsageError("an idempotency key is 1 to 200 printable ASCII characters without blanks")
    return {"Idempotency-Key": key}


def _seconds(error: httpx.TimeoutException) -> float:
    return _CONNECT_SECONDS if isinstance(error, httpx.ConnectTimeout) else _ANSWER_SECONDS


def _submission(given: Submission) -> dict[str, Any]:
    body = {
        "reason": given.reason,
        "confirm": given.confirm,
        "overrides": [{"gate": one.gate, "reason": one.reason, "ticket": one.ticket} for one in given.overrides],
        "not_before": _moment(given.not_before),
        "deadline": _moment(given.deadline),
        "zone": given.zone,
        "priority": given.priority,
        "fail_if_busy": given.fail_if_busy,
    }
    return {key: value for key, value in body.items() if value is not None}


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
