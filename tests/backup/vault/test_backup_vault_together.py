"""Vaults that are out of order: all are asked at once, and each is told with its remedy."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from vault_kit import ESCROW, OPERATIONS

from dbre.app import Application
from dbre.cli import root

BUCKETS = ("cellar", "far")


class _Both(ThreadingHTTPServer):
    """Answers the first request for a bucket only when the other bucket was asked for, too; and then has neither."""

    daemon_threads = True
    barrier = threading.Barrier(len(BUCKETS))

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.alone: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: _Both

    def _any(self) -> None:
        try:
            self.server.barrier.wait(60)
        except threading.BrokenBarrierError:
            self.server.alone.append(self.path)
        body = b"<?xml version='1.0'?><Error><Code>NoSuchBucket</Code><Message>there is none</Message></Error>"
        self.send_response(404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_GET = do_HEAD = _any  # noqa: N815

    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def test_dead_vaults_are_asked_at_once_and_their_errors_have_a_remedy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "k")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    server = _Both()
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    recipients = [str(one.to_public()) for one in (OPERATIONS, ESCROW)]
    common = {"kind": "s3", "endpoint": f"http://127.0.0.1:{server.server_address[1]}", "recipients": recipients}
    vaults = [{"name": one, "bucket": one, **common} for one in BUCKETS]
    (tmp_path / "dbre.yaml").write_text(json.dumps({"vaults": vaults}))
    try:
        code = root.main(Application, ["--config", str(tmp_path / "dbre.yaml"), "vault", "check", "--no-store"])
    finally:
        server.shutdown()
        server.server_close()
        thread.join(30)
    err = capsys.readouterr().err.splitlines()
    assert (code, server.alone) == (2, [])
    assert [line.partition(": cannot")[0] for line in err] == [
        "dbre: vault cellar",
        "dbre: vault far",
        "hint: make the bucket first, with versions and object lock",
    ], "a remedy that both have in common is told once"
