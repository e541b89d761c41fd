"""However the messages of PostgreSQL are cut, they come out as they went in, and the error meant for a unit gets that unit."""

import struct
from random import Random

import pytest

from dbre.engines.postgres.wire import PostgresWire
from dbre.ports.wire import PASS, Decision, InjectedError, Passed, Request, TlsRequest

_UNITS, _WRONG = 40, b"XX000"
_FAILED = Decision(error=InjectedError(code="40001", message="so it was wanted"))


def message(kind: bytes, body: bytes = b"") -> bytes:
    return kind + struct.pack(">I", len(body) + 4) + body


READY = message(b"Z", b"I")
LOOKS_READY = message(b"D", b"\0\1\0\0\0\5Z\0\0\0\5I" + READY)  # a row that holds what ends an answer


def cut(data: bytes, chance: Random, longest: int) -> list[bytes]:
    pieces, at = [], 0
    while at < len(data):
        size = chance.randint(1, longest)
        pieces.append(data[at : at + size])
        at += size
    return pieces


def passed_on(data: bytes, passed: Passed | None) -> bytes:
    return data if passed is None else b"".join(piece for _, piece in passed.onward)


def answer(number: int, *, is_failed: bool) -> bytes:
    if is_failed:
        return message(b"E", b"SERROR\0C" + _WRONG + b"\0Mno such statement\0\0") + READY
    row = LOOKS_READY if number % 3 else message(b"D", b"\0\1" + bytes(number))
    return message(b"T", b"\0\1a\0" + bytes(18)) + row + message(b"C", b"SELECT 1\0") + READY


@pytest.mark.parametrize("longest", [1, 3, 7, 60, 4096], ids=lambda size: f"pieces of {size}")
def test_messages_that_are_cut_anywhere(longest: int) -> None:
    chance, asked = Random(longest), []

    def decide(request: Request) -> Decision:
        asked.append(request.text)
        return _FAILED if "poison" in request.text else PASS

    session = PostgresWire().session(decide, TlsRequest.REFUSE)
    start = b"user\0anna\0database\0shop\0\0"
    session.from_client(struct.pack(">II", len(start) + 8, 196608) + start)
    session.from_server(message(b"R", bytes(4)) + READY)
    texts = [f"SELECT {number}{' poison' if number % 7 == 3 else ''}" for number in range(_UNITS)]
    sent = b"".join(message(b"Q", text.encode() + b"\0") for text in texts)
    out = b"".join(passed_on(piece, session.from_client(piece)) for piece in cut(sent, chance, longest))
    assert asked == texts
    assert out.count(b"dbre_injected_fault") == sum("poison" in one for one in texts)
    answers = [answer(number, is_failed="poison" in text) for number, text in enumerate(texts)]
    told = b"".join(passed_on(piece, session.from_server(piece)) for piece in cut(b"".join(answers), chance, longest))
    assert _WRONG not in told
    assert told.count(b"C40001") == sum("poison" in one for one in texts)
    assert told.count(READY) == b"".join(answers).count(READY)
    assert session.why_opaque == ""


def test_answers_that_come_one_by_one_keep_their_units() -> None:
    """As a server sends them: the short way for all but the one that fails."""
    session = PostgresWire().session(lambda request: _FAILED if "poison" in request.text else PASS, TlsRequest.REFUSE)
    start = b"user\0anna\0\0"
    session.from_client(struct.pack(">II", len(start) + 8, 196608) + start)
    session.from_server(message(b"R", bytes(4)) + READY)
    for number in range(_UNITS):
        is_failed = number % 5 == 0
        query = message(b"Q", b"SELECT poison\0" if is_failed else b"SELECT 1\0")
        assert (session.from_client(query) is None) is not is_failed
        given = answer(number, is_failed=is_failed)
        found = session.from_server(given)
        assert (found is None) is not is_failed
        assert (b"C40001" in passed_on(given, found)) is is_failed
