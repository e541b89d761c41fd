import asyncio

import pytest
from otlp_kit import KeepingIntake, receiver_for, traces

from dbre.capabilities.slo.ingest.otlp.errors import OtlpRefusal
from dbre.capabilities.slo.ingest.otlp.judging import judge
from dbre.capabilities.slo.ingest.otlp.remembered import Remembered
from dbre.client.outcome import Outcome
from dbre.core.errors import Unreachable

PG = {"db.system.name": "postgresql"}


@pytest.mark.parametrize(
    ("attributes", "told", "outcome"),
    [
        (PG, {"has_failed": False}, Outcome.GOOD),
        (PG, {"has_failed": True}, Outcome.BAD),  # nothing excuses it
        ({**PG, "db.response.status_code": "23505"}, {"has_failed": True}, Outcome.INVALID),
        ({**PG, "db.response.status_code": "53300"}, {"has_failed": True}, Outcome.BAD),
        ({**PG, "db.response.status_code": "00000"}, {"has_failed": False}, Outcome.GOOD),
        ({"db.system": "postgresql", "db.response.status_code": "42P01"}, {"has_failed": True}, Outcome.INVALID),  # old name
        ({**PG, "error.type": "UniqueViolation"}, {"has_failed": False}, Outcome.INVALID),
        ({**PG, "error.type": "08006"}, {"has_failed": False}, Outcome.BAD),
        (PG, {"has_failed": True, "exceptions": [("psycopg.errors.UndefinedTable", "no")]}, Outcome.INVALID),
        (PG, {"has_failed": True, "exceptions": [("asyncpg.exceptions.DeadlockDetectedError", "")]}, Outcome.BAD),
        (PG, {"has_failed": True, "description": "(psycopg.errors.NotNullViolation) null value"}, Outcome.INVALID),
        (
            PG,
            {"has_failed": True, "exceptions": [("psycopg.errors.QueryCanceled", "canceling statement due to user request")]},
            Outcome.INVALID,
        ),
        (
            {"db.system.name": "mysql"},
            {"has_failed": True, "description": "(pymysql.err.IntegrityError) (1062, 'Duplicate entry')"},
            Outcome.INVALID,
        ),
        ({"db.system.name": "mysql"}, {"has_failed": True, "description": "1213 (40001): Deadlock found"}, Outcome.BAD),
        (
            {"db.system.name": "redis"},
            {"has_failed": True, "exceptions": [("redis.exceptions.ResponseError", "WRONGTYPE Operation against")]},
            Outcome.INVALID,
        ),
        ({"service.name": "shop"}, {"has_failed": True, "exceptions": [("shop.CheckoutFailed", "")]}, Outcome.BAD),
    ],
)
def test_the_database_is_blamed_only_for_its_own_faults(attributes, told, outcome):
    assert judge(attributes, **told) is outcome


async def test_spans_become_events_with_the_attributes_that_are_wanted():
    intake = KeepingIntake()
    unique = {"db.system": "postgresql", "db.name": "app", "db.response.status_code": "23505", "db.statement": "INSERT"}
    request = traces({"ms": 12}, {"failed": True}, {"failed": True, "attributes": unique})
    taken = await receiver_for(intake).traces(request.SerializeToString(), is_json=False, producer="shop")
    same = {"db.system.name": "postgresql", "db.namespace": "app", "service.name": "shop"}
    assert taken.rejected == 0
    assert [(good, valid) for good, valid, *_ in intake.events()] == [(True, True), (False, True), (False, False)]
    assert [attributes for *_, attributes in intake.events()] == [same, same, same]
    assert intake.events()[0][2] == pytest.approx(12)
    assert len(intake.batches[0].attribute_sets) == 1


async def test_spans_that_nobody_asks_for_are_not_kept():
    intake = KeepingIntake()
    request = traces({"attributes": {"http.route": "/"}}, resource={"host.name": "h"})
    taken = await receiver_for(intake).traces(request.SerializeToString(), is_json=False, producer="shop")
    assert taken.rejected == 0
    assert not intake.batches


async def test_a_span_that_is_sent_again_is_counted_once():
    intake = KeepingIntake()
    receiver = receiver_for(intake)
    body = traces({"id": 1}, {"id": 2}).SerializeToString()
    await receiver.traces(body, is_json=False, producer="shop")
    await receiver.traces(body, is_json=False, producer="shop")
    await receiver.traces(traces({"id": 2}, {"id": 3}).SerializeToString(), is_json=False, producer="shop")
    assert len(intake.events()) == 3


async def test_a_span_twice_in_one_request_is_counted_once():
    intake = KeepingIntake()
    await receiver_for(intake).traces(traces({"id": 1}, {"id": 1}).SerializeToString(), is_json=False, producer="shop")
    assert len(intake.events()) == 1


async def test_what_could_not_be_stored_is_counted_when_it_is_sent_again():
    async def refuse() -> None:
        raise Unreachable("the disk is full")

    intake = KeepingIntake(before=refuse)
    receiver = receiver_for(intake)
    body = traces({"id": 1}).SerializeToString()
    with pytest.raises(Unreachable):
        await receiver.traces(body, is_json=False, producer="shop")
    intake.before = None
    await receiver.traces(body, is_json=False, producer="shop")
    assert len(intake.events()) == 1


async def test_the_same_spans_at_the_same_time_wait_for_the_first_to_be_durable():
    stored, asked = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        asked.set()
        await asyncio.wait_for(stored.wait(), 30)

    intake = KeepingIntake(before=wait)
    receiver = receiver_for(intake)
    body = traces({"id": 1}).SerializeToString()
    first = asyncio.ensure_future(receiver.traces(body, is_json=False, producer="shop"))
    await asyncio.wait_for(asked.wait(), 30)
    with pytest.raises(OtlpRefusal) as refused:
        await receiver.traces(body, is_json=False, producer="shop")
    assert refused.value.status == 503
    stored.set()
    await first
    await receiver.traces(body, is_json=False, producer="shop")
    assert len(intake.events()) == 1


async def test_a_span_that_makes_no_sense_is_left_out_and_the_sender_told():
    intake = KeepingIntake()
    request = traces({"id": 1}, {"id": 2}, {"id": 3})
    spans = request.resource_spans[0].scope_spans[0].spans
    spans[1].trace_id = b"short"
    spans[2].end_time_unix_nano = spans[2].start_time_unix_nano - 1
    taken = await receiver_for(intake).traces(request.SerializeToString(), is_json=False, producer="shop")
    assert taken.rejected == 2
    assert "trace id" in taken.message
    assert "ends before it starts" in taken.message
    assert len(intake.events()) == 1


async def test_a_span_may_name_its_slo_itself():
    intake = KeepingIntake()
    request = traces({"attributes": {"dbre.slo": "checkout@main"}}, resource={"host.name": "h"})
    await receiver_for(intake).traces(request.SerializeToString(), is_json=False, producer="shop")
    assert list(intake.batches[0].slo) == ["checkout@main"]


def test_keys_are_remembered_within_a_limit():
    known = Remembered(10)
    keys = [bytes([number]) for number in range(100)]
    for key in keys:
        known.add([key])
        assert len(known) <= 10
    assert all(key in known for key in keys[-5:])
    assert keys[0] not in known
