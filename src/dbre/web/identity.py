"""Who may come in: a bearer token for programs, a session cookie for browsers, a CSRF token for their forms."""

import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path

from dbre.core.clock import Clock
from dbre.core.errors import Denied, UsageError
from dbre.core.secrets import Secret

__all__ = ["SESSION_COOKIE", "Gatekeeper", "Session", "load_or_create_token"]

SESSION_COOKIE = "dbre_session"
SESSION_SECONDS = 12 * 3600
_MAX_SESSIONS = 1000
_ATTEMPTS, _PER_SECONDS = 10, 60.0  # wrong tokens of one client before its door stays shut for a while
_MAX_CLIENTS = 1000  # whose wrong tokens are remembered
_LEAST_CHARACTERS = 16


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One logged-in browser."""

    expires_at: float  # monotonic seconds
    csrf_token: str


@dataclass(slots=True)
class Gatekeeper:
    """Checks tokens and keeps sessions in memory: a restart of the control plane logs browsers out."""

    token: Secret
    clock: Clock
    _sessions: dict[str, Session] = field(default_factory=dict)
    _failures: dict[str, list[float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises: UsageError where the token is so short that it can be guessed."""
        length = len(self.token.reveal())
        if length < _LEAST_CHARACTERS:
            raise UsageError(
                f"server.token has {length} characters; at least {_LEAST_CHARACTERS} are needed",
                hint="make one: openssl rand -base64 32; or leave the key out, and dbre makes one",
            )

    def accepts(self, presented: str) -> bool:
        """Whether this is the token; constant time, because both sides are hashed first."""
        expected = hashlib.sha256(self.token.reveal().encode()).digest()
        return hmac.compare_digest(expected, hashlib.sha256(presented.encode("utf-8", "surrogateescape")).digest())

    def log_in(self, presented: str, *, client: str) -> str:
        """Open a session and give its cookie. Raises: Denied for a wrong token, or after too many of them from ``client``."""
        now = self.clock.monotonic()
        recent = [moment for moment in self._failures.get(client, ()) if now - moment < _PER_SECONDS]
        if len(recent) >= _ATTEMPTS:
            raise Denied(f"{_ATTEMPTS} wrong tokens within {_PER_SECONDS:.0f} s", hint="wait a minute and try again")
        if not self.accepts(presented):
            self._failures.pop(client, None)
            self._failures[client] = [*recent, now]
            self._failures = dict(list(self._failures.items())[-_MAX_CLIENTS:])
            raise Denied("the token is wrong", hint="the start-up message of `dbre server` names the file that holds it")
        self._forget_expired(now)
        cookie = secrets.token_urlsafe(32)
        self._sessions[_key(cookie)] = Session(expires_at=now + SESSION_SECONDS, csrf_token=secrets.token_urlsafe(32))
        return cookie

    def session(self, cookie: str | None) -> Session | None:
        """The session of a cookie, or None if there is none or it ran out."""
        found = self._sessions.get(_key(cookie)) if cookie else None
        return found if found and found.expires_at > self.clock.monotonic() else None

    def log_out(self, cookie: str | None) -> None:
        """End a session; unknown cookies are ignored."""
        if cookie:
            self._sessions.pop(_key(cookie), None)

    def _forget_expired(self, now: float) -> None:
        alive = {key: one for key, one in self._sessions.items() if one.expires_at > now}
        self._sessions = dict(list(alive.items())[-_MAX_SESSIONS + 1 :])


def _key(cookie: str) -> str:
    return hashlib.sha256(cookie.encode("utf-8", "surrogateescape")).hexdigest()
