"""Slack: only what it signed, only whom we know, only what they may."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

import pytest
from incident_kit import IncidentWorld

from dbre.capabilities.incident.chatops.commands import ChatGround
from dbre.capabilities.incident.chatops.slack_receiver import SlackReceiver, mrkdwn
from dbre.capabilities.incident.chatops.slack_request import check_slack_signature, slack_signature
from dbre.capabilities.incident.desk import NewIncident
from dbre.capabilities.incident.errors import SignatureInvalid
from dbre.capabilities.incident.incidents_document import SlackAppDocument
from dbre.capabilities.incident.model import Severity
from dbre.capabilities.incident.states import IncidentState
from dbre.core.identity.access import Access, Identity
from dbre.core.identity.model import Grant, PrincipalKind, Role
from dbre.core.secrets import Secret, SecretReference

_SECRET = Secret("8f742231b10e8888abcd99yyyzzz85a5")
_ACCESS = Access(
    identities=tuple(
        Identity(name=name, kind=PrincipalKind.PERSON, grants=(Grant(role=role),))
        for name, role in (("alice", Role.OPERATOR), ("bob", Role.APPROVER), ("eve", Role.VIEWER))
    ),
    groups=(),
    has_provider=False,
)
_USERS = {"U0ALICE": "alice", "U0BOB": "bob", "U0EVE": "eve", "U0GONE": "gone"}


class NoOperations:
    """A desk that none of these tests may reach."""

    def __getattr__(self, name: str) -> Any:
        raise AssertionError(name)


def receiver(world: IncidentWorld, tmp_path: Any, operations: Any = None) -> SlackReceiver:
    path = tmp_path / "slack.key"
    path.write_text(_SECRET.reveal())
    path.chmod(0o600)
    document = SlackAppDocument(signing_secret=SecretReference.parse(f"file:{path}"), users=_USERS)
    make = operations or (lambda _: NoOperations())
    ground = ChatGround(store=world.store, fleet=world.fleet, clock=world.clock, operations=make)
    return SlackReceiver(document, _ACCESS, ground)


def signed(world: IncidentWorld, body: bytes, *, ago: int = 0) -> dict[str, str]:
    timestamp = int(world.clock.now().timestamp()) - ago
    return {
        "X-Slack-Request-Timestamp": str(timestamp),
        "X-Slack-Signature": slack_signature(_SECRET, timestamp=timestamp, body=body),
    }


def command(text: str, user: str = "U0ALICE", **more: str) -> bytes:
    return urlencode({"command": "/dbre", "text": text, "user_id": user, "user_name": "root", **more}).encode()


def pressed(action_id: str, value: str, user: str = "U0ALICE") -> bytes:
    payload = {"type": "block_actions", "user": {"id": user}, "actions": [{"action_id": action_id, "value": value}]}
    return urlencode({"payload": json.dumps(payload)}).encode()


async def say(world: IncidentWorld, slack: SlackReceiver, body: bytes) -> str:
    reply = await slack.handle(body, signed(world, body))
    assert reply.status == 200
    answer = json.loads(reply.body)
    assert answer["response_type"] == "ephemeral"
    return str(answer["text"])


@asynccontextmanager
async def open_incident(world: IncidentWorld) -> AsyncIterator[None]:
    await world.desk().open(NewIncident(title="<!channel> & writes fail", severity=Severity.SEV2, cluster="orders"))
    yield


def test_the_signature_is_the_one_of_slacks_own_example() -> None:
    body = (
        b"token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar"
        b"&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com"
        b"%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121"
        b".803a0bc887a14d10d2c447fce8b6703c"
    )
    signature = slack_signature(_SECRET, timestamp=1531420618, body=body)
    assert signature == "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503"
    headers = {"x-slack-request-timestamp": "1531420618", "x-slack-signature": signature}
    assert check_slack_signature(_SECRET, headers, body, now=1531420918.0) == signature
    for now in (1531420918.9, 1531420317.0):
        with pytest.raises(SignatureInvalid, match="300 s"):
            check_slack_signature(_SECRET, headers, body, now=now)


@pytest.mark.parametrize(
    "broken",
    [
        {"X-Slack-Signature": "v0=" + "0" * 64},
        {"X-Slack-Signature": ""},
        {"X-Slack-Signature": "v0=é\udc80"},
        {"X-Slack-Request-Timestamp": "soon"},
        {"X-Slack-Request-Timestamp": "9" * 40},
        {"X-Slack-Request-Timestamp": "\u0661\u0667"},
    ],
)
async def test_what_slack_did_not_sign_gets_401_and_does_nothing(
    world: IncidentWorld, tmp_path: Any, broken: dict[str, str]
) -> None:
    async with open_incident(world):
        body = command("ack 1")
        reply = await receiver(world, tmp_path).handle(body, signed(world, body) | broken)
        assert reply.status == 401
        assert (await world.incident()).state is IncidentState.DECLARED


async def test_an_old_request_and_one_that_comes_again_are_refused(world: IncidentWorld, tmp_path: Any) -> None:
    slack, body = receiver(world, tmp_path), command("note 1 hello")
    async with open_incident(world):
        assert (await slack.handle(body, signed(world, body, ago=301))).status == 401
        headers = signed(world, body)
        assert (await slack.handle(body, headers)).status == 200
        assert (await slack.handle(body, headers)).status == 401
        assert [line.text for line in await world.timeline()].count("hello") == 1
        changed = body.replace(b"hello", b"hallo")
        assert (await slack.handle(changed, headers)).status == 401


async def test_people_acknowledge_ask_and_resolve_under_their_own_name(world: IncidentWorld, tmp_path: Any) -> None:
    slack = receiver(world, tmp_path)
    async with open_incident(world):
        assert await say(world, slack, command("status")) == (
            "1 incident going on:\nINC-1 sev2 declared on orders: &lt;!channel&gt; &amp; writes fail, nobody has it in hand"
        )
        assert "in the hands of alice" in await say(world, slack, pressed("incident_ack", "INC-1"))
        assert (await world.incident()).assignee == "alice"
        await say(world, slack, command("note 1 out of   disk"))
        assert "out of disk" in await say(world, slack, command("status INC-1"))
        await say(world, slack, command("resolve 1 grew the volume"))
        assert (await world.incident()).state is IncidentState.RESOLVED
        assert await say(world, slack, command("status ")) == "no incident goes on"


async def test_strangers_viewers_and_those_who_left_may_not_act(world: IncidentWorld, tmp_path: Any) -> None:
    slack = receiver(world, tmp_path)
    async with open_incident(world):
        assert "stands for nobody" in await say(world, slack, command("ack 1", user="U0MALLORY"))
        assert "not known here any more" in await say(world, slack, command("ack 1", user="U0GONE"))
        assert "eve may not operate" in await say(world, slack, command("ack 1", user="U0EVE"))
        assert "bob may not operate" in await say(world, slack, command("ack 1", user="U0BOB"))
        assert "INC-1" in await say(world, slack, command("status 1", user="U0EVE"))
        assert (await world.incident()).state is IncidentState.DECLARED


async def test_help_and_slips_of_the_pen(world: IncidentWorld, tmp_path: Any) -> None:
    slack = receiver(world, tmp_path)
    assert "approve OPERATION" in await say(world, slack, command(""))
    assert "did you mean status" in await say(world, slack, command("statsu"))
    assert "no incident" in await say(world, slack, command("ack 99"))
    assert "more words" in await say(world, slack, command("ack "))


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"ssl_check=1&token=x", 200),
        (b"payload=%7Bbroken", 400),
        (b"payload=" + b"[" * 100_000, 400),
        (b'payload={"type":"view_submission","user":{"id":"U0ALICE"}}', 400),
        (b"\xff\xfe", 400),
        (b"a=1", 400),
        (b"&".join(b"f%d=1" % number for number in range(200)), 400),
        (b"x" * 300_000, 413),
    ],
)
async def test_what_is_no_request_is_answered_with_a_status(
    world: IncidentWorld, tmp_path: Any, body: bytes, status: int
) -> None:
    assert (await receiver(world, tmp_path).handle(body, signed(world, body))).status == status


async def test_a_link_button_is_taken_in_silence(world: IncidentWorld, tmp_path: Any) -> None:
    body = pressed("open", "x")
    reply = await receiver(world, tmp_path).handle(body, signed(world, body))
    assert (reply.status, reply.body) == (200, b"")


def test_nothing_of_a_database_is_a_command_to_slack() -> None:
    assert mrkdwn("<!here> <@U1> a & b\x1b[2J") == "&lt;!here&gt; &lt;@U1&gt; a &amp; b\ufffd[2J"
    assert len(mrkdwn("y" * 9_999)) == 3_000
