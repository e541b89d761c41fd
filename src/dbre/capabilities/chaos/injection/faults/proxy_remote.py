"""A toxic at a fault proxy that runs elsewhere on this machine, put on for a few seconds at a time over its API."""

import os
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx

from dbre.core.errors import PrecheckFailed, Unreachable
from dbre.core.text import counted, printable

__all__ = ["StandingProxy"]

_LEASE_SECONDS = 4.0  # renewed each second
_SECONDS = 5.0
_LONGEST_TOKEN = 4096
_TOKEN = re.compile(r"[A-Za-z0-9_.~+/=-]{16,}")


class StandingProxy:
    """Speaks to the API as any client of Toxiproxy does."""

    def __init__(self, api: str, token_file: str, proxy: str, document: Mapping[str, Any]) -> None:
        self._api, self._token_file = api, token_file
        self._document = {**document, "ttl": _LEASE_SECONDS}
        self._proxy = f"/proxies/{quote(proxy, safe='')}"
        self._toxic = f"{self._proxy}/toxics/{quote(str(document['name']), safe='')}"

    async def prepare(self) -> Mapping[str, Any]:
        """See that it answers and knows the proxy."""
        answer = await self._call("GET", self._proxy)
        if answer is None:
            raise PrecheckFailed(f"nobody answers at {self._api}", hint="start it: dbre chaos proxy run --api --api-token")
        if answer.status_code != httpx.codes.OK:
            raise PrecheckFailed(f"the proxy at {self._api} says: {_told(answer)}", hint="name it with proxy=NAME")
        return {}

    async def put(self) -> None:
        """Put it on. Raises: PrecheckFailed with the proxy's own words."""
        answer = await self._call("POST", f"{self._proxy}/toxics", self._document)
        if answer is None or answer.status_code != httpx.codes.OK:
            raise PrecheckFailed(f"the proxy at {self._api} refused the toxic: {_told(answer)}", hint="dbre chaos proxy toxics")

    async def renew(self) -> None:
        """A few more seconds."""
        await self._call("PATCH", self._toxic, {"ttl": _LEASE_SECONDS})

    async def look(self) -> tuple[bool, str]:
        """Whether it is on, and how many it has hit."""
        answer = await self._call("GET", self._toxic)
        if answer is None:
            return False, f"nobody answers at {self._api}: the proxy is gone, and its toxics with it"
        if answer.status_code == httpx.codes.NOT_FOUND:
            return False, "the proxy has no such toxic"
        if answer.status_code != httpx.codes.OK:
            raise Unreachable(f"the proxy at {self._api} says: {_told(answer)}")
        state = await self._call("GET", self._proxy)
        counts = state.json().get("counts", {}) if state is not None and state.status_code == httpx.codes.OK else {}
        hits = counts.get("hits", {}).get(self._document["name"], 0)
        asked = counted(int(counts.get("queries", 0)), "query", "queries")
        return True, f"{int(hits)} hit, of {asked} on {counted(int(counts.get('accepted', 0)), 'connection')}"

    async def take(self) -> None:
        """Take it off."""
        await self._call("DELETE", self._toxic)

    async def _call(self, method: str, path: str, document: object = None) -> httpx.Response | None:
        """What it answers; None where nobody listens. Raises: Unreachable where somebody does and does not answer."""
        headers = {"authorization": f"Bearer {_token(self._token_file)}"}
        try:
            async with httpx.AsyncClient(base_url=f"http://{self._api}", timeout=_SECONDS, trust_env=False) as client:
                return await client.request(method, path, json=document, headers=headers)
        except httpx.ConnectError:
            return None
        except httpx.HTTPError as error:
            raise Unreachable(f"the proxy at {self._api} does not answer: {type(error).__name__}") from error


def _told(answer: httpx.Response | None) -> str:
    if answer is None:
        return "nothing"
    try:
        return printable(str(answer.json()["error"]), limit=300)
    except (ValueError, KeyError, TypeError):
        return f"status {answer.status_code}"


def _token(path: str) -> str:
    """What the file holds, if it is a token: another file's content must not be sent to anybody."""
    try:
        with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            found = file.read(_LONGEST_TOKEN).decode("ascii").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PrecheckFailed(f"the token in {printable(path)} cannot be read: {error}", hint="name the proxy's file") from error
    if not _TOKEN.fullmatch(found):
        raise PrecheckFailed(f"{printable(path)} holds no token of a proxy", hint="name the file given to --api-token")
    return found
