"""Operations over the API of a running control plane, by hand, through ``HttpDesk`` and from the command line."""

import asyncio
import json
import os
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import UUID, uuid4

import httpx
import pytest

from dbre.core.errors import Denied, ExitCode, Unreachable, UsageError
from dbre.core.operation.client_document import server_url
from dbre.core.operation.desk import OperationFilter, OverrideRequest, Submission
from dbre.core.operation.documents import DocumentUnreadable, operation_from_document
from dbre.core.operation.errors import ConfirmationMissing, NoSuchOperation, OperationConflict, PlanChanged, WrongState
from dbre.core.operation.http_desk import HttpDesk, open_http_desk
from dbre.core.operation.model import OperationRecord, Resolution
from dbre.core.operation.plan import PlannedOperation
from dbre.core.operation.remote_errors import error_of
from dbre.core.operation.states import OperationState
from dbre.core.secrets import Secret
from dbre.demo.control_plane import ControlPlaneProcess
from dbre.lab.free_port import choose_port

CHECK = {"kind": "fleet.check", "input": {"cluster": "orders"}}
PATH = "/api/v1/operations"


@pytest.fixture
async def desk(control_plane: ControlPlaneProcess) -> AsyncIterator[HttpDesk]:
    async with open_http_desk(control_plane.url, Secret(control_plane.token)) as one:
        yield one


async def _ended(desk: HttpDesk, operation_id: UUID) -> OperationRecord:
    async with asyncio.timeout(30):
        while not (record := await desk.get(operation_id)).is_final:  # noqa: ASYNC110 - it ends in another process
            await asyncio.sleep(0.1)
    return record


async def test_the_control_plane_plans_runs_and_shows_an_operation(desk: HttpDesk) -> None:
    preview = await desk.preview("fleet.check", {"cluster": "orders"})
    assert preview.planned.plan.target == "cluster/orders"
    assert preview.approvals_needed == 0
    record = await desk.submit(preview.planned, Submission(reason="from afar", priority=7))
    assert (record.reason, record.priority) == ("from afar", 7)
    ended = await _ended(desk, record.id)
    assert ended.state is OperationState.SUCCEEDED
    assert len(ended.steps) >= len(ended.planned.plan.steps)
    assert record.id in {one.id for one in await desk.list(OperationFilter(kind="fleet.check", states=(ended.state,)))}
    assert [one.id for one in await desk.list(OperationFilter(id_part=str(record.id)[-12:]))] == [record.id]


async def test_errors_come_back_as_what_they_were(desk: HttpDesk) -> None:
    with pytest.raises(UsageError, match=r"input\.cluster"):
        await desk.preview("fleet.check", {})
    with pytest.raises(UsageError, match="not a kind"):
        await desk.preview("fleet.chek", {})
    with pytest.raises(NoSuchOperation):
        await desk.get(uuid4())
    with pytest.raises(NoSuchOperation):
        await desk.cancel(uuid4())
    planned = (await desk.preview("fleet.check", {"cluster": "orders"})).planned
    document = planned.document() | {"observed": {"x": 1}}
    with pytest.raises(PlanChanged, match=r"observed\.x: 1 -> nothing"):
        await desk.submit(PlannedOperation.from_document(document), Submission())
    with pytest.raises(PlanChanged):
        await desk.request("fleet.check", {"cluster": "orders"}, Submission(), plan_hash="0" * 64)
    record = await _ended(desk, (await desk.submit(planned, Submission())).id)
    for act in (desk.pause, desk.resume, desk.retry, desk.approve, desk.cancel):
        with pytest.raises(WrongState) as raised:
            await act(record.id)
        assert raised.value.exit_code == ExitCode.REFUSED
    with pytest.raises(WrongState):
        await desk.resolve(record.id, Resolution.DONE, reason="x")
    with pytest.raises(UsageError):
        await desk.tune(record.id, {"nothing": "1"})
    with pytest.raises(UsageError, match="is not a gate"):
        await desk.override(record.id, OverrideRequest(gate="moood", reason="x"))


async def test_one_key_is_one_operation(desk: HttpDesk) -> None:
    key = f"test:{uuid4()}"
    first = await desk.request("fleet.check", {"cluster": "orders"}, Submission(dedup_key=key))
    again = await asyncio.gather(
        *(desk.request("fleet.check", {"cluster": "orders"}, Submission(dedup_key=key)) for _ in range(4))
    )
    assert {one.id for one in again} == {first.id}
    with pytest.raises(OperationConflict):
        await desk.request("fleet.check", {"cluster": "gone"}, Submission(dedup_key=key))


async def test_statuses_and_documents_of_the_plain_api(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client() as client:
        answer = await client.post(PATH, json=CHECK, headers={"Idempotency-Key": f"plain:{uuid4()}"})
        assert answer.status_code == 202
        assert answer.headers["location"] == f"{PATH}/{answer.json()['id']}"
        assert operation_from_document(answer.json()).planned.kind == "fleet.check"
        listed = (await client.get(PATH, params={"limit": 1})).json()
        assert (listed["kind"], listed["api_version"], len(listed["items"])) == ("OperationList", "dbre/v1", 1)
        missing = await client.get(f"{PATH}/{uuid4()}")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "operation.unknown")
        for body in ({}, {"kind": "fleet.check"}, CHECK | {"plan": {}}, CHECK | {"priority": 10}, CHECK | {"more": 1}):
            assert (await client.post(PATH, json=body)).status_code == 422, body
        refused = await client.post(PATH, json={"plan": {"kind": "Plan"}})
        assert (refused.status_code, refused.json()["error"]["exit_code"]) == (400, 2)
        assert (await client.get(PATH, params={"state": "nothing"})).status_code == 422
        assert (await client.post(f"{PATH}/{uuid4()}/approve", content=b"{")).status_code == 422


async def test_nobody_acts_without_a_token_or_with_a_cookie_alone(control_plane: ControlPlaneProcess) -> None:
    async with control_plane.client(authenticated=False) as client:
        for method, path in (("GET", PATH), ("POST", PATH), ("POST", f"{PATH}/plan"), ("POST", f"{PATH}/{uuid4()}/cancel")):
            assert (await client.request(method, path, json=CHECK)).status_code == 401
        await client.post("/login", data={"token": control_plane.token, "next": "/"})
        assert (await client.get(PATH)).status_code == 200
        assert (await client.post(PATH, json=CHECK)).status_code == 403  # what another site could make a browser send
    async with open_http_desk(control_plane.url, Secret("wrong")) as stranger:
        with pytest.raises(Denied, match="token"):
            await stranger.list(OperationFilter())


async def test_a_silent_place_is_unreachable_and_says_that_work_goes_on() -> None:
    async with open_http_desk(f"http://127.0.0.1:{choose_port()}", Secret("x")) as nowhere:
        with pytest.raises(Unreachable, match="is not reachable") as raised:
            await nowhere.list(OperationFilter())
    assert raised.value.exit_code == ExitCode.UNREACHABLE


@asynccontextmanager
async def _answering(*, status: int, body: bytes, headers: Mapping[str, str] = {}) -> AsyncIterator[HttpDesk]:
    """A real connection to something that is not a control plane."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *(f"{key}: {value}" for key, value in headers.items())]
    head = ("\r\n".join([*lines, "Connection: close"]) + "\r\n\r\n").encode()
    asked: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(head + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, open_http_desk(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", Secret("secret")) as desk:
        yield desk
    assert len(asked) == 1


async def test_a_redirect_is_not_followed_with_the_token() -> None:
    async with _answering(status=307, body=b"", headers={"Location": "http://evil.example/\x1b"}) as desk:
        with pytest.raises((UsageError, Unreachable)):
            await desk.list(OperationFilter())


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>"), (200, b"[]"), (502, b"bad gateway"), (200, b'{"items": 1}')])
async def test_something_else_that_answers_is_told_apart(status: int, body: bytes) -> None:
    async with _answering(status=status, body=body) as desk:
        with pytest.raises(Unreachable, match="does not answer as a control plane"):
            await desk.list(OperationFilter())


async def test_a_document_of_another_version_is_said_to_be_one() -> None:
    async with _answering(status=200, body=b'{"items": [{"id": 7}]}') as desk:
        with pytest.raises(DocumentUnreadable, match="cannot be read"):
            await desk.list(OperationFilter())


def test_an_unknown_code_keeps_its_exit_code() -> None:
    error = error_of(409, {"code": "other.thing", "message": "x\x1b", "hint": "y", "retryable": True, "exit_code": 7})
    assert (error.code, error.exit_code, error.retryable, error.message) == ("other.thing", ExitCode.CONFLICT, True, "x\\x1b")
    known = error_of(400, {"code": "operation.confirmation_missing", "message": "x", "exit_code": 2})
    assert type(known) is ConfirmationMissing
    assert error_of(500, {"message": 5, "hint": 7, "context": []}).exit_code == ExitCode.FAILED


@pytest.mark.parametrize(
    "url",
    ["http://dbre.example", "ftp://x", "https://u:p@x", "https://x/?a=1", "https://x/#a", "x", "https://x\n", "http://[::1"],
)
def test_no_token_is_sent_to_such_an_address(url: str) -> None:
    with pytest.raises(UsageError):
        server_url(url)
    assert server_url("https://dbre.example:8432/") == "https://dbre.example:8432"


def test_the_command_line_acts_through_the_control_plane(control_plane: ControlPlaneProcess) -> None:
    environment = {**os.environ, "DBRE_SERVER": control_plane.url, "DBRE_TOKEN": control_plane.token}
    empty = control_plane.directory / "client.yaml"
    empty.write_text("{}\n")

    def run(*words: str, **more: str) -> subprocess.CompletedProcess[str]:
        line = control_plane.command(*words)
        line[line.index("--config") + 1] = str(empty)
        return subprocess.run(line, env=environment | more, capture_output=True, text=True, cwd=empty.parent)

    listed = run("op", "list", "-o", "json")
    assert listed.returncode == 0, listed.stderr
    plan = control_plane.directory / "plan.json"
    preview = httpx.post(
        f"{control_plane.url}{PATH}/plan", json=CHECK, headers={"Authorization": f"Bearer {control_plane.token}"}, timeout=30
    )
    plan.write_text(json.dumps(preview.json()["plan"]))
    done = run("op", "submit", str(plan), "-o", "json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["item"]["state"] == "succeeded"
    assert "succeeded" in done.stderr
    assert run("op", "show", "ffffffff").returncode == ExitCode.USAGE
    assert run("op", "list", DBRE_TOKEN="wrong").returncode == ExitCode.DENIED
    assert run("op", "list", DBRE_SERVER=f"http://127.0.0.1:{choose_port()}").returncode == ExitCode.UNREACHABLE
    assert run("op", "list", DBRE_SERVER="http://dbre.example").returncode == ExitCode.USAGE
    assert not (empty.parent / "client.db").exists()
