"""Privileges are remembered for a minute, and what is missing is looked up again."""

from dbre.ports.held_privileges import HeldPrivileges
from dbre.testing.clock import FakeClock


class Server:
    def __init__(self, *held: str) -> None:
        self.held = frozenset(held)
        self.asked = 0

    async def read(self, _: object) -> frozenset[str]:
        self.asked += 1
        return self.held


async def test_what_is_held_is_asked_once_a_minute() -> None:
    server, clock = Server("monitor"), FakeClock()
    privileges = HeldPrivileges(server.read, base="login", clock=clock)
    assert server.asked == 0
    assert await privileges.include("monitor", None)
    assert await privileges.include("monitor", None)
    assert server.asked == 1
    await clock.advance(61)
    assert await privileges.include("monitor", None)
    assert server.asked == 2


async def test_a_grant_that_came_is_noticed_at_once() -> None:
    server = Server()
    privileges = HeldPrivileges(server.read, base="login", clock=FakeClock())
    assert not await privileges.include("monitor", None)
    server.held = frozenset({"monitor"})
    assert await privileges.include("monitor", None)


async def test_a_revoked_privilege_is_gone_from_a_fresh_answer() -> None:
    server = Server("monitor")
    privileges = HeldPrivileges(server.read, base="login", clock=FakeClock())
    assert await privileges.now(None) == {"monitor"}
    server.held = frozenset()
    assert await privileges.now(None) == frozenset()
    assert not await privileges.include("monitor", None)


async def test_what_every_login_may_do_needs_no_asking() -> None:
    server = Server()
    assert await HeldPrivileges(server.read, base="login", clock=FakeClock()).include("login", None)
    assert server.asked == 0


async def test_what_a_session_was_told_as_it_began_is_not_asked_again_and_a_grant_is_noticed_after_it() -> None:
    server, clock = Server("monitor", "heartbeat"), FakeClock()
    privileges = HeldPrivileges(server.read, base="login", clock=clock)
    privileges.told(frozenset({"monitor"}))
    assert await privileges.include("monitor", None)
    assert not await privileges.include("heartbeat", None)
    assert server.asked == 0
    assert await privileges.include("heartbeat", None)
    privileges.told(frozenset({"monitor"}))
    await clock.advance(2)
    assert await privileges.include("heartbeat", None), "that it began is a while ago"
