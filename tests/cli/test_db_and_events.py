"""``dbre db`` and ``dbre events`` on a SQLite store, from the command line to its exit code."""

import asyncio
import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from uuid import UUID

import pytest

from dbre.app import Application
from dbre.cli import root
from dbre.cli.events_cli import _event_row
from dbre.core.clock import SystemClock
from dbre.core.events import Event, EventDelivery, EventLog, Subscription
from dbre.core.events.fan_out import fan_out
from dbre.core.store import Store, open_store
from dbre.core.store.schema import head_revision

HOSTILE = "O'Brien\x1b[2J\n<script>\u202e"
Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run one command line on a configuration whose store is ``dbre.db`` beside it."""
    configuration = tmp_path / "dbre.yaml"
    configuration.write_text('state: {url: "sqlite:///dbre.db"}\n')

    def run(*words: str) -> tuple[int, str, str]:
        code = root.main(Application, ["--config", str(configuration), *words])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return run


@pytest.fixture
def events(tmp_path: Path) -> list[str]:
    """A store with three events, the last of them dead for the subscription ``pager``; gives their ids."""

    async def make() -> list[str]:
        clock = SystemClock()
        async with open_store(f"sqlite:///{tmp_path}/dbre.db", clock=clock, exclusive=True, migrate=True) as store:
            return await _make_events(store, clock)

    return asyncio.run(make())


async def _make_events(store: Store, clock: SystemClock) -> list[str]:
    async def handler(_event: object) -> None: ...

    wanted = [Subscription(name="pager", kinds=("*",), handler=handler)]
    async with store.begin() as connection:
        kinds = ("slo.alert_fired", "observe.role_changed", "slo.alert_resolved")
        made = [await EventLog(clock).emit(connection, kind=kind, subject=HOSTILE, data={"n": 1}) for kind in kinds]
    await fan_out(store, wanted)
    await EventDelivery(store, wanted, clock)._register()
    async with store.begin() as connection:
        await connection.exec_driver_sql("UPDATE delivery SET state = 'delivered'")
        await connection.exec_driver_sql("UPDATE delivery SET state = 'dead', last_error = 'refused' WHERE sequence = 3")
    return [str(one.id) for one in made]


def test_a_store_that_does_not_exist_is_said_so_and_not_made(run: Run, tmp_path: Path) -> None:
    for words in (("db", "status"), ("events", "list"), ("db", "backup", str(tmp_path / "copy.db"))):
        code, _, err = run(*words)
        assert code == 5
        assert "does not exist yet" in err
        assert "dbre db migrate" in err
    assert not (tmp_path / "dbre.db").exists()


def test_migrate_makes_the_store_and_then_finds_it_current(run: Run, tmp_path: Path) -> None:
    code, out, _ = run("db", "migrate", "-o", "json")
    assert (code, json.loads(out)["item"]["status"]) == (0, "created")
    code, out, _ = run("db", "migrate", "-o", "json")
    assert json.loads(out)["item"] == {
        "url": f"sqlite:///{tmp_path}/dbre.db",
        "status": "already_current",
        "from_revision": head_revision(),
        "to_revision": head_revision(),
    }
    code, out, _ = run("db", "status", "--check", "-o", "json")
    item = json.loads(out)["item"]
    assert (code, item["is_usable"], item["integrity"], item["file_mode"]) == (0, True, "ok", "0600")


def test_a_readable_file_of_others_is_pointed_out(run: Run, tmp_path: Path) -> None:
    run("db", "migrate")
    (tmp_path / "dbre.db").chmod(0o644)
    code, _, err = run("db", "status")
    assert code == 0
    assert "has mode 0644: other users may read or write it; chmod 0600" in err


def test_a_damaged_or_newer_store_has_its_own_exit_code_and_a_way_on(run: Run, tmp_path: Path) -> None:
    run("db", "migrate")
    with closing(sqlite3.connect(tmp_path / "dbre.db")) as connection:
        connection.execute("UPDATE dbre_schema SET version_num = '9999'")
        connection.commit()
    for words in (("db", "status"), ("db", "migrate"), ("events", "list")):
        code, _, err = run(*words)
        assert code == 5
        assert "schema 9999" in err
        assert "newer dbre" in err
    (tmp_path / "dbre.db").write_bytes(b"garbage" * 1000)
    for words in (("db", "status"), ("db", "migrate"), ("events", "list")):
        code, _, err = run(*words)
        assert code == 1
        assert "damaged" in err
        assert "dbre db backup" in err


def test_a_copy_is_whole_private_and_never_overwrites(run: Run, tmp_path: Path, events: list[str]) -> None:
    copy = tmp_path / "copy.db"
    code, out, _ = run("db", "backup", str(copy), "-o", "json")
    assert (code, json.loads(out)["item"]["size_bytes"]) == (0, copy.stat().st_size)
    assert copy.stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(copy)) as connection:
        assert connection.execute("SELECT id FROM event ORDER BY sequence").fetchall() == [(one,) for one in events]
    code, _, err = run("db", "backup", str(copy))
    assert (code, "exists already" in err) == (2, True)
    code, _, err = run("db", "backup", str(tmp_path / "none" / "copy.db"))
    assert (code, "No such file or directory" in err) == (1, True)
    assert sorted(path.name for path in tmp_path.iterdir() if "copy" in path.name) == ["copy.db"]


def test_events_are_listed_newest_first_with_hostile_names_made_visible(run: Run, events: list[str]) -> None:
    code, out, _ = run("events", "list")
    assert code == 0
    assert "\x1b" not in out
    assert "O'Brien\\x1b[2J\\n<script>\\u202e" in out
    code, out, _ = run("events", "list", "--kind", "slo.*", "--since", "1h", "--limit", "1", "-o", "json")
    items = json.loads(out)["items"]
    assert [(one["id"], one["subject"], one["data"]) for one in items] == [(events[2], HOSTILE, {"n": 1})]
    code, out, _ = run("events", "list", "--subject", "nobody")
    assert (code, "no event matches" in out) == (0, True)


@pytest.mark.parametrize("since", ["yesterday", "2026-11-21T04:00:00", "-1h", ""])
def test_a_moment_that_cannot_be_read_is_refused(run: Run, events: list[str], since: str) -> None:
    code, _, err = run("events", "list", f"--since={since}")
    assert (code, bool(err)) == (2, True)


@pytest.mark.parametrize("since", ["1000w", "900000w", "2026-11-21T04:00:00Z", "2026-11-21", "0001-01-01T00:00:00+14:00"])
def test_a_moment_far_away_is_only_a_moment(run: Run, events: list[str], since: str) -> None:
    code, _, err = run("events", "list", "--since", since)
    assert (code, err) == (0, "")


def test_failed_deliveries_are_shown_and_delivered_again_on_request(run: Run, events: list[str]) -> None:
    code, out, _ = run("events", "deliveries", "--failed", "-o", "json")
    assert [(one["event_id"], one["state"], one["last_error"]) for one in json.loads(out)["items"]] == [
        (events[2], "dead", "refused")
    ]
    code, out, _ = run("events", "subscriptions", "-o", "json")
    assert [(one["name"], one["pending_count"], one["dead_count"]) for one in json.loads(out)["items"]] == [("pager", 0, 1)]
    code, out, _ = run("events", "replay", "pager", "--dead", "-o", "json")
    assert (code, json.loads(out)["item"]["deliveries_count"]) == (0, 1)
    code, out, _ = run("events", "replay", "pager", "--event", events[0], "--event", events[1], "-o", "json")
    assert json.loads(out)["item"]["deliveries_count"] == 2
    code, out, _ = run("events", "subscriptions", "-o", "json")
    assert json.loads(out)["items"][0]["pending_count"] == 3


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"summary": "too\nmuch", "code": "x"}, "too much"),
        ({"code": "probe.timeout", "reason": "no answer in 3 s"}, "probe.timeout: no answer in 3 s"),
        ({"n": 1}, None),
    ],
)
def test_an_event_says_why_in_a_few_words(data: dict[str, object], why: str | None) -> None:
    event = Event(id=UUID(int=1), sequence=1, kind="a.b", subject="s", at=SystemClock().now(), data=data)
    assert _event_row(event)["why"] == why


def test_deliveries_to_an_unknown_subscription_are_refused(run: Run, events: list[str]) -> None:
    code, out, err = run("events", "deliveries", "--subscription", "pagr")
    assert (code, out) == (2, "")
    assert "did you mean pager?" in err
    assert run("events", "deliveries", "--subscription", "pager")[0] == 0


def test_replay_needs_a_known_subscription_and_a_choice(run: Run, events: list[str]) -> None:
    code, _, err = run("events", "replay", "pagr", "--dead")
    assert (code, "did you mean pager?" in err) == (2, True)
    code, _, err = run("events", "replay", "pager")
    assert (code, "--dead" in err) == (2, True)
    code, _, err = run("events", "replay", "pager", "--event", "no-uuid")
    assert code == 2
