"""The client in an exported file against a server that restarts, refuses and lies."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from orchestrator_kit import client

Answer = tuple[int, Any]


class Server:
    """Gives the answers of a list one after the other, the last one for ever, and remembers what was asked."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, dict[str, str], Any]] = []

    def next(self) -> Answer:
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


@contextmanager
def serving(server: Server) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            server.asked.append((self.command, self.path, dict(self.headers), json.loads(body) if body else None))
            status, document = server.next()
            data = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            if status in (301, 302, 307, 308):
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST  # noqa: N815 - the name that http.server calls

        def log_message(self, *_: object) -> None:
            pass

    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=httpd.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{httpd.server_port}"
    finally:
        httpd.shutdown()
        httpd.server_close()
        thread.join()


@pytest.fixture
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    return pauses


def names(url: str) -> dict[str, Any]:
    return client({"url": url, "request": {"kind": "fleet.check", "input": {}}})


def never() -> bool:
    return False


def follow(url: str, is_stopped: Callable[[], bool] = never, patience: float = 60.0) -> dict[str, Any]:
    made = names(url)["Dbre"](url, "t0ken", patience)
    found: dict[str, Any] = made.follow(made.submit("airflow:x"), is_stopped)
    return found


def running(state: str, **more: Any) -> Answer:
    return 200, {"id": "7", "state": state, **more}


def test_it_submits_once_and_follows_through_restarts(no_waiting: list[float], capsys: pytest.CaptureFixture[str]) -> None:
    held = running("queued", hold={"by": "freeze-window", "reason": "until 08:00"})
    step = running("running", steps=[{"name": "look\x1b[2J", "phase": "do", "state": "started"}])
    server = Server(
        (503, b"away"),
        (202, {"id": "7"}),
        held,
        (502, b""),
        (200, b"<html>"),
        step,
        step,
        running("succeeded"),
    )
    with serving(server) as url:
        assert follow(url)["state"] == "succeeded"
    method, path, headers, body = server.asked[0]
    assert (method, path, body) == ("POST", "/api/v1/operations", {"kind": "fleet.check", "input": {}})
    assert (headers["Authorization"], headers["Idempotency-Key"]) == ("Bearer t0ken", "airflow:x")
    assert server.asked[1] == server.asked[0]
    assert [one[1] for one in server.asked[2:]] == ["/api/v1/operations/7"] * 6
    told = capsys.readouterr().out
    assert "held by freeze-window: until 08:00" in told
    assert "\x1b" not in told
    assert "t0ken" not in told
    assert max(no_waiting) <= 30


@pytest.mark.parametrize("state", ["failed", "cancelled", "compensated", "needs_operator", "closed"])
def test_a_bad_end_names_the_operation_and_what_to_do(state: str, no_waiting: list[float]) -> None:
    server = Server((202, {"id": "7"}), running(state, error={"message": "work_mem is too large\n"}))
    with (
        serving(server) as url,
        pytest.raises(Exception, match=rf"operation 7 is {state}: 'work_mem.*dbre op show 7") as caught,
    ):
        follow(url)
    assert type(caught.value).__name__ == "OperationFailed"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_does_not_get_the_token(status: int, no_waiting: list[float]) -> None:
    server = Server((status, {}))
    with serving(server) as url, pytest.raises(Exception, match=str(status)):
        follow(url)
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("status", "document", "message"),
    [
        (401, {"error": {"message": "the token is unknown", "hint": "log in"}}, "the token is unknown"),
        (409, {"message": "the key belongs to another operation", "hint": "take another"}, "another operation"),
        (422, b"\xff\xfe", "refused"),
        (400, {"error": ["odd"]}, "refused"),
    ],
)
def test_a_refusal_is_told_and_not_repeated(status: int, document: Any, message: str, no_waiting: list[float]) -> None:
    server = Server((status, document))
    with serving(server) as url, pytest.raises(Exception, match=message) as caught:
        follow(url)
    assert type(caught.value).__name__ == "OperationFailed"
    assert len(server.asked) == 1
    assert "t0ken" not in str(caught.value)


def test_a_server_that_stays_away_is_given_up(no_waiting: list[float]) -> None:
    with pytest.raises(Exception, match="not reachable") as caught:
        follow("http://127.0.0.1:9", patience=0.0)
    assert type(caught.value).__name__ == "Unreachable"


def test_a_task_that_is_stopped_stops_following(no_waiting: list[float]) -> None:
    server = Server((202, {"id": "7"}), running("running"))
    asked: list[bool] = []
    with serving(server) as url, pytest.raises(Exception, match="was stopped"):
        follow(url, lambda: bool(asked) or asked.append(True) is not None)


def test_the_key_of_a_run_is_short_plain_and_its_own() -> None:
    key = names("")["idempotency_key"]
    assert key("airflow", "dag", "task", "2026-11-21T00:00:00+00:00") == "airflow:dag:task:2026-11-21T00:00:00+00:00"
    long, odd = key("airflow", "d" * 250, "t"), key("airflow", "d\n\u00e9", "t")
    assert len({long, odd, key("airflow", "d" * 250, "u")}) == 3
    for one in (long, odd):
        assert len(one) <= 150
        assert one.isascii()
        assert one.isprintable()
