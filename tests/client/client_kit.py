"""A receiver on loopback that answers as it is told, and remembers by the rules of the real one."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Receiver:
    """Counts a (stream, sequence) once; ``answers`` are statuses for the next requests, then 200."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.batches: dict[tuple[str, int], dict[str, list]] = {}
        self.requests = 0
        self.takes_and_fails = False  # stores the batch, and the sender never hears of it
        self.url = ""

    @property
    def events(self) -> list[tuple[bool, bool]]:
        rows = []
        for one in self.batches.values():
            rows += zip(one["good"], one["valid"], strict=True)
        return rows

    @property
    def described(self) -> list[dict[str, str]]:
        return [
            one["attribute_sets"][index] for one in self.batches.values() for index in one["attributes"] if index is not None
        ]


@contextmanager
def receiving(receiver: Receiver | None = None, *, port: int = 0) -> Iterator[Receiver]:
    receiver = receiver or Receiver()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.requests += 1
            status = receiver.answers.pop(0) if receiver.answers else 200
            key = self.headers["dbre-stream"], int(self.headers["dbre-sequence"])
            if status == 200 or receiver.takes_and_fails:
                receiver.batches.setdefault(key, json.loads(body))
            self.send_response(status)
            if status == 503:
                self.send_header("Retry-After", "1")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Quiet."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    receiver.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join(30)
