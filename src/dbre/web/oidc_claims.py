"""Whether an identity token is genuine and meant for this login, and what it says about a person."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from authlib.oidc.core import CodeIDToken  # type: ignore[import-untyped]  # the package has no annotations
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import Key
from joserfc.util import urlsafe_b64decode

from dbre.core.text import printable
from dbre.web.oidc_provider import LoginRefused

__all__ = ["ALGORITHMS", "Expected", "Person", "key_id_of", "person_of", "verified_claims"]

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519")
"""Signatures by a key pair only: with ``none`` nobody signs, with HS256 whoever has the public key can."""

SKEW_SECONDS = 60
_HINT = "log in again; if it stays, look at the provider's settings for this client, and at both clocks"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What an identity token must say to belong to this login."""

    issuer: str
    client_id: str
    nonce: str
    access_token: str | None
    now: float  # seconds since 1970


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Who has logged in at the provider."""

    subject: str
    email: str | None  # only where the provider has verified it
    groups: frozenset[str]


def key_id_of(token: str) -> str | None:
    """Which key an identity token claims to be signed with. Raises: LoginRefused for another algorithm than ``ALGORITHMS``."""
    try:
        header = json.loads(urlsafe_b64decode(token.partition(".")[0].encode()))
    except (ValueError, TypeError) as error:
        raise LoginRefused("the identity token cannot be read", hint=_HINT) from error
    algorithm = header.get("alg") if isinstance(header, dict) else None
    if algorithm not in ALGORITHMS:
        raise LoginRefused(f"the identity token is signed with {printable(str(algorithm), limit=20)}", hint=_HINT)
    key_id = header.get("kid")
    return key_id if isinstance(key_id, str) else None


def verified_claims(token: str, key: Key, expected: Expected) -> Mapping[str, Any]:
    """The claims of a token whose signature, issuer, audience, times and nonce are right.

    Raises: LoginRefused, naming the check that failed.
    Source: OpenID Connect Core 1.0, 3.1.3.7 "ID Token Validation".
    """
    options = {
        "iss": {"essential": True, "value": expected.issuer},
        "aud": {"essential": True, "value": expected.client_id},
        "sub": {"essential": True},
        "exp": {"essential": True},
        "nonce": {"essential": True, "value": expected.nonce},
    }
    params = {"nonce": expected.nonce, "client_id": expected.client_id, "access_token": expected.access_token}
    try:
        read = jwt.decode(token, key, algorithms=list(ALGORITHMS))
        if key.alg not in (None, read.header["alg"]):
            raise LoginRefused("the identity token is signed with another algorithm than its key is for", hint=_HINT)
        claims = CodeIDToken(read.claims, read.header, options, params)
        claims.validate(now=int(expected.now), leeway=SKEW_SECONDS)
    except (JoseError, ValueError, TypeError) as error:
        # Names of checks are told, values are not: they are the provider's and the person's.
        raise LoginRefused(f"the identity token is not valid: {_check_of(error)}", hint=_HINT) from error
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= 255:
        raise LoginRefused("the identity token is not valid: sub", hint=_HINT)
    return dict(claims)


def person_of(claims: Mapping[str, Any], *, groups_claim: str, allowed_domains: tuple[str, ...]) -> Person:
    """The person of verified claims. An e-mail that the provider has not verified counts as none.

    Raises: LoginRefused where only e-mails of other domains may come in.
    """
    given = claims.get("email")
    is_email = isinstance(given, str) and given.count("@") == 1 and len(given) <= 320 and printable(given) == given
    email = str(given).lower() if is_email and claims.get("email_verified") in (True, "true") else None
    if allowed_domains and (email is None or email.rpartition("@")[2] not in allowed_domains):
        raise LoginRefused(
            "only verified e-mail addresses of some domains may log in, and this is none of them",
            hint="an administrator lists the domain under access.oidc.allowed_domains",
        )
    found = claims.get(groups_claim)
    listed = [found] if isinstance(found, str) else found if isinstance(found, list) else []
    groups = frozenset(one for one in listed if isinstance(one, str))
    return Person(subject=str(claims["sub"]), email=email, groups=groups)


def _check_of(error: Exception) -> str:
    claim = getattr(error, "claim", None) or getattr(error, "claim_name", None)
    return printable(str(claim or getattr(error, "error", None) or type(error).__name__), limit=60)
