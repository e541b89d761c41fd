import asyncio
import io
import json
import logging
import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbre.core.secrets import Secret
from dbre.core.telemetry import Metrics, clean, configure_logging, correlated, logger, redact_text
from dbre.core.telemetry.redaction import LIMIT_FIELD_BYTES
from dbre.testing.clock import FakeClock


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    root = logging.getLogger()
    level = root.level
    configure_logging("info", stream, clock=FakeClock())
    yield stream
    for handler in [one for one in root.handlers if one.get_name() == "dbre"]:
        root.removeHandler(handler)
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_one_line_of_json_with_the_clocks_time(stream: io.StringIO) -> None:
    logger("dbre.test").info("step_finished", operation="a\nb", seconds=2.5, nothing=None, tags=("x", {"y": 1}))
    assert stream.getvalue().count("\n") == 1
    assert lines(stream) == [
        {
            "timestamp": "2026-01-01T00:00:00.000Z",
            "level": "info",
            "event": "step_finished",
            "logger": "dbre.test",
            "operation": "a\\nb",
            "seconds": 2.5,
            "nothing": None,
            "tags": ["x", {"y": 1}],
        }
    ]


def test_levels_are_kept_and_libraries_write_the_same_form(stream: io.StringIO) -> None:
    logger("dbre.test").debug("hidden")
    logging.getLogger("library").info("connecting to %s", "postgresql://u:hunter2@db/x", extra={"port": 1})
    logging.getLogger("library").debug("hidden")
    for name in ("httpx", "paramiko.transport", "botocore.credentials"):
        logging.getLogger(name).info("hidden")
    (line,) = lines(stream)
    assert (line["event"], line["port"], line["level"]) == ("connecting to postgresql://u:***@db/x", 1, "info")


def test_exceptions_are_a_list_of_lines_without_secrets(stream: io.StringIO) -> None:
    try:
        int("password=hunter2\x1b[2J")
    except ValueError:
        logger("dbre.test").exception("step_failed")
    (line,) = lines(stream)
    assert line["exception"][0] == "Traceback (most recent call last):"
    assert line["exception"][-1] == "ValueError: invalid literal for int() with base 10: 'password=***'"
    assert "hunter2" not in stream.getvalue()


def test_a_key_that_stretches_over_the_lines_of_an_exception_is_taken_out(stream: io.StringIO) -> None:
    def fail() -> None:
        raise ValueError("-----BEGIN PRIVATE KEY-----\nhunter2\nhunter3\n-----END PRIVATE KEY-----\ncannot be read")

    try:
        fail()
    except ValueError:
        logger("dbre.test").exception("step_failed")
    (line,) = lines(stream)
    assert line["exception"][-2:] == ["ValueError: ***", "cannot be read"]
    assert "hunter" not in stream.getvalue()


async def test_identifiers_follow_a_task_and_its_children_and_no_other(stream: io.StringIO) -> None:
    log = logger("dbre.test")

    async def child() -> None:
        log.info("child")

    async def work(number: int) -> None:
        with correlated(operation_id=number):
            await asyncio.sleep(0)
            await asyncio.create_task(child())

    await asyncio.gather(work(1), work(2))
    log.info("after")
    assert [(line["event"], line.get("operation_id")) for line in lines(stream)] == [
        ("child", 1),
        ("child", 2),
        ("after", None),
    ]


def test_fields_are_capped_and_odd_values_never_break_a_line(stream: io.StringIO) -> None:
    class Broken:
        def __str__(self) -> str:
            raise RuntimeError("no")

    endless: list = []
    endless.append(endless)
    logger("dbre.test").info(
        "odd",
        long="é" * 20_000,
        broken=Broken(),
        nan=float("nan"),
        huge=10**400,
        big=2**100,
        data=b"\x00\x01",
        endless=endless,
        s={3},
    )
    (line,) = lines(stream)
    assert len(line["long"].encode()) <= LIMIT_FIELD_BYTES
    assert line["long"].endswith("…")
    assert line["broken"] == "<Broken whose str() raised RuntimeError>"
    assert (line["nan"], line["huge"], line["big"], line["data"], line["s"]) == (
        "nan",
        "a huge number",
        str(2**100),
        "2 bytes",
        [3],
    )


def test_configuring_twice_does_not_write_twice(stream: io.StringIO) -> None:
    other = io.StringIO()
    configure_logging("warning", other)
    logger("dbre.test").warning("once")
    assert stream.getvalue() == ""
    assert other.getvalue().count("\n") == 1
    assert re.match(r'\{"timestamp": "20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", ', other.getvalue())


LEAKS = [
    "postgresql://dbre:hunter2@db/shop",
    "postgresql+psycopg://dbre:hun/t:er@hunter2@db/shop",
    "redis://:hunter2@db:6379/0",
    "host=db password=hunter2 user=dbre",
    "host=db password='hun ter\\'hunter2' user=dbre",
    "PGPASSWORD=hunter2 psql",
    "?user=a&password=hunter2&x=1",
    "https://hooks.example/x?token=hunter2",
    '{"password": "hunter2", "a": 1}',
    "{'api_key': 'hunter2'}",
    "Authorization: Bearer hunter2hunter2",
    "Authorization: Basic hunter2",
    "authorization=hunter2",
    "curl -H 'Authorization: hunter2'",
    "ALTER ROLE dbre PASSWORD 'hunter2'",
    "CREATE USER a IDENTIFIED BY 'hunter2'",
    "CREATE USER a IDENTIFIED BY PASSWORD 'hunter2'",
    "requirepass=hunter2",
    "client_secret: hunter2",
    "aws_secret_access_key=hunter2",
    "-----BEGIN RSA PRIVATE KEY-----\nhunter2\n-----END RSA PRIVATE KEY-----",
    "-----BEGIN PRIVATE KEY-----\nhunter2",
    "eyJhbGciOiJIUzI1NiJ9.eyJodW50ZXIyIjoxfQ.hunter2",
    "whsec_hunter2hunter2",
]


@pytest.mark.parametrize("text", LEAKS)
def test_secrets_are_taken_out_of_text(text: str) -> None:
    shown = redact_text(f"before {text}")
    assert "hunter2" not in shown
    assert "***" in shown
    assert shown.startswith("before ")


@pytest.mark.parametrize(
    "text",
    [
        'password authentication failed for user "dbre"',
        "no password supplied",
        "the token is invalid",
        "10.0.0.1:5432 -> 10.0.0.2:5432",
        "https://example.org/a@b",
        "env:ORDERS_PASSWORD",
        "relation \"passwords\" does not exist",
        "user@host: connection refused",
    ],
)  # fmt: skip
def test_plain_messages_stay_as_they_are(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    "key",
    [
        "password",
        "PASSWORD",
        "db_password",
        "passwd",
        "api_key",
        "apiKey",
        "token",
        "x-api-key",
        "Authorization",
        "cookie",
        "dsn",
        "secrets",
    ],
)
def test_keys_that_name_a_secret_hide_their_value(key: str) -> None:
    assert clean({"outer": {key: "hunter2"}}) == {"outer": {key: "***"}}
    assert clean({key: ["hunter2"]}) == {key: "***"}
    assert clean({key: None}) == {key: None}


def test_secret_values_hide_wherever_they_are() -> None:
    assert clean({"a": [Secret("hunter2")], "b": Secret("x")}) == {"a": ["***"], "b": "***"}
    assert clean({"password_count": 3, "tokens_left": 5, "compass": "n"}) == {
        "password_count": 3,
        "tokens_left": 5,
        "compass": "n",
    }


@given(
    value=st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()), lambda below: st.lists(below)
    )
)
def test_whatever_is_logged_becomes_one_line_of_json(value: object) -> None:
    text = json.dumps(clean(value), ensure_ascii=False)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]", text)
    json.loads(text, parse_constant=lambda word: pytest.fail(word))


def test_redaction_takes_bounded_time_on_hostile_text() -> None:
    for piece in (
        "a://b:",
        "password ",
        'password="',
        "eyJaaaaaaaaaa.",
        "a",
        "-----BEGIN PRIVATE KEY-----",
        "authorization ",
        "\\'",
        "a+",
    ):
        began = time.process_time()
        clean(piece * (64 * 1024 // len(piece)))
        assert time.process_time() - began < 0.5, piece


def test_metrics_live_in_their_own_registry() -> None:
    one, other = Metrics(version="1.2"), Metrics(version="1.2")
    one.counter("probes", "Probes made.", ["outcome"]).labels("good").inc(3)
    one.gauge("lag_seconds", "Lag.").set(1.5)
    one.histogram("latency_seconds", "Latency.", buckets=[0.1, 1]).observe(0.5)
    text, content_type = one.expose()
    assert b'dbre_probes_total{outcome="good"} 3.0' in text
    assert b'dbre_build_info{version="1.2"} 1.0' in text
    assert b"process_open_fds" in text
    assert content_type.startswith("text/plain")
    assert b"dbre_probes_total" not in other.expose()[0]
    assert one.expose("application/openmetrics-text; version=1.0.0")[0].endswith(b"# EOF\n")
