"""Logging in at an OpenID provider: authorization code with PKCE, state and nonce, each good for one login."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from authlib.oauth2.rfc6749.parameters import prepare_grant_uri  # type: ignore[import-untyped]  # it has no annotations
from authlib.oauth2.rfc7636 import create_s256_code_challenge  # type: ignore[import-untyped]

from dbre.core.clock import Clock
from dbre.core.identity.access import Access
from dbre.core.identity.document import CALLBACK_PATH, OidcDocument
from dbre.core.identity.model import Principal
from dbre.core.text import one_line
from dbre.web.oidc_claims import Expected, key_id_of, person_of, verified_claims
from dbre.web.oidc_provider import LoginRefused, Provider

__all__ = ["LOGIN_COOKIE", "LOGIN_SECONDS", "LoginProvider", "StartedLogin"]

LOGIN_COOKIE = "dbre_login"
LOGIN_SECONDS = 600
_MAX_STARTED = 2000  # a stranger who begins more drives out the oldest, which then begin again
_AGAIN = "log in again from the login page of this control plane"


@dataclass(frozen=True, slots=True, kw_only=True)
class StartedLogin:
    """Where to send a browser, and the cookie by which it is known again."""

    url: str
    cookie: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Transaction:
    state: str
    nonce: str
    verifier: str
    redirect_url: str
    target: str
    expires_at: float  # monotonic seconds


@dataclass(slots=True)
class LoginProvider:
    """Logins under way are kept in memory, under the hash of a cookie of the browser that began; none is used twice."""

    document: OidcDocument
    access: Access
    clock: Clock
    _provider: Provider = field(init=False)
    _started: dict[str, _Transaction] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._provider = Provider(self.document, self.clock)

    @property
    def name(self) -> str:
        """What the login button says."""
        return self.document.name or urlsplit(self.document.issuer).hostname or self.document.issuer

    @property
    def session_seconds(self) -> float:
        """How long a session lasts after a login here."""
        return self.document.session.total_seconds()

    async def begin(self, *, base_url: str, target: str) -> StartedLogin:
        """Begin a login that ends at ``target``; ``base_url`` is how the browser reaches this control plane.

        Raises: ProviderUnreachable.
        """
        metadata = await self._provider.metadata()
        login = _Transaction(
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(64),
            redirect_url=self.document.redirect_url or base_url.rstrip("/") + CALLBACK_PATH,
            target=target,
            expires_at=self.clock.monotonic() + LOGIN_SECONDS,
        )
        cookie = secrets.token_urlsafe(32)
        self._started[_key(cookie)] = login
        self._started = dict(list(self._started.items())[-_MAX_STARTED:])
        url = prepare_grant_uri(
            metadata.authorization_endpoint,
            client_id=self.document.client_id,
            response_type="code",
            redirect_uri=login.redirect_url,
            scope=" ".join(dict.fromkeys(("openid", *self.document.scopes))),
            state=login.state,
            nonce=login.nonce,
            code_challenge=create_s256_code_challenge(login.verifier),
            code_challenge_method="S256",
        )
        return StartedLogin(url=url, cookie=cookie)

    async def finish(self, cookie: str | None, answer: Mapping[str, str]) -> tuple[Principal, str]:
        """Who has logged in, and where they wanted to go; ``answer`` is the query with which the provider sent them back.

        Raises: LoginRefused, Denied, ProviderUnreachable.
        """
        login = self._started.pop(_key(cookie), None) if cookie else None
        if login is None or login.expires_at <= self.clock.monotonic():
            raise LoginRefused("this login was not begun here, was used already, or took more than ten minutes", hint=_AGAIN)
        if not hmac.compare_digest(answer.get("state", "").encode(), login.state.encode()):
            raise LoginRefused("the answer of the provider belongs to another login", hint=_AGAIN)
        await self._check_sender(answer)
        if answer.get("error"):
            raise LoginRefused(f"the provider refused: {one_line(answer['error'], limit=100)}", hint=_AGAIN)
        if not answer.get("code"):
            raise LoginRefused("the provider sent no code", hint=_AGAIN)
        claims = await self._claims(login, answer["code"])
        document = self.document
        person = person_of(claims, groups_claim=document.groups_claim, allowed_domains=document.allowed_domains)
        principal = self.access.principal_of_login(subject=person.subject, email=person.email, groups=person.groups)
        return principal, login.target

    async def _check_sender(self, answer: Mapping[str, str]) -> None:
        """An answer that says who sent it must come from our provider (RFC 9207), and it must say so if the provider does."""
        sender = answer.get("iss")
        if sender is None and not (await self._provider.metadata()).sends_issuer:
            return
        if sender != self.document.issuer:
            raise LoginRefused("the answer comes from another provider", hint=_AGAIN)

    async def _claims(self, login: _Transaction, code: str) -> Mapping[str, object]:
        tokens = await self._provider.tokens(code=code, verifier=login.verifier, redirect_url=login.redirect_url)
        identity_token, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(identity_token, str):
            raise LoginRefused("the provider sent no identity token", hint="the scope openid must be allowed for this client")
        key = await self._provider.key(key_id_of(identity_token))
        expected = Expected(
            issuer=self.document.issuer,
            client_id=self.document.client_id,
            nonce=login.nonce,
            access_token=access_token if isinstance(access_token, str) else None,
            now=self.clock.now().timestamp(),
        )
        claims = verified_claims(identity_token, key, expected)
        wanted = {"email", self.document.groups_claim}
        if isinstance(access_token, str) and not wanted <= set(claims):
            more = await self._provider.userinfo(access_token)
            if more and more.get("sub") != claims["sub"]:
                raise LoginRefused("the provider told of somebody else than it had signed for", hint=_AGAIN)
            claims = {**more, **claims}
        return claims


def _key(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).hexdigest()
