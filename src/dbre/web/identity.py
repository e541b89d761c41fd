"""Who may come in: a bearer token for programs, a session cookie for browsers, a CSRF token for their forms."""

import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from dbre.core.clock import Clock
from dbre.core.errors import Denied, UsageError
from dbre.core.identity.access import SERVER_TOKEN, Access
from dbre.core.identity.local import local_principal
from dbre.core.identity.model import Principal
from dbre.core.identity.tokens import is_token, token_digest
from dbre.core.secrets import Secret
from dbre.web.login_audit import LoginAudit

if TYPE_CHECKING:
    from dbre.web.oidc import LoginProvider

__all__ = ["SESSION_COOKIE", "Gatekeeper", "Session", "TooManyWrongTokens", "load_or_create_token"]

SESSION_COOKIE = "dbre_session"
SESSION_SECONDS = 12 * 3600
_MAX_SESSIONS = 1000
_ATTEMPTS, _PER_SECONDS = 10, 60.0  # wrong tokens of one client before its door stays shut for a while
_MAX_CLIENTS = 1000  # whose wrong tokens are remembered
_LEAST_CHARACTERS = 16
_UNGUESSABLE_CHARACTERS = 40  # what people make up is shorter


def load_or_create_token(path: Path) -> Secret:
    """The token in ``path``, made with 256 random bits and mode 0600 if the file is not there.

    Raises: UsageError if others can read the file, or if it is empty.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    except FileExistsError:
        return _read_token(path)
    with os.fdopen(descriptor, "w") as file:
        token = secrets.token_urlsafe(32)
        file.write(token + "\n")
    return Secret(token)


def _read_token(path: Path) -> Secret:
    mode = path.lstat().st_mode
    if not stat.S_ISREG(mode):
        raise UsageError(f"{path} is to hold the login token and is not a plain file", hint=f"remove {path}")
    if stat.S_IMODE(mode) & 0o077:
        raise UsageError(f"{path} holds the login token and others can read it", hint=f"chmod 600 {path}")
    token = path.read_text().strip()
    if len(token) < _LEAST_CHARACTERS:
        raise UsageError(f"{path} holds no usable token", hint=f"rm {path}; a new one is made at the next start")
    return Secret(token)


class TooManyWrongTokens(Denied):
    """This client has guessed too often."""

    code = "identity.too_many_wrong_tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One logged-in browser."""

    principal: Principal
    expires_at: float  # monotonic seconds
    csrf_token: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Opened:
    """A session as kept: a token's owner is looked up at each request, a provider's word holds until the session ends."""

    who: bytes | Principal  # digest of the token, or who logged in at the provider
    expires_at: float
    csrf_token: str


@dataclass(slots=True)
class Gatekeeper:
    """Checks tokens and keeps sessions in memory: a restart of the control plane logs browsers out.

    ``token`` is the control plane's own. Where no identities are configured it stands for the user who runs the control
    plane; beside configured identities it is for emergencies, and may be left out.
    """

    token: Secret | None
    clock: Clock
    access: Access = field(default_factory=Access)
    audit: LoginAudit = field(default_factory=LoginAudit)
    provider: "LoginProvider | None" = None
    _sessions: dict[str, _Opened] = field(default_factory=dict)
    _failures: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises: UsageError where the token is so short that it can be guessed."""
        length = len(self.token.reveal()) if self.token else _LEAST_CHARACTERS
        if length < _LEAST_CHARACTERS:
            raise UsageError(
                f"server.token has {length} characters; at least {_LEAST_CHARACTERS} are needed",
                hint="make one: openssl rand -base64 32; or leave the key out, and dbre makes one",
            )

    def principal_of(self, presented: str) -> Principal | None:
        """Whose token this is; constant time, because only hashes are compared, and all of them."""
        return self._owner(token_digest(presented), is_well_formed=is_token(presented))

    async def log_in(self, presented: str, *, client: str) -> str:
        """Open a session and give its cookie. Raises: Denied for a wrong token, or after too many of them from ``client``."""
        self._check_patience(client)
        principal = self.principal_of(presented)
        if principal is None:
            await self._count_wrong(client, how="token")
            raise self._wrong()
        await self.audit.logged_in(principal, how="token")
        return self._open(token_digest(presented), seconds=SESSION_SECONDS)

    async def bearer(self, presented: str, *, client: str) -> Principal | None:
        """Whose token a request of ``client`` presents. Raises: TooManyWrongTokens, as at the login page.

        A right token that nobody can guess is let in all the same: behind a proxy all programs are one client, and one with an
        expired token must not lock the others out.
        """
        principal = self.principal_of(presented)
        if principal is None or (len(presented) < _UNGUESSABLE_CHARACTERS and not is_token(presented)):
            self._check_patience(client)
        if principal is None:
            await self._count_wrong(client, how="bearer")
        return principal

    def _check_patience(self, client: str) -> None:
        if len(self._recent(client)) >= _ATTEMPTS:
            raise TooManyWrongTokens(
                f"{_ATTEMPTS} wrong tokens within {_PER_SECONDS:.0f} s", hint="wait a minute and try again"
            )

    def _recent(self, client: str) -> list[float]:
        now = self.clock.monotonic()
        return [moment for moment in self._failures.get(client, ()) if now - moment < _PER_SECONDS]

    async def _count_wrong(self, client: str, *, how: str) -> None:
        recent = [*self._recent(client), self.clock.monotonic()]
        self._failures.pop(client, None)
        self._failures[client] = recent
        self._failures = dict(list(self._failures.items())[-_MAX_CLIENTS:])
        await self.audit.refused(how=how, reason="wrong_token")

    async def welcome(self, principal: Principal, *, seconds: float) -> str:
        """Open a session for who has logged in at the provider, and give its cookie."""
        await self.audit.logged_in(principal, how="oidc")
        return self._open(principal, seconds=seconds)

    def session(self, cookie: str | None) -> Session | None:
        """The session of a cookie, or None if there is none, it ran out, or its token holds no more."""
        found = self._sessions.get(_key(cookie)) if cookie else None
        if found is None or found.expires_at <= self.clock.monotonic():
            return None
        who = found.who if isinstance(found.who, Principal) else self._owner(found.who, is_well_formed=True)
        if who is None:
            return None
        return Session(principal=who, expires_at=found.expires_at, csrf_token=found.csrf_token)

    async def log_out(self, cookie: str | None) -> None:
        """End a session; unknown cookies are ignored."""
        session = self.session(cookie)
        self.forget(cookie)
        if session is not None:
            await self.audit.logged_out(session.principal)

    def forget(self, cookie: str | None) -> None:
        """End the session that a new login replaces; unknown cookies are ignored."""
        if cookie:
            self._sessions.pop(_key(cookie), None)

    def _owner(self, digest: bytes, *, is_well_formed: bool) -> Principal | None:
        own = token_digest(self.token.reveal()) if self.token else None
        listed = self.access.principal_of_digest(digest, now=self.clock.now())
        if own is not None and hmac.compare_digest(own, digest):
            return local_principal() if self.access.is_embedded else SERVER_TOKEN
        return listed if is_well_formed else None

    def _open(self, who: bytes | Principal, *, seconds: float) -> str:
        now = self.clock.monotonic()
        alive = {key: one for key, one in self._sessions.items() if one.expires_at > now}
        self._sessions = dict(list(alive.items())[-_MAX_SESSIONS + 1 :])
        cookie = secrets.token_urlsafe(32)
        self._sessions[_key(cookie)] = _Opened(who=who, expires_at=now + seconds, csrf_token=secrets.token_urlsafe(32))
        return cookie

    def _wrong(self) -> Denied:
        if self.access.is_embedded:
            return Denied("the token is wrong", hint="the start-up message of `dbre server` names the file that holds it")
        return Denied(
            "the token is wrong or has expired", hint="dbre identity token NAME makes a new one; an administrator lists it"
        )


def _key(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).hexdigest()
