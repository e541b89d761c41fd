"""Logins at a real OpenID provider, into a real control plane; and everything that must not lead in."""

import asyncio
import json
import re
from collections.abc import AsyncIterator

import httpx
import pytest
import pytest_asyncio
from oidc_kit import CLIENT, CLIENT_SECRET, OidcProvider

from dbre.core.identity.access import Access
from dbre.core.identity.document import OidcDocument
from dbre.core.identity.tokens import make_token, token_hash
from dbre.demo.control_plane import ControlPlaneProcess, write_private
from dbre.lab.free_port import choose_port
from dbre.testing.clock import FakeClock
from dbre.web.oidc import LoginProvider
from dbre.web.oidc_claims import person_of
from dbre.web.oidc_provider import LoginRefused, ProviderUnreachable

ALICE = {"sub": "u-1", "email": "Alice@example.com", "email_verified": True}
BOB_TOKEN, IDLE_TOKEN, OLD_TOKEN = make_token(), make_token(), make_token()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def provider() -> AsyncIterator[OidcProvider]:
    started = OidcProvider()
    started.start()
    yield started
    started.stop()


@pytest.fixture(autouse=True)
def honest(provider: OidcProvider) -> None:
    provider.trick, provider.person = "", dict(ALICE)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def plane(provider: OidcProvider, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[ControlPlaneProcess]:
    directory = tmp_path_factory.mktemp("plane")
    write_private(directory / "client-secret", CLIENT_SECRET)
    access = {
        "principals": [
            {"name": "alice", "email": "alice@example.com", "grants": [{"role": "operator", "environments": ["test"]}]},
            {"name": "bob", "tokens": [{"hash": token_hash(BOB_TOKEN)}], "grants": [{"role": "viewer"}]},
            {"name": "idle", "kind": "service", "tokens": [{"hash": token_hash(IDLE_TOKEN)}]},
            {
                "name": "old",
                "tokens": [{"hash": token_hash(OLD_TOKEN), "expires_at": "2020-01-01T00:00:00Z"}],
                "grants": [{"role": "admin"}],
            },
        ],
        "groups": [{"group": "dba", "grants": [{"role": "approver"}]}],
        "oidc": {
            "issuer": provider.issuer,
            "name": "Example",
            "client_id": CLIENT,
            "client_secret": f"file:{directory / 'client-secret'}",
        },
    }
    process = ControlPlaneProcess(directory, {"access": access})
    await process.start()
    yield process
    await process.stop()


async def come_back(client: httpx.AsyncClient, target: str = "/") -> str:
    """Begin a login and go to the provider; the address to which it sends the browser back."""
    begun = await client.get("/login/oidc", params={"next": target})
    assert begun.status_code == 303, begun.text
    sent = await client.get(begun.headers["location"])
    assert sent.status_code == 302, sent.text
    return sent.headers["location"]


async def is_inside(client: httpx.AsyncClient) -> bool:
    return (await client.get("/support")).status_code == 200


async def test_login_leads_to_the_page_that_was_asked_for_as_the_person_that_is_listed(plane: ControlPlaneProcess) -> None:
    async with plane.client(authenticated=False) as client:
        assert "Log in with Example" in (await client.get("/login")).text
        entered = await client.get(await come_back(client, "/slo?x=1"))
        assert (entered.status_code, entered.headers["location"]) == (303, "/slo?x=1")
        session = next(one for one in entered.headers.get_list("set-cookie") if one.startswith("dbre_session="))
        assert {"HttpOnly", "SameSite=lax"} <= {part.strip() for part in session.split(";")}
        assert entered.headers["cache-control"] == "no-store"
        page = await client.get("/support")
        assert '<span class="who">alice</span>' in page.text
        csrf = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
        assert csrf is not None
        assert (await client.post("/logout", data={"csrf_token": "guess"})).status_code == 403
        assert await is_inside(client)
        assert (await client.post("/logout", data={"csrf_token": csrf[1]})).status_code == 303
        assert not await is_inside(client)


@pytest.mark.parametrize(
    ("trick", "reason"),
    [
        ("wrong nonce", "nonce"),
        ("no nonce", "nonce"),
        ("wrong audience", "aud"),
        ("several audiences", "azp"),
        ("wrong party", "azp"),
        ("expired", "exp"),
        ("from the future", "iat"),
        ("wrong issuer", "iss"),
        ("no subject", "sub"),
        ("wrong access token hash", "at_hash"),
        ("unsigned", "signed with none"),
        ("signed with the public key as a secret", "signed with HS256"),
        ("signed with another key", "signature"),
        ("no identity token", "no identity token"),
        ("user info of somebody else", "somebody else"),
        ("user refuses", "access_denied"),
        ("answer from another provider", "another provider"),
    ],
)
async def test_a_token_that_is_not_right_leads_nowhere(
    plane: ControlPlaneProcess, provider: OidcProvider, trick: str, reason: str
) -> None:
    provider.trick = trick
    async with plane.client(authenticated=False) as client:
        refused = await client.get(await come_back(client))
        assert refused.status_code == 403
        alert = re.search(r'role="alert">([^<]*)<', refused.text)
        assert alert is not None
        assert reason in alert[1].lower().replace("hs256", "HS256")
        assert "dbre_session" not in client.cookies
        assert not await is_inside(client)


@pytest.mark.parametrize(
    ("trick", "reason"), [("token endpoint is down", "HTTP 503"), ("token endpoint redirects", "HTTP 307")]
)
async def test_provider_that_fails_is_a_page_with_503_and_its_host(
    plane: ControlPlaneProcess, provider: OidcProvider, trick: str, reason: str
) -> None:
    provider.trick = trick
    async with plane.client(authenticated=False) as client:
        answer = await client.get(await come_back(client), headers={"Accept": "text/html"})
    assert answer.status_code == 503
    assert reason in answer.text
    assert f"127.0.0.1:{provider.port}" in answer.text


async def test_an_unverified_address_is_nobodys(plane: ControlPlaneProcess, provider: OidcProvider) -> None:
    provider.person["email_verified"] = False
    async with plane.client(authenticated=False) as client:
        refused = await client.get(await come_back(client))
    assert refused.status_code == 403
    assert "is not known here" in refused.text


async def test_a_member_of_a_listed_group_comes_in_under_the_verified_address(
    plane: ControlPlaneProcess, provider: OidcProvider
) -> None:
    provider.person = {"sub": "u-2", "email": "carol@example.com", "email_verified": True, "groups": ["dba", "x"]}
    async with plane.client(authenticated=False) as client:
        assert (await client.get(await come_back(client))).status_code == 303
        assert '<span class="who">carol@example.com</span>' in (await client.get("/support")).text


async def test_an_answer_works_once_in_the_browser_that_began(plane: ControlPlaneProcess) -> None:
    async with plane.client(authenticated=False) as client, plane.client(authenticated=False) as other:
        address = await come_back(client)
        assert (await other.get(address)).status_code == 403
        cookie = client.cookies["dbre_login"]
        assert (await client.get(address)).status_code == 303
        client.cookies.clear()
        replayed = await client.get(address, headers={"Cookie": f"dbre_login={cookie}"})
        assert replayed.status_code == 403
        assert not await is_inside(client)


async def test_a_stolen_code_does_not_fit_another_login(plane: ControlPlaneProcess) -> None:
    async with plane.client(authenticated=False) as victim, plane.client(authenticated=False) as thief:
        stolen = httpx.URL(await come_back(victim)).params["code"]
        own = httpx.URL(await come_back(thief))
        refused = await thief.get(own.copy_set_param("code", stolen))
        assert refused.status_code == 403
        assert "invalid_grant" in refused.text  # the verifier of the thief's login is not the victim's


async def test_state_of_another_login_is_refused(plane: ControlPlaneProcess) -> None:
    async with plane.client(authenticated=False) as client:
        address = httpx.URL(await come_back(client)).copy_set_param("state", "guess")
        refused = await client.get(address)
    assert refused.status_code == 403
    assert "belongs to another login" in refused.text


async def test_new_keys_of_the_provider_are_learned(plane: ControlPlaneProcess, provider: OidcProvider) -> None:
    async with plane.client(authenticated=False) as client:
        assert (await client.get(await come_back(client))).status_code == 303
        provider.rotate()
        await asyncio.sleep(1.1)
        client.cookies.clear()
        assert (await client.get(await come_back(client))).status_code == 303


@pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example"])
async def test_login_at_the_provider_leads_to_no_other_site(plane: ControlPlaneProcess, target: str) -> None:
    async with plane.client(authenticated=False) as client:
        entered = await client.get(await come_back(client, target))
    assert (entered.status_code, entered.headers["location"]) == (303, "/")


async def test_tokens_open_what_their_roles_allow(plane: ControlPlaneProcess) -> None:
    async def status(token: str, path: str = "/api/v1/clusters") -> int:
        async with plane.client(authenticated=False) as client:
            return (await client.get(path, headers={"Authorization": f"Bearer {token}"})).status_code

    assert await status(BOB_TOKEN.reveal()) == 200
    assert await status(IDLE_TOKEN.reveal()) == 403  # known, without a role
    assert await status(IDLE_TOKEN.reveal(), "/metrics") == 403
    assert await status(OLD_TOKEN.reveal()) == 401
    assert await status(make_token().reveal()) == 401
    assert await status(plane.token) == 200  # server.token, for emergencies


async def test_a_token_logs_a_browser_in_as_its_owner_and_replaces_the_session_before(plane: ControlPlaneProcess) -> None:
    async with plane.client(authenticated=False) as client:
        await client.post("/login", data={"token": plane.token})
        assert '<span class="who">server-token</span>' in (await client.get("/support")).text
        before = client.cookies["dbre_session"]
        await client.post("/login", data={"token": BOB_TOKEN.reveal()})
        assert '<span class="who">bob</span>' in (await client.get("/support")).text
        client.cookies.clear()
        assert (await client.get("/support", headers={"Cookie": f"dbre_session={before}"})).status_code == 303


async def test_another_site_cannot_log_a_browser_in(plane: ControlPlaneProcess) -> None:
    async with plane.client(authenticated=False) as client:
        sent = await client.post("/login", data={"token": plane.token}, headers={"Sec-Fetch-Site": "cross-site"})
        assert sent.status_code == 403
        assert "dbre_session" not in client.cookies


async def test_no_token_file_is_made_where_identities_are_configured(plane: ControlPlaneProcess) -> None:
    assert not (plane.directory / "dbre.token").exists()


async def test_provider_that_is_not_there_is_unreachable() -> None:
    issuer = f"http://127.0.0.1:{choose_port()}"
    login = LoginProvider(OidcDocument(issuer=issuer, client_id="dbre"), Access(has_provider=True), FakeClock())
    with pytest.raises(ProviderUnreachable, match=r"does not answer: 127.0.0.1:\d+: connection refused"):
        await login.begin(base_url="http://127.0.0.1:1", target="/")


def test_only_verified_addresses_of_the_allowed_domains_come_in() -> None:
    claims = {"sub": "u", "email": "a@Example.com", "email_verified": True}
    found = person_of(claims, groups_claim="groups", allowed_domains=("example.com",))
    assert found.email == "a@example.com"
    for change in ({"email": "a@evil-example.com"}, {"email": "a@example.com@evil"}, {"email_verified": False}):
        with pytest.raises(LoginRefused, match="domains"):
            person_of(claims | change, groups_claim="groups", allowed_domains=("example.com",))


async def test_logins_stand_in_the_audit_log(plane: ControlPlaneProcess) -> None:

    async with plane.client(authenticated=False) as client:
        await client.post("/login", data={"token": BOB_TOKEN.reveal()})
        await client.post("/login", data={"token": "guess"})
    child = await asyncio.create_subprocess_exec(
        *plane.command("audit", "list", "-o", "json"), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    output, errors = await child.communicate()
    assert child.returncode == 0, errors
    found = [(one["action"], one["actor"]) for one in json.loads(output)["items"]]
    assert ("identity.login", "bob") in found
    assert any(action == "identity.login_refused" for action, _ in found)
