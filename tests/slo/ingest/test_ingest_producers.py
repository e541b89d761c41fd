"""Producers: a token each, kept as a hash, ended within seconds, and everything audited."""

import asyncio

import pytest
from ingest_kit import NOW
from sqlalchemy import select

from dbre.capabilities.slo.ingest.errors import IntakeUnavailable
from dbre.capabilities.slo.ingest.producers import Admission, add_producer, list_producers, revoke_producer
from dbre.capabilities.slo.ingest.tables import ingest_producers
from dbre.core.audit import tables as audit_tables
from dbre.core.audit.log import AuditLog
from dbre.core.errors import Conflict, Denied, StoreError, UsageError
from dbre.core.identity.model import Grant, Principal, PrincipalKind, Role
from dbre.core.identity.tokens import make_token
from dbre.testing.clock import FakeClock

ADMIN = Principal(name="alice", kind=PrincipalKind.PERSON, grants=(Grant(role=Role.ADMIN),))
VIEWER = Principal(name="eve", kind=PrincipalKind.PERSON, grants=(Grant(role=Role.VIEWER),))


async def add(store, name="checkout", principal=ADMIN):
    clock = FakeClock(NOW)
    return await add_producer(store, AuditLog(clock), clock, principal, name)


async def revoke(store, name="checkout", principal=ADMIN):
    clock = FakeClock(NOW)
    return await revoke_producer(store, AuditLog(clock), clock, principal, name)


async def test_a_token_admits_its_producer_until_it_is_revoked(store):
    token, clock = (await add(store)).reveal(), FakeClock(NOW)
    admission = Admission(store, clock)
    assert await admission.admit(token) == "checkout"
    assert await revoke(store)
    clock.step_monotonic(5.1)
    assert await admission.admit(token) is None
    assert not await revoke(store)
    again = (await add(store)).reveal()
    clock.step_monotonic(5.1)
    assert (await admission.admit(token), await admission.admit(again)) == (None, "checkout")


async def test_the_store_holds_no_token_and_the_audit_log_says_who(sqlite_store):
    token = (await add(sqlite_store)).reveal()
    await revoke(sqlite_store)
    async with sqlite_store.read() as connection:
        row = (await connection.execute(select(ingest_producers))).one()
        entries = [one.entry for one in await connection.execute(select(audit_tables.entry))]
        assert [(one.name, one.created_by, one.revoked_at) for one in await list_producers(connection)] == [
            ("checkout", "alice", NOW)
        ]
    assert token not in str(row)
    assert token not in str(entries)
    assert ["ingest.producer_added" in entries[0], "ingest.producer_revoked" in entries[1]] == [True, True]


@pytest.mark.parametrize("token", ["", "dbre_x", "x" * 10_000, "dbre_" + "0" * 49])
async def test_what_is_no_token_is_refused_without_asking_the_store(sqlite_store, token, monkeypatch):
    monkeypatch.setattr(sqlite_store, "read", None)
    assert await Admission(sqlite_store, FakeClock(NOW)).admit(token) is None


async def test_tokens_that_nobody_has_do_not_keep_the_store_busy(sqlite_store, monkeypatch):
    reads, real = [], sqlite_store.read
    monkeypatch.setattr(sqlite_store, "read", lambda: reads.append(1) or real())
    admission = Admission(sqlite_store, FakeClock(NOW))
    for _ in range(50):
        assert await admission.admit(make_token().reveal()) is None
    assert len(reads) == 1


async def test_who_comes_while_the_store_is_asked_waits_for_its_answer(sqlite_store):
    tokens = [(await add(sqlite_store, f"p{one}")).reveal() for one in range(3)]
    admission = Admission(sqlite_store, FakeClock(NOW))
    assert await asyncio.gather(*(admission.admit(one) for one in tokens * 2)) == ["p0", "p1", "p2"] * 2


async def test_while_the_store_is_away_those_who_are_known_go_on(sqlite_store, monkeypatch):
    token, clock = (await add(sqlite_store)).reveal(), FakeClock(NOW)
    known, new = Admission(sqlite_store, clock), Admission(sqlite_store, clock)
    await known.admit(token)

    def fail():
        raise StoreError("the disk is gone")

    monkeypatch.setattr(sqlite_store, "read", fail)
    clock.step_monotonic(60)
    assert await known.admit(token) == "checkout"
    with pytest.raises(IntakeUnavailable):
        await new.admit(token)


async def test_names_are_taken_once_and_checked_and_permission_is_needed(sqlite_store):
    await add(sqlite_store)
    with pytest.raises(Conflict, match="producer checkout exists"):
        await add(sqlite_store)
    for name in ("", "Checkout", "a b", "-a", "a" * 64):
        with pytest.raises(UsageError, match="is no name of a producer"):
            await add(sqlite_store, name)
    with pytest.raises(UsageError, match="no producer is named") as refused:
        await revoke(sqlite_store, "chekout")
    assert refused.value.hint == "did you mean checkout?"
    for act in (add, revoke):
        with pytest.raises(Denied, match="eve may not administer producer checkout"):
            await act(sqlite_store, principal=VIEWER)
