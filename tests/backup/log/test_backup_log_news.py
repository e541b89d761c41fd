"""What the keeper tells is told once, by whichever process, however errors take turns."""

from pathlib import Path

from dbre.capabilities.backup.log.news import LogNews, lasting_troubles
from dbre.core.clock import SystemClock
from dbre.core.errors import Denied, Unreachable
from dbre.core.events import recent
from dbre.core.store import Store, open_store

KIND = "backup.log_stopped"


async def told(store: Store) -> list[str]:
    async with store.read() as connection:
        return [event.kind for event in reversed(await recent(connection, limit=100))]


async def test_a_trouble_is_told_once_by_all_processes_and_ended_once(tmp_path: Path) -> None:
    clock = SystemClock()
    async with open_store(f"sqlite:///{tmp_path / 'dbre.db'}", clock=clock, migrate=True) as store:
        first, other = LogNews(store, clock, "orders"), LogNews(store, clock, "stock")
        for error in (Unreachable("gone"), Denied("not you", hint="GRANT"), Unreachable("gone"), Denied("not you")):
            await first.trouble(KIND, error)
        await other.well(KIND)  # of another cluster
        assert await told(store) == [KIND, KIND]
        async with store.read() as connection:
            (lasting,) = await lasting_troubles(connection, "orders")
            assert await lasting_troubles(connection, "stock") == []
        assert (lasting.kind, lasting.code, lasting.message, lasting.hint) == (KIND, Denied.code, "not you", "GRANT")

        second = LogNews(store, clock, "orders")  # after a restart
        await second.trouble(KIND, Denied("not you"))
        await second.well(KIND)
        await second.well(KIND)
        assert await told(store) == [KIND, KIND, f"{KIND}_ended"]
        async with store.read() as connection:
            assert await lasting_troubles(connection, "orders") == []
        await second.trouble(KIND, Denied("not you"))
        assert (await told(store))[-1] == KIND

        for name in ("one", "two", "one"):  # two files that contradict what is stored are two things to look at
            await second.trouble("backup.log_conflict", Denied("other contents"), about=name, file=name)
        assert (await told(store))[-3:] == [KIND, "backup.log_conflict", "backup.log_conflict"]
