"""A witness against an old state database, a fork, and people who meddle with the witness itself."""

import asyncio
import json
import shutil
import stat
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from audit_kit import draft, tamper

from dbre.core.audit.checkpoint import sign_checkpoint
from dbre.core.audit.checkpointer import Checkpointer
from dbre.core.audit.checkpoints import Growth, checkpoint_now, growth_since
from dbre.core.audit.documents import growth_document, read_growth
from dbre.core.audit.errors import (
    AuditRolledBack,
    CheckpointRefused,
    NoteInvalid,
    ProofInvalid,
    SigningKeyInvalid,
    WitnessStateInvalid,
)
from dbre.core.audit.keys import load_key_file, load_or_create_key_file
from dbre.core.audit.log import AuditLog
from dbre.core.audit.signed_note import SigningKey
from dbre.core.audit.sources import DocumentSource, HttpSource, StoreSource
from dbre.core.audit.verification import verify_log
from dbre.core.audit.witness import Witness, require_witnessed, witnessed
from dbre.core.errors import DbreError, Denied, ExitCode, Unreachable
from dbre.core.secrets import Secret
from dbre.core.store import Store
from dbre.lab.postgres import PostgresServer
from dbre.testing.clock import FakeClock

KEY = SigningKey.generate("log.example/audit")
CLOCK = FakeClock()
LOG = AuditLog(CLOCK)


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness.open(tmp_path / "witness", KEY.verifier, name="witness.example")


async def grow(store: Store, first: int, count: int) -> None:
    await LOG.append(store, *(draft(first + one) for one in range(count)))
    await checkpoint_now(store, KEY, CLOCK)


async def look(store: Store, witness: Witness) -> int:
    """One visit of the witness; the size that it signed."""
    known = witness.known()
    growth = await StoreSource(store, KEY.verifier).growth(known.size if known else 0)
    assert growth is not None
    cosigned = witness.accept(growth, CLOCK)
    assert witness.key.verifier.verify(cosigned) == int(CLOCK.now().timestamp())
    KEY.verifier.verify(cosigned)
    return growth.checkpoint.size


async def test_a_log_that_only_grows_is_signed_each_time(store: Store, witness: Witness) -> None:
    sizes = []
    for turn in range(4):
        await grow(store, 10 * turn, turn + 1)
        sizes.append(await look(store, witness))
    assert sizes == [1, 3, 6, 10]
    assert await look(store, witness) == 10  # nothing new: signed again, with a later time
    async with store.read() as connection:
        assert (await require_witnessed(connection, witness.directory, KEY.verifier)) is not None


async def copy_of(place, server: PostgresServer | None, tmp_path: Path) -> Callable[[], Awaitable[None]]:
    """Copy the store, as a backup does; what is given puts the copy back in its place."""
    if server is None:
        copy = Path(shutil.copy(place.path, tmp_path / "old.db"))

        async def put_back() -> None:
            shutil.copy(copy, place.path)

        return put_back
    name = place.url.rpartition("/")[2]
    async with await server.connect() as admin:
        await admin.execute(f"CREATE DATABASE {name}_old TEMPLATE {name}")

    async def restore() -> None:
        async with await server.connect() as admin:
            await admin.execute(f"DROP DATABASE {name} WITH (FORCE)")
            await admin.execute(f"ALTER DATABASE {name}_old RENAME TO {name}")

    return restore


async def test_an_old_state_store_put_back_in_place_is_noticed(place, state_server, witness: Witness, tmp_path: Path) -> None:
    async with place.open(migrate=True) as store:
        await grow(store, 0, 5)
        await look(store, witness)
    restore = await copy_of(place, state_server, tmp_path)
    async with place.open() as store:
        await grow(store, 5, 5)
        await look(store, witness)
    await restore()  # last night's backup
    async with place.open() as store:
        assert (await verify_log(store, [KEY.verifier])).findings == []  # the store itself knows nothing
        with pytest.raises(CheckpointRefused, match="has shrunk from 10 to 5 entries: not signed") as caught:
            await look(store, witness)
        assert caught.value.exit_code is ExitCode.REFUSED
        known = witness.known()
        assert known is not None
        (one,) = (await verify_log(store, [KEY.verifier], known=[("the witness", known)])).findings
        assert (one.rule, one.subject) == ("audit.log_truncated", "audit/entry/5-9")
        await _the_control_plane_does_not_sign_it(store, witness)
        await grow(store, 100, 7)  # longer again, with another past
        with pytest.raises(CheckpointRefused, match="does not begin with the 10 known here"):
            await look(store, witness)
        assert known == witness.known()  # what was remembered stays


async def _the_control_plane_does_not_sign_it(store: Store, witness: Witness) -> None:
    told: list[str] = []
    heard = asyncio.Event()

    def hear(error: DbreError) -> None:
        told.append(error.code)
        heard.set()

    clock = FakeClock()
    watched = Checkpointer(store, KEY, clock, witness=witness.directory, on_problem=hear)
    running = asyncio.create_task(watched.run())
    async with asyncio.timeout(10):
        await heard.wait()
        await clock.advance(3)
    running.cancel()
    assert told == ["audit.rolled_back"]  # once
    assert watched.problem is not None
    with pytest.raises(AuditRolledBack, match=r"witness .* says it had 10"):
        await watched.checkpoint_now()


async def test_a_truncated_log_is_refused_on_every_store(store: Store, witness: Witness) -> None:
    await grow(store, 0, 9)
    await look(store, witness)
    await tamper(store, "DELETE FROM audit_entry WHERE entry_index >= 4")
    await tamper(store, "DELETE FROM audit_checkpoint")
    await checkpoint_now(store, KEY, CLOCK)
    with pytest.raises(CheckpointRefused, match="shrunk from 9 to 4"):
        await look(store, witness)
    async with store.read() as connection:
        with pytest.raises(AuditRolledBack, match="has 4 entries, and witness"):
            await require_witnessed(connection, witness.directory, KEY.verifier)


async def test_a_rewritten_log_of_the_same_length_is_refused(store: Store, witness: Witness) -> None:
    await grow(store, 0, 9)
    await look(store, witness)
    await tamper(store, "DELETE FROM audit_entry")
    await tamper(store, "DELETE FROM audit_checkpoint")
    await grow(store, 50, 9)
    with pytest.raises(CheckpointRefused, match="does not begin with"):
        await look(store, witness)


async def test_a_proof_that_begins_elsewhere_or_is_missing_is_no_proof(store: Store, witness: Witness) -> None:
    await grow(store, 0, 5)
    await look(store, witness)
    await grow(store, 5, 5)
    async with store.read() as connection:
        growth = await growth_since(connection, 3, KEY.verifier)
    assert growth is not None
    with pytest.raises(ProofInvalid, match="begins at 3 entries, and this witness knows 5"):
        witness.accept(growth, CLOCK)
    with pytest.raises(CheckpointRefused):
        witness.accept(Growth(checkpoint=growth.checkpoint, since=5, proof=()), CLOCK)
    with pytest.raises(CheckpointRefused):
        witness.accept(Growth(checkpoint=growth.checkpoint, since=5, proof=growth.proof), CLOCK)


def test_another_log_is_never_signed(witness: Witness) -> None:
    other = SigningKey.generate("other.example/audit")
    made = sign_checkpoint(other, size=1, root=bytes(32))
    with pytest.raises(NoteInvalid, match=r"not of log\.example/audit"):
        witness.accept(Growth(checkpoint=made, since=0, proof=()), CLOCK)


def test_an_empty_log_proves_nothing_about_the_next(witness: Witness) -> None:
    empty = sign_checkpoint(KEY, size=0, root=bytes(32))
    witness.accept(Growth(checkpoint=empty, since=0, proof=()), CLOCK)
    one = sign_checkpoint(KEY, size=1, root=bytes([7]) * 32)
    witness.accept(Growth(checkpoint=one, since=0, proof=()), CLOCK)
    with pytest.raises(CheckpointRefused, match="shrunk from 1 to 0"):
        witness.accept(Growth(checkpoint=empty, since=0, proof=()), CLOCK)


@pytest.mark.parametrize("change", ["size", "note", "cut", "type"])
async def test_a_witness_whose_memory_was_changed_signs_nothing(store: Store, witness: Witness, change: str) -> None:
    await grow(store, 0, 5)
    await look(store, witness)
    (path,) = witness.directory.glob("*.json")
    state = json.loads(path.read_text())
    changed = {
        "size": json.dumps(state | {"size": 3}),
        "note": json.dumps(state | {"note": state["note"].replace("\n5\n", "\n3\n")}),
        "cut": path.read_text()[:40],
        "type": "[]",
    }
    path.write_text(changed[change])
    with pytest.raises(WitnessStateInvalid):
        await look(store, witness)


def test_the_key_of_the_witness_is_made_once_and_is_nobody_else_s(witness: Witness) -> None:
    path = witness.directory / "witness.key"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert Witness.open(witness.directory, KEY.verifier, name="x").key == witness.key
    path.chmod(0o644)
    with pytest.raises(SigningKeyInvalid, match="others can read it"):
        Witness.open(witness.directory, KEY.verifier, name="x")
    path.unlink()
    path.write_text(KEY.reveal())
    path.chmod(0o600)
    with pytest.raises(SigningKeyInvalid, match="not the key of a witness"):
        Witness.open(witness.directory, KEY.verifier, name="x")


async def test_the_signing_key_is_made_once_however_many_ask_at_once(tmp_path: Path) -> None:
    path = tmp_path / "dbre.audit-key"
    assert load_key_file(path) is None
    made = await asyncio.gather(*(asyncio.to_thread(load_or_create_key_file, path) for _ in range(8)))
    assert len({one.seed for one in made}) == 1
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [one.name for one in tmp_path.iterdir()] == ["dbre.audit-key"]
    path.write_text("PRIVATE+KEY+nonsense")
    with pytest.raises(SigningKeyInvalid):
        load_or_create_key_file(path)  # never replaced


async def test_a_checkpointer_signs_what_was_appended_and_nothing_twice(store: Store) -> None:
    clock = FakeClock()
    signs = Checkpointer(store, KEY, clock)
    assert await signs.checkpoint_now() is None
    await LOG.append(store, draft(1))
    first, second = await signs.checkpoint_now(), await signs.checkpoint_now()
    assert first is not None
    assert (first.size, str(second)) == (1, str(first))
    running = asyncio.create_task(signs.run())
    async with asyncio.timeout(10):
        await LOG.append(store, draft(2))
        while (found := await StoreSource(store, KEY.verifier).growth(0)) is None or found.checkpoint.size < 2:
            await clock.advance(1)
            await asyncio.sleep(0.01)
    running.cancel()


@contextmanager
def served(answers: dict[str, tuple[int, str]]) -> Iterator[str]:
    """An HTTP server on loopback that answers each path with query."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            allowed = self.headers.get("Authorization") == "Bearer right"
            status, body = answers.get(self.path, (404, "")) if allowed else (401, "")
            self.send_response(status)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


async def test_checkpoints_come_over_http_and_from_documents(store: Store, witness: Witness, tmp_path: Path) -> None:
    await grow(store, 0, 5)
    async with store.read() as connection:
        growth = await growth_since(connection, 3, KEY.verifier)
    assert growth is not None
    text = json.dumps(growth_document(growth))
    with served({"/api/v1/audit/checkpoint?since=3": (200, text), "/api/v1/audit/checkpoint?since=0": (204, "")}) as url:
        source = HttpSource(url + "/", KEY.verifier, token=Secret("right"))
        assert await source.growth(3) == growth
        assert await source.growth(0) is None
        with pytest.raises(ProofInvalid, match="answered 404"):
            await source.growth(9)
        with pytest.raises(Denied):
            await HttpSource(url, KEY.verifier, token=Secret("wrong")).growth(3)
    with pytest.raises(Unreachable):
        await HttpSource(url, KEY.verifier).growth(3)
    (tmp_path / "growth.json").write_text(text)
    assert await DocumentSource(str(tmp_path / "growth.json"), KEY.verifier).growth(0) == growth


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"since": 3', '"since": -3'),
        ('"since": 3', '"since": true'),
        ('"since": 3', '"since": 3, "since": 3'),
        ('"since": 3', '"since": 3, "more": 3'),
        ('"since": 3, ', ""),
        ("dbre-audit-growth/v1", "dbre-audit-growth/v2"),
        ('"proof": ["', '"proof": ["AA'),
        ('"proof": ["', '"proof": ["AA==", "'),
        ('"proof": [', '"proof": [7, '),
        ('"proof": ["', '"proof": ["' + '", "'.join(["A" * 43 + "="] * 200) + '", "'),
        ("{", "["),
    ],
)
async def test_a_document_with_anything_else_in_it_is_refused(file_place, old: str, new: str) -> None:
    async with file_place.open(migrate=True) as store:
        await grow(store, 0, 5)
        async with store.read() as connection:
            growth = await growth_since(connection, 3, KEY.verifier)
    assert growth is not None
    text = json.dumps(growth_document(growth))
    assert read_growth(text, KEY.verifier) == growth
    assert old in text
    with pytest.raises((ProofInvalid, NoteInvalid)):
        read_growth(text.replace(old, new, 1), KEY.verifier)


def test_a_witness_that_knows_nothing_says_so(tmp_path: Path) -> None:
    assert witnessed(tmp_path, KEY.verifier) is None
