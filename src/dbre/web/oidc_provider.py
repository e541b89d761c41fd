"""Speaking with an OpenID provider: its discovery document, its keys, its token and user-info endpoints."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import httpx
from authlib.oauth2.auth import ClientAuth  # type: ignore[import-untyped]  # the package has no annotations
from joserfc.errors import JoseError
from joserfc.jwk import Key, KeySet

from dbre.core.clock import Clock
from dbre.core.errors import Denied, Unreachable
from dbre.core.fleet import TlsMode
from dbre.core.identity.document import OidcDocument, is_loopback
from dbre.core.network import failure_word, tls_context
from dbre.core.text import one_line

__all__ = ["LoginRefused", "Metadata", "Provider", "ProviderUnreachable"]

_CONNECT_SECONDS, _ANSWER_SECONDS, _TOTAL_SECONDS = 3.0, 5.0, 8.0
_FRESH_SECONDS = 3600.0  # of discovery and keys
_KEYS_AGAIN_SECONDS = 1.0  # an unknown key id makes the keys be read again, but not in a storm
_LIMIT_BYTES = 1024 * 1024
_KEY_TYPES = frozenset({"RSA", "EC", "OKP"})  # a shared secret among public keys would be everybody's


class ProviderUnreachable(Unreachable):
    """The OpenID provider does not answer, or not as one."""

    code = "identity.provider_unreachable"
    retryable = True


class LoginRefused(Denied):
    """The provider, or a check of what it said, refused a login."""

    code = "identity.login_refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """What is needed of a discovery document (OpenID Connect Discovery 1.0, section 3)."""

    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None
    token_auth_methods: tuple[str, ...]
    sends_issuer: bool  # RFC 9207


@dataclass(slots=True)
class Provider:
    """One provider; what it publishes is kept for an hour. Redirects are not followed, every request has a time limit.

    The guard against requests to internal addresses does not hold here: the administrator names the provider.
    """

    document: OidcDocument
    clock: Clock
    _metadata: tuple[float, Metadata] | None = None
    _keys: tuple[float, tuple[Key, ...]] | None = None
    _lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def metadata(self) -> Metadata:
        """The discovery document, read at most once an hour. Raises: ProviderUnreachable."""
        async with self._lock:
            if self._metadata is None or self.clock.monotonic() - self._metadata[0] > _FRESH_SECONDS:
                url = self.document.issuer.rstrip("/") + "/.well-known/openid-configuration"
                found = self._read_metadata(await self._json("GET", url))
                self._metadata = (self.clock.monotonic(), found)
            return self._metadata[1]

    async def key(self, key_id: str | None) -> Key:
        """The key that signs with this id; without an id, the only one there is. Raises: LoginRefused, ProviderUnreachable."""
        uri = (await self.metadata()).jwks_uri
        async with self._lock:
            found = self._find_key(key_id)
            age = self.clock.monotonic() - self._keys[0] if self._keys else None
            if age is None or age > _FRESH_SECONDS or (found is None and age >= _KEYS_AGAIN_SECONDS):
                self._keys = (self.clock.monotonic(), _signing_keys(await self._json("GET", uri)))
                found = self._find_key(key_id)
        if found is None:
            raise LoginRefused("the identity token is signed with a key that the provider does not publish", hint=_LOOK)
        return found

    async def tokens(self, *, code: str, verifier: str, redirect_url: str) -> Mapping[str, Any]:
        """Exchange a code for tokens. Raises: LoginRefused, ProviderUnreachable, SecretUnavailable."""
        metadata = await self.metadata()
        form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier, "redirect_uri": redirect_url}
        reference = self.document.client_secret
        secret = (await reference.resolve()).reveal() if reference else None
        method = "none" if secret is None else "client_secret_basic"
        if (
            secret is not None
            and method not in metadata.token_auth_methods
            and "client_secret_post" in metadata.token_auth_methods
        ):
            method = "client_secret_post"
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        body = str(httpx.QueryParams(form))
        auth = ClientAuth(self.document.client_id, secret, method)
        url, headers, body = auth.prepare("POST", metadata.token_endpoint, headers, body)
        return await self._json("POST", url, headers=headers, content=body)

    async def userinfo(self, access_token: str) -> Mapping[str, Any]:
        """What the provider tells about who has this access token; nothing where it has no such endpoint."""
        endpoint = (await self.metadata()).userinfo_endpoint
        if endpoint is None:
            return {}
        return await self._json(
            "GET", endpoint, headers={"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
        )

    async def _json(self, method: str, url: str, **request: Any) -> Mapping[str, Any]:
        try:
            async with asyncio.timeout(_TOTAL_SECONDS), self._client() as client:
                async with client.stream(method, url, **request) as answer:
                    content = b""
                    async for chunk in answer.aiter_bytes():
                        content += chunk
                        if len(content) > _LIMIT_BYTES:
                            raise _unusable(url, f"more than {_LIMIT_BYTES // 1024} KiB")
                return _document(url, httpx.Response(answer.status_code, content=content))
        except (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError) as error:
            reason = "timeout" if isinstance(error, httpx.TimeoutException) else failure_word(_cause(error))
            raise ProviderUnreachable(
                f"the OpenID provider does not answer: {_host(url)}: {reason.replace('_', ' ')}",
                hint="try again, or log in with a token; the address is access.oidc.issuer",
            ) from error

    def _client(self) -> httpx.AsyncClient:
        ca_file = str(self.document.tls_ca_file) if self.document.tls_ca_file else None
        is_local = is_loopback(urlsplit(self.document.issuer).hostname or "")
        return httpx.AsyncClient(
            verify=tls_context(TlsMode.VERIFY_FULL, ca_file) or True,
            timeout=httpx.Timeout(_ANSWER_SECONDS, connect=_CONNECT_SECONDS),
            follow_redirects=False,
            trust_env=not is_local,  # a provider elsewhere may be behind the machine's proxy
        )

    def _read_metadata(self, found: Mapping[str, Any]) -> Metadata:
        if found.get("issuer") != self.document.issuer:
            raise ProviderUnreachable(
                f"the provider calls itself {one_line(str(found.get('issuer')), limit=200)}, not {self.document.issuer}",
                hint="access.oidc.issuer must be the same to the last character",
            )
        methods = found.get("token_endpoint_auth_methods_supported")
        return Metadata(
            authorization_endpoint=self._endpoint(found, "authorization_endpoint"),
            token_endpoint=self._endpoint(found, "token_endpoint"),
            jwks_uri=self._endpoint(found, "jwks_uri"),
            userinfo_endpoint=self._endpoint(found, "userinfo_endpoint") if found.get("userinfo_endpoint") else None,
            token_auth_methods=tuple(map(str, methods)) if isinstance(methods, list) else ("client_secret_basic",),
            sends_issuer=found.get("authorization_response_iss_parameter_supported") is True,
        )

    def _endpoint(self, found: Mapping[str, Any], key: str) -> str:
        url = found.get(key)
        parts = urlsplit(url) if isinstance(url, str) else urlsplit("")
        is_safe = parts.scheme == "https" or (parts.scheme == "http" and is_loopback(parts.hostname or ""))
        if not isinstance(url, str) or not is_safe or not parts.hostname:
            raise _unusable(self.document.issuer, f"a discovery document whose {key} is no https URL")
        return url

    def _find_key(self, key_id: str | None) -> Key | None:
        keys = self._keys[1] if self._keys else ()
        if key_id is None:
            return keys[0] if len(keys) == 1 else None
        return next((one for one in keys if one.kid == key_id), None)


_LOOK = "log in again; if it stays, compare access.oidc with what the provider says"


def _signing_keys(found: Mapping[str, Any]) -> tuple[Key, ...]:
    listed = found.get("keys")
    usable = [
        one
        for one in (listed if isinstance(listed, list) else ())
        if isinstance(one, dict) and one.get("kty") in _KEY_TYPES and one.get("use", "sig") == "sig"
    ]
    try:
        return tuple(KeySet.import_key_set({"keys": usable}).keys) if usable else ()
    except (JoseError, ValueError, TypeError) as error:
        raise ProviderUnreachable("the OpenID provider publishes keys that cannot be read", hint=_LOOK) from error


def _document(url: str, answer: httpx.Response) -> Mapping[str, Any]:
    try:
        found = answer.json()
    except ValueError:
        found = None
    if answer.status_code == 200 and isinstance(found, dict):
        return found
    if 400 <= answer.status_code < 500 and isinstance(found, dict) and isinstance(found.get("error"), str):
        raise LoginRefused(f"the provider refused: {one_line(found['error'], limit=100)}", hint=_LOOK)
    raise _unusable(url, f"HTTP {answer.status_code}" if answer.status_code != 200 else "something that is no JSON object")


def _unusable(url: str, what: str) -> ProviderUnreachable:
    return ProviderUnreachable(f"the OpenID provider answered {what}: {_host(url)}", hint=_LOOK)


def _host(url: str) -> str:
    return one_line(urlsplit(url).netloc, limit=200)


def _cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    return error
