"""Nobody fills the memory of the control plane with one request, least of all who has no token."""

from collections.abc import AsyncIterator

from dbre.demo.control_plane import ControlPlaneProcess
from dbre.web.body_limit import LIMIT_BODY_BYTES

MIB = 1024 * 1024
JSON = {"Content-Type": "application/json"}


async def test_a_body_of_unknown_length_is_refused_before_it_fills_the_memory(control_plane: ControlPlaneProcess) -> None:
    async def blanks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * MIB

    async with control_plane.client() as client:
        del client.headers["Authorization"]
        answer = await client.post("/api/v1/operations", content=blanks(), headers=JSON)
    assert answer.status_code == 413
    assert answer.json()["error"]["message"] == "the body is larger than 8 MiB"


async def test_a_large_body_is_refused_for_forms_too(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client() as client:
        answer = await client.post("/login", data={"token": "x" * (LIMIT_BODY_BYTES + 1)})
    assert answer.status_code == 413


async def test_what_a_plan_needs_is_read(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client() as client:
        body = b'{"kind": "no.such", "input": {}}'.ljust(LIMIT_BODY_BYTES - 1)
        answer = await client.post("/api/v1/operations", content=body, headers=JSON)
    assert (answer.status_code, answer.json()["error"]["code"]) != (413, "web.http_413")
