"""``dbre oncall`` and ``dbre notify`` as a person runs them; mistakes in the configuration; the dead man's switch."""

import asyncio
import json
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from service_doubles import service, teams

from dbre.app import Application
from dbre.capabilities.incident.channels.documents import CHANNELS
from dbre.capabilities.incident.oncall.documents import CONTACTS, ONCALL, HeartbeatDocument
from dbre.capabilities.incident.oncall.heartbeat import Heartbeat
from dbre.cli import root
from dbre.core.clock import SystemClock
from dbre.core.config import ConfigInvalid, load
from dbre.core.store import open_store

CONFIG = """
state: {url: "sqlite:///dbre.db"}
contacts:
  - {name: ana, email: ana@example.com}
  - {name: bea}
channels:
  - {name: room, kind: teams, webhook_url: "file:hook", allow_loopback: true}
oncall:
  schedules:
    - name: dba
      layers: [{name: all, people: [ana, bea], starts: "2026-01-05T09:00", every: 1d}]
    - name: weekend
      layers: [{name: late, people: [ana, gone], starts: "2126-01-05T09:00"}]
"""


@pytest.fixture
async def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "dbre.yaml").write_text(CONFIG)
    async with open_store(f"sqlite:///{tmp_path / 'dbre.db'}", clock=SystemClock(), migrate=True):
        pass
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    code = root.main(Application, list(words))
    captured = capsys.readouterr()
    return code, captured.out, captured.err


async def dbre(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str, str]:
    return await asyncio.to_thread(run, capsys, *words)  # commands bring an event loop of their own


async def test_an_override_from_beginning_to_end(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    at = "2026-03-02T12:00:00+00:00"
    assert "ana" in (await dbre(capsys, "oncall", "now", "dba", "--at", at))[1]
    begin = datetime.now(UTC)
    code, out, err = await dbre(
        capsys, "oncall", "override", "add", "dba", "bea", "--until", "48h", "--reason", "swap", "-o", "json"
    )
    assert code == 0, err
    made = json.loads(out)["item"]
    assert made["person"] == "bea"
    code, out, _ = await dbre(capsys, "oncall", "schedule", "dba", "--days", "2", "-o", "json")
    assert {one["source"] for one in json.loads(out)["items"]} >= {"override"}
    code, out, _ = await dbre(capsys, "oncall", "now", "dba", "-o", "json")
    (item,) = json.loads(out)["items"]
    assert (code, item["person"], item["source"]) == (0, "bea", "override")
    assert datetime.fromisoformat(item["ends_at"]) >= begin + timedelta(hours=47)
    assert (await dbre(capsys, "oncall", "override", "revoke", made["id"]))[0] == 0
    assert "no overrides" in "".join((await dbre(capsys, "oncall", "override", "list"))[1:])
    code, _, err = await dbre(capsys, "oncall", "override", "add", "dba", "anna", "--until", "8h")
    assert (code, "did you mean ana?" in err) == (2, True)


async def test_gaps_and_unknown_names_are_findings(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = await dbre(capsys, "oncall", "gaps", "--days", "7", "-o", "json")
    assert code == 3
    problems = [(one["schedule"], one["problem"]) for one in json.loads(out)["items"]]
    assert problems == [("weekend", "nobody_on_call"), (None, "unknown_contact")]
    assert (await dbre(capsys, "oncall", "now", "weekend"))[0] == 3


async def test_what_is_exported_can_be_imported_once(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, text, _ = await dbre(capsys, "oncall", "export", "dba", "--days", "5")
    assert code == 0
    (project / "duty.ics").write_text(text)
    code, out, _ = await dbre(capsys, "oncall", "import", "weekend", "duty.ics", "-o", "json")
    assert (code, len(json.loads(out)["items"])) == (0, text.count("BEGIN:VEVENT"))
    code, out, err = await dbre(capsys, "oncall", "import", "weekend", "duty.ics")
    assert (code, f"{text.count('BEGIN:VEVENT')} were there already" in err) == (0, True)
    first, second = (
        re.findall(r"UID:(\S+)", text)[0],
        re.findall(r"UID:(\S+)", (await dbre(capsys, "oncall", "export", "dba"))[1])[0],
    )
    assert first == second  # a file that is fetched again doubles nothing


async def test_a_test_message_says_what_the_service_answered(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with service(teams) as found:
        (project / "hook").write_text(f"{found.url}/x")
        (project / "hook").chmod(0o600)
        code, out, err = await dbre(capsys, "notify", "test", "room", "-o", "json")
        assert (code, json.loads(out)["item"]["status"]) == (0, "taken"), err
        found.next_answers = [(403, {}, {"error": "workflow is off"})]
        code, _, err = await dbre(capsys, "notify", "test", "room")
        assert code != 0
        assert "workflow is off" in err
    assert "room" in (await dbre(capsys, "notify", "list"))[1]
    code, _, err = await dbre(capsys, "notify", "test", "rom")
    assert (code, "did you mean room?" in err) == (2, True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('channels: [{name: a, kind: slack, token: "env:X"}]', "writes to no channel"),
        (
            'channels: [{name: a, kind: slack, token: "env:X", channel: C1, webhook_url: "env:Y"}]',
            "either a token or a webhook_url",
        ),
        ('channels: [{name: a, kind: pagerduty, routing_key: "0123456789abcdef0123456789abcdef"}]', "not written here"),
        ("channels: [{name: a, kind: email, host: h, sender: x@example.com}]", "reaches nobody"),
        ('channels: [{name: a, kind: email, host: h, sender: "x@example.com\\nBcc: y@example.com"}]', "address of a mailbox"),
        ("channels: [{name: a, kind: smoke}]", "expected one of alertmanager"),
        (
            'channels: [{name: a, kind: teams, webhook_url: "env:A"}, {name: a, kind: teams, webhook_url: "env:A"}]',
            "has the name a",
        ),
        ("contacts: [{name: a}, {name: a}]", "has the name a"),
        ("contacts: [{name: a, phone: 600000000}]", "phone"),
        ("oncall: {schedules: [{name: a, layers: [{name: l, people: [x], starts: now}]}]}", "not a moment"),
        ('oncall: {schedules: [{name: a, layers: [{name: l, people: [x], starts: "2026-01-05T09:00Z"}]}]}', "no offset"),
        ("oncall: {schedules: [{name: a, time_zone: Mars, layers: []}]}", "Mars"),
        ("oncall: {policies: [{name: p, levels: [{schedules: [dba]}]}]}", "no schedule dba"),
        ("oncall: {policies: [{name: p, levels: [{wait: 5m}]}]}", "tells nobody"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "dbre.yaml"
    path.write_text(text + "\n")
    with pytest.raises(ConfigInvalid, match=message) as caught:
        load([path], sections=[CHANNELS, CONTACTS, ONCALL], environment={}, flags={}).get(ONCALL)
    assert "0123456789abcdef" not in str(caught.value)


async def test_the_heart_beats_only_while_all_is_well(tmp_path: Path) -> None:
    trouble: list[str | None] = [None]

    async def find_trouble() -> str | None:
        if trouble[0] == "hangs":
            await asyncio.sleep(3600)
        return trouble[0]

    with service(lambda _: (200, {}, b"OK")) as found:
        (tmp_path / "url").write_text(f"{found.url}/ping/secret")
        (tmp_path / "url").chmod(0o600)
        given = {"url": f"file:{tmp_path / 'url'}", "allow_loopback": True, "timeout": "20s"}
        heart = Heartbeat(HeartbeatDocument.model_validate(given), find_trouble, SystemClock())
        assert await heart.beat()
        trouble[0] = "store: disk full"
        assert not await heart.beat()
        assert len(found.calls) == 1
        quick = Heartbeat(HeartbeatDocument.model_validate(given | {"timeout": "100ms"}), find_trouble, SystemClock())
        trouble[0] = "hangs"
        assert not await quick.beat()
        assert len(found.calls) == 1
        trouble[0] = None
        found.next_answers = [(500, {}, b"")]
        assert not await heart.beat()
    assert not await heart.beat()  # nobody there: the next beat is tried all the same
