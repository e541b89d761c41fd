import os
import socket
import subprocess
import sys
import time

import pytest
from client_kit import receiving

from dbre.client import Outcome, Reporter


def reporter_for(url: str, **options: object) -> Reporter:
    return Reporter(url, token="t", interval_seconds=0.02, timeout_seconds=20, **options)  # type: ignore[arg-type]


def nobody() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}"


def test_events_arrive_in_batches():
    with receiving() as receiver:
        reporter = reporter_for(receiver.url, slo="checkout@main", batch_events=100)
        for number in range(250):
            reporter.record(number % 10 != 0, duration_seconds=0.01)
        reporter.record(Outcome.INVALID)
        assert reporter.close(30)
    assert len(receiver.events) == 251
    assert receiver.events.count((False, True)) == 25
    assert receiver.events.count((False, False)) == 1
    assert len({stream for stream, _ in receiver.batches}) == 1
    assert sorted(sequence for _, sequence in receiver.batches) == list(range(1, len(receiver.batches) + 1))
    assert reporter.counts.sent == 251


def test_a_block_is_measured_and_its_error_goes_on():
    with receiving() as receiver:
        reporter = reporter_for(receiver.url)
        with reporter.observe(attributes={"db.namespace": "app"}):
            pass
        with pytest.raises(TimeoutError), reporter.observe(attributes={"db.namespace": "app"}):
            raise TimeoutError
        with pytest.raises(KeyError), reporter.observe(attributes={"db.namespace": "app"}):
            raise KeyError
        assert reporter.close(30)
    assert receiver.events == [(True, True), (False, True), (False, False)]
    assert receiver.described == [{"db.namespace": "app"}] * 3


@pytest.mark.parametrize("status", [503, 429, 500])
def test_what_is_not_taken_now_is_sent_again_under_its_number(status):
    with receiving() as receiver:
        receiver.answers = [status, status]
        receiver.takes_and_fails = True
        reporter = reporter_for(receiver.url, slo="a@b")
        reporter.record(True)
        assert reporter.close(60)
    assert receiver.requests == 3
    assert len(receiver.events) == 1


def test_what_is_refused_is_given_up_and_told():
    with receiving() as receiver:
        receiver.answers = [401]
        reporter = reporter_for(receiver.url, slo="a@b")
        reporter.record(True)
        assert reporter.flush(30)
        reporter.record(True)
        assert reporter.close(30)
    assert reporter.counts.refused == 1
    assert reporter.counts.sent == 1
    assert "401" in reporter.counts.last_problem
    assert "sent=1, dropped=0, refused=1" in repr(reporter.counts)


def test_memory_is_bounded_while_nobody_answers():
    reporter = reporter_for(nobody(), slo="a@b", max_events=1_000, batch_events=100)
    for _ in range(5_000):
        reporter.record(True)
    assert reporter.counts.dropped >= 5_000 - 1_000 - 100
    assert reporter.counts.recorded == 5_000
    assert not reporter.close(0.1)


def test_a_receiver_that_hangs_blocks_nobody():
    with socket.create_server(("127.0.0.1", 0)) as silent:
        reporter = reporter_for(f"http://127.0.0.1:{silent.getsockname()[1]}", slo="a@b", batch_events=10)
        slowest = 0.0
        for _ in range(1_000):
            began = time.thread_time()  # CPU of this thread: whether the machine is busy does not matter
            reporter.record(True)
            slowest = max(slowest, time.thread_time() - began)
        assert reporter.counts.recorded == 1_000
        assert slowest < 1.0
        assert not reporter.close(0.1)


def test_the_spool_survives_the_application(tmp_path):
    with receiving() as receiver:
        url = receiver.url
    first = reporter_for(url, slo="a@b", spool_directory=tmp_path, batch_events=100)  # nobody listens any more
    for _ in range(250):
        first.record(True)
    first.close(1)
    kept = sorted(tmp_path.iterdir())
    assert sum(int(path.stem.split("_")[2]) for path in kept) == 250
    assert all(path.stat().st_mode & 0o077 == 0 for path in kept)
    with receiving(receiver, port=int(url.rpartition(":")[2])):
        second = reporter_for(url, slo="a@b", spool_directory=tmp_path)
        second.record(False)
        assert second.close(60)
    assert len(receiver.events) == 251
    assert not list(tmp_path.iterdir())


def test_the_spool_is_bounded(tmp_path):
    reporter = reporter_for(nobody(), slo="a@b", spool_directory=tmp_path, spool_bytes=20_000, batch_events=50)
    for _ in range(5_000):
        reporter.record(True)
    reporter.close(0.2)
    assert sum(path.stat().st_size for path in tmp_path.iterdir()) <= 20_000
    kept = sum(int(path.stem.split("_")[2]) for path in tmp_path.iterdir())
    assert kept + reporter.counts.dropped == 5_000


def test_nonsense_never_reaches_the_application():
    class Hostile(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

    reporter = reporter_for(nobody(), slo="a@b")
    reporter.record(None, duration_seconds="soon")  # type: ignore[arg-type]
    reporter.record_error(Hostile())
    assert reporter.counts.recorded == 1
    assert reporter.counts.dropped == 1
    reporter.close(0.1)


def test_a_child_process_begins_anew():
    with receiving() as receiver:
        reporter = reporter_for(receiver.url, slo="a@b", batch_events=1_000)
        reporter.record(True)
        child = os.fork()
        if child == 0:
            reporter.record(False)
            os._exit(0 if reporter.flush(30) and reporter.counts.sent == 1 else 1)
        assert os.waitpid(child, 0)[1] == 0
        assert reporter.close(30)
    assert sorted(receiver.events) == [(False, True), (True, True)]
    assert len({stream for stream, _ in receiver.batches}) == 2


def test_events_are_sent_when_the_application_ends():
    with receiving() as receiver:
        program = f"from dbre.client import Reporter; Reporter({receiver.url!r}, token='t', slo='a@b').record(True)"
        subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
    assert len(receiver.events) == 1


def test_the_client_needs_nothing_else_of_dbre():
    program = (
        "import sys, dbre.client; "
        "loaded = {name.split('.')[1] for name in sys.modules if name.startswith('dbre.')}; "
        "assert loaded == {'client'}, loaded; "
        "assert not {'pydantic', 'sqlalchemy', 'psycopg', 'structlog'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
