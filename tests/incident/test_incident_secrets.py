"""Secrets do not leave: not in the errors of requests, not in postmortems that are exported."""

import asyncio

import pytest

from dbre.capabilities.incident.address_guard import AddressPolicy
from dbre.capabilities.incident.posting import Destination, Request, post
from dbre.capabilities.incident.postmortem.markdown import escaped
from dbre.capabilities.incident.postmortem.redaction import redacted
from dbre.core.errors import Unreachable


@pytest.mark.parametrize("token", ["sk_topsecret\nX-Other: 1", "sk_topsecret\u0141", "sk_topsecret\x00"])
async def test_a_token_that_is_no_header_is_not_repeated(token: str) -> None:
    server = await asyncio.start_server(lambda _, writer: writer.close(), "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    there = Destination(
        who="channel am",
        url=f"http://127.0.0.1:{port}/hidden",
        timeout_seconds=20,
        policy=AddressPolicy(allow_loopback=True),
    )
    async with server:
        with pytest.raises(Unreachable) as caught:
            await post(there, Request(body=b"", headers={"Authorization": f"Bearer {token}"}))
    shown, error = "", caught.value
    cause: BaseException | None = error
    while cause is not None:  # a traceback shows the whole chain
        shown += f"{cause!s} "
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    assert "topsecret" not in shown
    assert "hidden" not in shown


SAMPLES = (
    "xoxb-123456789012-abcdefghij",
    "ghp_abcdefghijklmnop",
    "glpat-abcdefghijklmn",
    "sk_live_abcdefghijkl",
    "whsec_abcdefghijkl",
    "api_key=hunter2",
    "access_key: hunter2",
    "password=a&b(hunter2)",
    "postgresql://app_user:hun_ter2@db1/shop",
    "ann_b@example.com",
    "eyJhbGciOi-.eyJzdWI_abc.sig-na_ture",
    "-----BEGIN PRIVATE KEY-----hunter2-----END PRIVATE KEY-----",
    "Key (e_mail)=(ann_b) already exists",
    "IDENTIFIED BY 'hunter_2'",
    "Authorization: Bearer abc-def_ghi.jkl",
)
SECRET_WORDS = (
    "123456789012", "abcdefghij", "hunter", "hun", "ter2", "ann", "sdWI", "ture", "ghi.jkl", "def"
)  # fmt: skip


@pytest.mark.parametrize("sample", SAMPLES)
def test_what_a_draft_escapes_is_blackened_too(sample: str) -> None:
    text, places = redacted(f"before {escaped(sample)} after *b*")
    assert places >= 1
    plain = text.replace("\\", "")
    assert [word for word in SECRET_WORDS if word in plain] == []
    assert text.startswith("before ")
    assert text.endswith(" after *b*")
