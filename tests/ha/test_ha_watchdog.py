"""A watchdog kills a server that nobody vouches for, and no other one."""

import asyncio
import os
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from failover_kit import CLOCK, OBSERVERS, Shop, fleet_with_control
from ha_live import until
from hypothesis import given
from hypothesis import strategies as st

from dbre.capabilities.ha.config_document import HaDocument
from dbre.capabilities.ha.detection.observer import Observer
from dbre.capabilities.ha.detection.observing import observe
from dbre.capabilities.ha.watchdog.beacon import Beacon, Word, read_beacon, write_beacon
from dbre.capabilities.ha.watchdog.keepalives import Keepalives
from dbre.capabilities.ha.watchdog.killing import see_directory
from dbre.capabilities.ha.watchdog.native import settings_of
from dbre.capabilities.ha.watchdog.running import make_pipe, watch_pipe, watch_vouching
from dbre.capabilities.ha.watchdog.sending import sender_for
from dbre.capabilities.ha.watchdog.vouching import Vouching
from dbre.core.errors import Denied, Unsupported, UsageError
from dbre.core.secrets import Secret
from dbre.core.store import Store, open_store
from dbre.lab.redis import RedisServer
from dbre.lab.site import Site
from dbre.testing.fixtures import leave_out, running

SECRET = Secret("beacons-in-tests")


@given(st.lists(st.sampled_from([b"1", b"V", b"Ctimeout=7\n", b"Ctimeout=20\n", b"\0"]), max_size=6), st.data())
def test_it_does_not_matter_how_keepalives_are_cut_into_pieces(words: list[bytes], data: st.DataObject) -> None:
    whole, pieces = Keepalives(timeout_seconds=15.0), Keepalives(timeout_seconds=15.0)
    stream = b"".join(words)
    for one in words:
        whole.take(one, 100.0)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(stream)))))
    for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        pieces.take(stream[begin:end], 100.0)
    assert pieces.timeout_seconds == whole.timeout_seconds
    assert (pieces.deadline is None) == (whole.deadline is None)
    if words:
        assert (whole.deadline is None) == (words[-1] == b"V")


def word(observer: str, number: int, said: Word = Word.HOLD, *, run: str = "r", instance: str = "n1") -> Beacon:
    return Beacon(cluster="shop", instance=instance, observer=observer, run=run, number=number, word=said)


def test_a_majority_vouches_again_and_again() -> None:
    found = Vouching(OBSERVERS, instance="n1", after_seconds=10.0)
    assert found.take(word("a", 1), 0.0)
    assert not found.is_armed
    assert found.take(word("b", 1), 1.0)
    assert found.is_armed
    assert not found.expired(9.9)
    assert found.expired(10.0)  # a was heard at 0: now one of three vouches
    assert found.take(word("c", 1), 10.5)
    assert not found.expired(10.5)
    for observer in "ab":
        assert found.take(word(observer, 2, Word.FREE), 10.6)
    assert not found.is_armed  # a replica needs nobody


def test_words_of_strangers_and_of_yesterday_do_not_count() -> None:
    found = Vouching(OBSERVERS, instance="n1", after_seconds=10.0)
    assert found.take(word("a", 5), 0.0)
    assert not found.take(word("a", 5), 1.0)
    assert not found.take(word("a", 4), 1.0)
    assert found.take(word("a", 1, run="s"), 1.0)
    assert not found.take(word("a", 6), 1.0)  # of the run before
    assert not found.take(word("z", 1), 1.0)
    assert not found.take(word("b", 1, instance="n2"), 1.0)
    one = word("b", 7)
    data = write_beacon(one, SECRET)
    assert read_beacon(data, SECRET) == one
    assert read_beacon(data, Secret("another")) is None
    assert read_beacon(data[:-1] + b"!", SECRET) is None
    assert read_beacon(b"", SECRET) is None
    assert read_beacon(b"x" * 5000, SECRET) is None


@contextmanager
def at_work(run: object, *given_: object, **named: object) -> Iterator[None]:
    over = threading.Event()
    thread = threading.Thread(target=run, args=given_, kwargs={**named, "is_over": over.is_set})  # type: ignore[arg-type]
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(60)
        assert not thread.is_alive()


def gone(server: RedisServer) -> bool:
    end = time.monotonic() + 60
    while server.processes() and time.monotonic() < end:
        time.sleep(0.05)
    return not server.processes()


@pytest.fixture
async def server(redis_server: RedisServer, lab_site: Site) -> AsyncIterator[RedisServer]:
    async with running(RedisServer("watched", lab_site, program=redis_server.program)) as one:
        yield one


async def test_silence_of_patroni_kills_the_server(server: RedisServer, tmp_path: Path) -> None:
    pipe = tmp_path / "watchdog"
    make_pipe(pipe, owner=os.geteuid(), group=os.getegid())
    assert (pipe.stat().st_mode & 0o777) == 0o600
    with at_work(watch_pipe, pipe, server.data_directory, timeout_seconds=300.0):
        with pipe.open("wb", buffering=0) as writer:  # as Patroni does it: opened, set, fed, closed with a V
            writer.write(b"Ctimeout=1\n")
            writer.write(b"1")
            writer.write(b"V")
        await asyncio.sleep(1.5)
        assert server.is_running  # it was switched off
        with pipe.open("wb", buffering=0) as writer:
            writer.write(b"Ctimeout=1\n1")
        assert await asyncio.to_thread(gone, server)  # it ended without a word
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="is not a named pipe"):
        make_pipe(tmp_path / "file", owner=os.geteuid(), group=os.getegid())


async def test_a_primary_that_its_observers_lost_is_killed_and_its_replica_is_not(
    redis_server: RedisServer, lab_site: Site, tmp_path: Path
) -> None:
    secret = tmp_path / "secret"
    secret.write_text("beacons-in-tests")
    secret.chmod(0o600)
    failover = {
        "observers": list(OBSERVERS),
        "beacon": {"port": free_port(), "secret": f"file:{secret}"},
        "fence": [{"kind": "self_fence", "after": "2s", "margin": "1s"}],
    }
    settings = HaDocument.model_validate({"clusters": [{"cluster": "shop", "failover": failover}]})
    async with (
        open_store(f"sqlite:///{tmp_path / 'state.db'}", clock=CLOCK, exclusive=True, migrate=True) as store,
        running(RedisServer("vouched", lab_site, program=redis_server.program)) as first,
        running(RedisServer("freed", lab_site, program=redis_server.program, replica_of=first)) as second,
    ):
        fleet = fleet_with_control("redis", {"n1": first, "n2": second})
        shop = Shop(fleet=fleet, store=store, failover=failover)
        found = await settings_of(fleet, settings, "n1", listen="127.0.0.1")

        async def is_armed() -> bool:
            return found.vouching.is_armed

        with at_work(watch_vouching, found.address, found.directory, found.vouching, found.secret):
            tasks = [asyncio.create_task(vouching(shop, settings, store, name)) for name in OBSERVERS]
            await shop.until_healthy()
            await until(is_armed, lambda armed: armed)
            await asyncio.sleep(3.0)
            assert first.is_running
            for one in tasks[:2]:  # a majority hears it no more
                one.cancel()
            assert await asyncio.to_thread(gone, first)
            assert second.is_running
            for one in tasks[2:]:
                one.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def vouching(shop: Shop, settings: HaDocument, store: Store, name: str) -> None:
    sender = await sender_for(settings, shop.cluster, name)
    assert sender is not None
    observer = Observer(shop.ground.engines, shop.fleet, shop.cluster, CLOCK, name=name)
    await observe(observer, store, CLOCK, every_seconds=0.2, vouch=sender.send)


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def test_whoever_may_not_kill_the_server_is_no_watchdog() -> None:
    if os.geteuid() != 0:
        leave_out(Unsupported("another user's directory needs root", hint="run the tests as root"))
    assert see_directory(Path("/root")) == Path("/root")
    child = os.fork()
    if child == 0:
        os.setuid(65_534)
        try:
            see_directory(Path("/root"))
        except Denied:
            os._exit(7)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
