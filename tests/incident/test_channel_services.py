"""Channels against strict doubles of the hosted services."""

from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter
from service_doubles import Service, SlackWorkspace, discord, pagerduty, service, ses, slack_webhook, sns, teams

from dbre.capabilities.incident.channels.documents import ChannelDocument
from dbre.capabilities.incident.channels.factory import channel_of
from dbre.capabilities.incident.channels.signature_v4 import AwsCredentials, signed_headers
from dbre.capabilities.incident.notice import Channel, Notice, NoticeKind, Receipt, Urgency
from dbre.capabilities.incident.signature import verify_signature
from dbre.core.clock import SystemClock
from dbre.core.errors import Unreachable
from dbre.core.events import DeliveryPostponed, DeliveryRefused
from dbre.core.secrets import Secret

HOSTILE = "<!channel> *b* [x](http://evil) @everyone <@U1> & \x1b[31m \u202e`code` \x00 ünïcødé " + "y" * 200 + "\nsecond line"
SECRETS = {
    "routing": "0123456789abcdef0123456789abcdef",
    "slack": "xoxb-test",
    "aws-id": "AKIDEXAMPLE",
    "aws-secret": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
    "signing": "a secret of more than sixteen bytes",
}


def notice(kind: NoticeKind = NoticeKind.OPENED, **changes: Any) -> Notice:
    whole: dict[str, Any] = {
        "id": "0192-1",
        "kind": kind,
        "urgency": Urgency.PAGE,
        "thread": "incident-1",
        "title": "INC-7 opened: writes@orders",
        "text": "burns 20 times too fast",
        "at": datetime(2026, 11, 21, 4, tzinfo=UTC),
        "cluster": "orders",
        "slo": "writes",
        "severity": "sev1",
        "facts": (("cluster", "orders"), ("burn_rate", "20")),
        "link": "https://dbre.example/incidents/7",
    }
    return Notice(**{**whole, **changes})


@pytest.fixture
def secret(tmp_path: Path) -> Callable[[str], str]:
    def write(name: str, text: str | None = None) -> str:
        (tmp_path / name).write_text(SECRETS[name] if text is None else text)
        (tmp_path / name).chmod(0o600)
        return f"file:{tmp_path / name}"

    return write


@pytest.fixture
def open_service():
    with ExitStack() as stack:
        yield lambda check: stack.enter_context(service(check))


def channel(**document: Any) -> Channel:
    given = {"name": "one", "allow_loopback": True, **document}
    made = channel_of(TypeAdapter(ChannelDocument).validate_python(given), SystemClock())
    assert made is not None
    return made


@pytest.fixture
def each(secret, open_service) -> Callable[[str], tuple[Channel, Service]]:
    aws = {"region": "eu-west-1", "access_key_id": "aws-id", "secret_access_key": "aws-secret"}

    def make(kind: str) -> tuple[Channel, Service]:
        check = {"pagerduty": pagerduty, "teams": teams, "discord": discord, "sns": sns, "ses": ses, "slack": slack_webhook}[
            kind
        ]
        found = open_service(check)
        given: dict[str, Any] = {"kind": kind}
        if kind in ("teams", "discord", "slack"):
            given["webhook_url"] = secret("hook", f"{found.url}/hook/secret-part")
        elif kind == "pagerduty":
            given |= {"routing_key": secret("routing"), "url": f"{found.url}/v2/enqueue"}
        else:
            given |= {"url": found.url, "region": aws["region"]}
            given |= {key: secret(aws[key]) for key in ("access_key_id", "secret_access_key")}
        if kind == "sns":
            given["topic_arn"] = "arn:aws:sns:eu-west-1:123456789012:alerts"
        if kind == "ses":
            given |= {"sender": "dbre@example.com", "recipients": ["dba@example.com"]}
        return channel(**given), found

    return make


KINDS = ("pagerduty", "slack", "teams", "discord", "sns", "ses")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "what", [NoticeKind.OPENED, NoticeKind.RESOLVED, NoticeKind.DIGEST, NoticeKind.APPROVAL, NoticeKind.TEST]
)
async def test_a_service_takes_every_kind_of_notice(each, kind: str, what: NoticeKind) -> None:
    one, _ = each(kind)
    await one.deliver(notice(what), earlier=None)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("text", [HOSTILE, "x" * 50_000, "[a](b)" * 5_000, "\U0001f600" * 20_000, "<&>" * 10_000, ""])
async def test_no_text_of_a_database_breaks_a_rule_of_a_service(each, kind: str, text: str) -> None:
    one, found = each(kind)
    facts = tuple((f"name {number} {text[:300]}", text or "-") for number in range(30))
    await one.deliver(notice(text=text, title=f"t{text}", facts=facts, cluster=text[:50]), earlier=None)
    assert found.calls


@pytest.mark.parametrize("kind", KINDS)
async def test_busy_is_waited_out_and_wrong_is_not_tried_again(each, kind: str) -> None:
    one, found = each(kind)
    found.next_answers = [
        (429, {"Retry-After": "7"}, {}),
        (500, {}, {}),
        (403, {}, {"message": "no\x1b[2J"}),
        (302, {}, {}),
        None,
    ]
    with pytest.raises(DeliveryPostponed) as postponed:
        await one.deliver(notice(), earlier=None)
    assert postponed.value.wait_seconds == 7
    with pytest.raises(Unreachable):
        await one.deliver(notice(), earlier=None)
    for _ in range(2):
        with pytest.raises(DeliveryRefused) as refused:
            await one.deliver(notice(), earlier=None)
        assert "\x1b" not in refused.value.message
        assert "secret-part" not in str(refused.value)
    with pytest.raises(Unreachable) as lost:  # the service took the request and its answer was lost
        await one.deliver(notice(), earlier=None)
    assert "secret-part" not in str(lost.value)
    assert found.calls[-1].body == found.calls[-2].body or kind in ("sns", "ses")


async def test_pagerduty_follows_an_incident_by_its_key(each) -> None:
    one, found = each("pagerduty")
    receipt = None
    for kind in (NoticeKind.OPENED, NoticeKind.ACKNOWLEDGED, NoticeKind.RESOLVED):
        receipt = await one.deliver(notice(kind), earlier=receipt)
    assert [call.json["event_action"] for call in found.calls] == ["trigger", "acknowledge", "resolve"]
    assert {call.json["dedup_key"] for call in found.calls} == {"incident-1"}
    assert found.calls[0].json["payload"]["severity"] == "critical"
    assert receipt == Receipt(reference="incident-1")


async def test_pagerduty_is_left_alone_with_what_it_could_not_resolve(each) -> None:
    one, found = each("pagerduty")
    await one.deliver(notice(NoticeKind.APPROVAL), earlier=None)
    assert not found.calls
    await one.deliver(notice(NoticeKind.TEST), earlier=None)
    assert [call.json["event_action"] for call in found.calls] == ["trigger", "resolve"]


@pytest.fixture
def workspace(open_service, secret) -> tuple[SlackWorkspace, Service, Channel]:
    found = SlackWorkspace()
    served = open_service(found)
    one = channel(kind="slack", token=secret("slack"), channel="C024BE91L", url=f"{served.url}/api")
    return found, served, one


async def test_messages_of_an_incident_are_one_thread_whose_head_shows_the_state(workspace) -> None:
    found, served, one = workspace
    receipt = await one.deliver(notice(), earlier=None)
    for kind in (NoticeKind.ACKNOWLEDGED, NoticeKind.RESOLVED):
        receipt = await one.deliver(notice(kind, title=f"INC-7 {kind}"), earlier=receipt)
    head, acknowledged, resolved = found.messages.values()
    assert head["blocks"][0]["text"]["text"] == "INC-7 resolved"
    assert acknowledged["thread_ts"] == resolved["thread_ts"] == receipt.reference.partition("/")[2]
    assert [call.path.rpartition("/")[2] for call in served.calls] == [
        "chat.postMessage",
        *["chat.update", "chat.postMessage"] * 2,  # what may be done twice comes first
    ]


async def test_buttons_are_shown_where_slack_may_send_them_back(open_service, secret) -> None:
    asked = notice(buttons=(("incident_ack", "INC-7"), ("operation_approve", "ID HASH"), ("unknown", "x")))
    shown = []
    for has_buttons in (False, True):
        found = SlackWorkspace()
        served = open_service(found)
        given = {"token": secret("slack"), "channel": "C024BE91L", "url": f"{served.url}/api", "has_buttons": has_buttons}
        await channel(kind="slack", **given).deliver(asked, earlier=None)
        (message,) = found.messages.values()
        rows = [block["elements"] for block in message["blocks"] if block["type"] == "actions"]
        shown.append([(one["action_id"], one["value"]) for row in rows for one in row if "value" in one])
    assert shown == [[], [("incident_ack", "INC-7"), ("operation_approve", "ID HASH")]]


async def test_a_deleted_head_does_not_repeat_the_news(workspace) -> None:
    found, _, one = workspace
    receipt = await one.deliver(notice(), earlier=None)
    served_head = next(iter(found.messages))
    assert await one.deliver(notice(NoticeKind.UPDATED), earlier=receipt) == receipt
    document = found.messages.pop(served_head)
    found.messages[served_head[0], "0"] = document
    with pytest.raises(DeliveryRefused):  # the double refuses a thread that is gone; Slack would post to the channel
        await one.deliver(notice(NoticeKind.RESOLVED), earlier=receipt)


async def test_slack_names_its_error_in_an_answer_of_200(workspace) -> None:
    _, served, one = workspace
    served.next_answers = [
        (200, {}, {"ok": False, "error": "ratelimited"}),
        (200, {}, {"ok": False, "error": "internal_error"}),
        (200, {}, {"ok": False, "error": "is_archived"}),
        (200, {}, b"<html>"),
    ]
    for expected in (DeliveryPostponed, Unreachable, DeliveryRefused, Unreachable):
        with pytest.raises(expected):
            await one.deliver(notice(), earlier=None)


async def test_an_escalation_in_slack_goes_to_the_people_alone(workspace) -> None:
    found, _, one = workspace
    await one.deliver(notice(NoticeKind.ESCALATED, recipients=("U01", "U02")), earlier=None)
    assert [channel_id for channel_id, _ in found.messages] == ["U01", "U02"]


async def test_discord_mentions_only_whom_an_escalation_names(each) -> None:
    one, found = each("discord")
    await one.deliver(notice(text="@everyone <@99999>", recipients=("123456", "not-a-number")), earlier=None)
    document = found.calls[0].json
    assert document["content"] == "<@123456>"
    assert document["allowed_mentions"] == {"parse": [], "users": ["123456"]}
    assert "@everyone" not in document["embeds"][0]["description"].replace("\\@", "")


async def test_discord_says_in_the_body_how_long_to_wait(each) -> None:
    one, found = each("discord")
    found.next_answers = [(429, {"Retry-After": "1"}, {"retry_after": 0.65, "global": False})]
    with pytest.raises(DeliveryPostponed) as postponed:
        await one.deliver(notice(), earlier=None)
    assert postponed.value.wait_seconds == 0.65


async def test_a_busy_service_of_aws_answers_400(each) -> None:
    one, found = each("sns")
    found.next_answers = [(400, {}, b"<Error><Code>Throttling</Code></Error>")]
    with pytest.raises(Unreachable, match="Throttling"):
        await one.deliver(notice(), earlier=None)


async def test_text_messages_go_to_the_people_of_an_escalation(each) -> None:
    one, found = each("sns")
    await one.deliver(notice(recipients=("+34600000001", "+34600000002")), earlier=None)
    assert [b"PhoneNumber=%2B3460000000" in call.body for call in found.calls] == [True, True]


def test_the_signature_is_the_one_of_the_published_example() -> None:
    """Source: AWS Signature Version 4 test suite, post-x-www-form-urlencoded."""
    credentials = AwsCredentials(
        access_key_id="AKIDEXAMPLE",
        secret_access_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        session_token=None,
        region="us-east-1",
    )
    headers = signed_headers(
        credentials,
        service="service",
        url="https://example.amazonaws.com/",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        body=b"Param1=value1",
        now=datetime(2015, 8, 30, 12, 36, tzinfo=UTC),
    )
    signature = "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a"
    assert headers["Authorization"].endswith(f"SignedHeaders=content-type;host;x-amz-date, Signature={signature}")
    assert "wJalr" not in repr(credentials)


async def test_a_notice_to_your_own_endpoint_is_signed(open_service, secret) -> None:
    found = open_service(lambda _: (204, {}, b""))
    one = channel(kind="webhook", url=f"{found.url}/in", secret=secret("signing"))
    await one.deliver(notice(text=HOSTILE), earlier=None)
    (call,) = found.calls
    verified = verify_signature(Secret(SECRETS["signing"]), headers=call.headers, body=call.body)
    assert verified.id == "0192-1"
    assert call.json["type"] == "notice.opened"
    assert call.json["data"]["text"] == HOSTILE


async def test_a_service_on_a_forbidden_address_is_never_asked(open_service, secret) -> None:
    found = open_service(teams)
    hidden = secret("hook", f"{found.url}/secret-part")
    one = channel(kind="teams", webhook_url=hidden, allow_loopback=False)
    with pytest.raises(DeliveryRefused, match="loopback"):
        await one.deliver(notice(), earlier=None)
    assert not found.calls
