"""A real OpenID provider on loopback, with its own keys, that consents at once and can be told to misbehave."""

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import uvicorn
from fastapi import FastAPI, Form, Header
from fastapi.responses import JSONResponse, RedirectResponse, Response
from joserfc import jwt
from joserfc.jwk import RSAKey

from dbre.lab.free_port import choose_port

CLIENT, CLIENT_SECRET = "dbre", "a secret : with & signs"


def _key() -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": secrets.token_hex(4), "use": "sig", "alg": "RS256"})


@dataclass
class OidcProvider:
    """RS256, PKCE S256, codes that work once. ``trick`` names what it does wrong; ``person`` are the claims of who logs in."""

    port: int = field(default_factory=choose_port)
    key: RSAKey = field(default_factory=_key)
    person: dict[str, Any] = field(default_factory=dict)
    trick: str = ""
    _codes: dict[str, dict[str, str]] = field(default_factory=dict)
    _server: uvicorn.Server | None = None

    @property
    def issuer(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def rotate(self) -> None:
        self.key = _key()

    def start(self) -> None:
        self._server = uvicorn.Server(uvicorn.Config(self._app(), host="127.0.0.1", port=self.port, log_config=None))
        threading.Thread(target=self._server.run, daemon=True).start()
        while not self._server.started:
            time.sleep(0.02)

    def stop(self) -> None:
        assert self._server is not None
        self._server.should_exit = True

    def _app(self) -> FastAPI:
        app = FastAPI()
        app.add_api_route("/.well-known/openid-configuration", self._discovery)
        app.add_api_route("/authorize", self._authorize)
        app.add_api_route("/token", self._token, methods=["POST"])
        app.add_api_route("/userinfo", self._userinfo)
        app.add_api_route("/jwks", self._jwks)
        return app

    def _discovery(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "authorization_response_iss_parameter_supported": True,
        }

    def _authorize(
        self, client_id: str, redirect_uri: str, state: str, nonce: str, code_challenge: str, code_challenge_method: str
    ) -> Response:
        assert client_id == CLIENT
        assert code_challenge_method == "S256"
        code = secrets.token_urlsafe(16)
        self._codes[code] = {"challenge": code_challenge, "nonce": nonce, "redirect_uri": redirect_uri}
        answer = {"code": code, "state": state, "iss": self.issuer}
        if self.trick == "user refuses":
            answer = {"error": "access_denied", "state": state, "iss": self.issuer}
        if self.trick == "answer from another provider":
            answer["iss"] = "https://evil.example"
        return RedirectResponse(f"{redirect_uri}?{urlencode(answer)}", status_code=302)

    def _token(
        self, code: str = Form(), code_verifier: str = Form(), redirect_uri: str = Form(), authorization: str = Header("")
    ) -> Response:
        if self.trick == "token endpoint is down":
            return Response("busy", status_code=503)
        if self.trick == "token endpoint redirects":
            return RedirectResponse("/userinfo", status_code=307)
        expected = base64.b64encode(f"{CLIENT}:{CLIENT_SECRET}".encode()).decode()
        if not hmac.compare_digest(authorization, f"Basic {expected}"):
            return JSONResponse({"error": "invalid_client"}, status_code=401)
        found = self._codes.pop(code, None)
        challenge = base64.urlsafe_b64encode(hashlib.sha256(code_verifier.encode()).digest()).rstrip(b"=").decode()
        if found is None or found["challenge"] != challenge or found["redirect_uri"] != redirect_uri:
            return JSONResponse({"error": "invalid_grant"}, status_code=400)
        answer = {
            "access_token": "opaque",
            "token_type": "Bearer",
            "expires_in": 60,
            "id_token": self._id_token(found["nonce"]),
        }
        if self.trick == "no identity token":
            del answer["id_token"]
        return JSONResponse(answer)

    def _id_token(self, nonce: str) -> str:
        now = int(time.time())
        claims = {"iss": self.issuer, "aud": CLIENT, "iat": now, "exp": now + 60, "nonce": nonce} | self.person
        claims |= {
            "wrong nonce": {"nonce": "another"},
            "wrong audience": {"aud": "another"},
            "several audiences": {"aud": [CLIENT, "another"]},
            "wrong party": {"azp": "another"},
            "expired": {"iat": now - 900, "exp": now - 300},
            "from the future": {"iat": now + 900, "exp": now + 1200},
            "wrong issuer": {"iss": "https://evil.example"},
            "no subject": {"sub": ""},
            "wrong access token hash": {"at_hash": "AAAAAAAAAAAAAAAAAAAAAA"},
        }.get(self.trick, {})
        if self.trick == "no nonce":
            del claims["nonce"]
        header = {"alg": "RS256", "kid": self.key.kid}
        if self.trick == "unsigned":
            return _compact({"alg": "none"}, claims, lambda _: b"")
        if self.trick == "signed with the public key as a secret":
            secret = self.key.as_pem(private=False)
            return _compact(header | {"alg": "HS256"}, claims, lambda text: hmac.digest(secret, text, "sha256"))
        if self.trick == "signed with another key":
            return jwt.encode(header, claims, _key())
        return jwt.encode(header, claims, self.key)

    def _userinfo(self) -> dict[str, Any]:
        return self.person | ({"sub": "somebody-else"} if self.trick == "user info of somebody else" else {})

    def _jwks(self) -> dict[str, Any]:
        return {"keys": [self.key.as_dict(private=False), {"kty": "oct", "kid": "shared", "k": "AAAA"}]}


def _compact(header: dict[str, Any], claims: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """By hand: libraries refuse to make what these tests need."""
    text = b".".join(_base64(json.dumps(one).encode()) for one in (header, claims))
    return (text + b"." + _base64(sign(text))).decode()


def _base64(content: bytes) -> bytes:
    return base64.urlsafe_b64encode(content).rstrip(b"=")
