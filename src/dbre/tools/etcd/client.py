"""Requests to an etcd: a change goes to one member after the other, as long as it is certain that none has done it.

A question may be asked twice, so that a member which is silent holds up no other one for long.
"""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from dbre.core.errors import DbreError, Denied, Unreachable
from dbre.core.text import printable
from dbre.tools.etcd.model import Compared, EtcdError, Event, KeyValue, LeaseLife, MemberHealth, NoQuorum, Range, encoded
from dbre.tools.first_answer import Silent, first_answer
from dbre.tools.json_servers import Answer, JsonServers, NoAnswer, NotAsked, ServersAccess, shown

__all__ = ["EtcdClient"]

_NO_QUORUM = ("no leader", "request timed out", "leader changed", "not healthy", "no healthy", "stopped")
_BAD_TOKEN = ("invalid auth token", "auth token is", "revision of auth store is old")


class EtcdClient:
    """One etcd, over the JSON gateway of its members."""

    def __init__(self, access: ServersAccess) -> None:
        self._access = access
        self._servers = JsonServers(access)
        self._token: str | None = None
        self._first = 0  # the member that answered last

    async def __aenter__(self) -> "EtcdClient":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._servers.aclose()

    async def read(self, key: str, *, prefix: bool = False, is_stale_allowed: bool = False) -> Range:
        """A key, or all that begin with it, as a majority knows them; with ``is_stale_allowed`` as the asked member does.

        Raises: NoQuorum, Unreachable, Denied, EtcdError.
        """
        request: dict[str, Any] = {"key": encoded(key), "serializable": is_stale_allowed}
        if prefix:
            request["range_end"] = encoded(_after(key.encode()))
        return _range(await self._asked("/v3/kv/range", request, is_repeatable=True))

    async def put(self, key: str, value: bytes | str, *, lease: int = 0) -> int:
        """Write a key; returns the revision. Raises: NoAnswer where nobody knows whether it was written, and as ``read``."""
        document = {"key": encoded(key), "value": encoded(value), "lease": str(lease)}
        return int(_header(await self._asked("/v3/kv/put", document)))

    async def compare_and_delete(self, key: str, expected: bytes | str, *, mod_revision: int | None = None) -> Compared:
        """Delete a key only if it has this value, and was not written after ``mod_revision``, be it with the same value.

        Raises: NoAnswer where nobody knows whether it did, and as ``read``.
        """
        same = [] if mod_revision is None else [_compare(key, target="MOD", mod_revision=str(mod_revision))]
        return await self._compared(key, expected, {"request_delete_range": {"key": encoded(key)}}, *same)

    async def compare_and_put(self, key: str, expected: bytes | str | None, value: bytes | str, *, lease: int = 0) -> Compared:
        """Write a key only if it has this value; None: if it does not exist. Raises: as ``compare_and_delete``."""
        put = {"key": encoded(key), "value": encoded(value), "lease": str(lease)}
        return await self._compared(key, expected, {"request_put": put})

    async def _compared(
        self, key: str, expected: bytes | str | None, act: Mapping[str, Any], *besides: Mapping[str, Any]
    ) -> Compared:
        if expected is None:
            compare = _compare(key, target="CREATE", create_revision="0")
        else:
            compare = _compare(key, target="VALUE", value=encoded(expected))
        otherwise = {"request_range": {"key": encoded(key)}}
        answer = await self._asked("/v3/kv/txn", {"compare": [compare, *besides], "success": [act], "failure": [otherwise]})
        if answer.get("succeeded"):
            return Compared(is_done=True, revision=_header(answer), found=None)
        found = answer.get("responses") or [{}]
        return Compared(is_done=False, revision=_header(answer), found=_range(found[0].get("response_range") or answer).only)

    async def grant_lease(self, ttl_seconds: int) -> int:
        """A new lease; returns its number. Raises: as ``put``."""
        return int((await self._asked("/v3/lease/grant", {"TTL": str(ttl_seconds), "ID": "0"}))["ID"])

    async def revoke_lease(self, lease: int) -> None:
        """End a lease, and delete the keys that hang on it. Raises: as ``put``."""
        await self._asked("/v3/lease/revoke", {"ID": str(lease)}, is_repeatable=True)

    async def lease_life(self, lease: int) -> LeaseLife:
        """How long a lease still lives. Raises: as ``read``."""
        answer = await self._asked("/v3/lease/timetolive", {"ID": str(lease)}, is_repeatable=True)
        left = int(answer.get("TTL", 0))
        return LeaseLife(granted_seconds=int(answer.get("grantedTTL", 0)), remaining_seconds=left if left >= 0 else None)

    @asynccontextmanager
    async def watch(self, key: str, *, prefix: bool = False, start_revision: int = 0) -> AsyncIterator[AsyncIterator[Event]]:
        """Changes of a key from a revision on, or from now on; the watch is there when the context begins.

        Raises: as ``read``; NoAnswer where the member stops answering.
        """
        create: dict[str, Any] = {"key": encoded(key), "start_revision": str(start_revision)}
        if prefix:
            create["range_end"] = encoded(_after(key.encode()))
        url = self._in_order()[0]
        async with self._servers.stream(url, "/v3/watch", {"create_request": create}, headers=await self._headers()) as lines:
            async with asyncio.timeout(self._access.timeout_seconds):
                first = _watched(await anext(lines, b"{}"))
            if not first.get("created"):
                raise NoAnswer(f"etcd at {shown(url)} does not watch {printable(key, limit=200)}")
            yield _events(lines, url)

    async def health(self) -> tuple[MemberHealth, ...]:
        """What every member says of itself; one that does not answer is told with why."""
        return tuple(await asyncio.gather(*(self._health(url) for url in self._access.urls)))

    async def _health(self, url: str) -> MemberHealth:
        try:
            said = await self._answered(await self._servers.ask(url, "POST", "/v3/maintenance/status", {}))
            return MemberHealth(
                url=url,
                error=None,
                member_id=int(said["header"].get("member_id", 0)),
                leader_id=int(said.get("leader", 0)),
                term=int(said.get("raftTerm", 0)),
                version=printable(str(said.get("version", "")), limit=40),
                db_bytes=int(said.get("dbSize", 0)),
            )
        except (DbreError, KeyError, TypeError, ValueError, AttributeError) as error:
            return MemberHealth(url=url, error=error.message if isinstance(error, DbreError) else f"a strange answer: {error}")

    async def _asked(self, path: str, document: Mapping[str, Any], *, is_repeatable: bool = False) -> dict[str, Any]:
        if is_repeatable:
            try:
                url, found = await first_answer(self._in_order(), lambda one: self._with_token(one, path, document))
            except Silent as error:
                raise self._nobody(error.failures) from error
            self._first = self._access.urls.index(url)
            return found
        failures: list[Unreachable] = []
        for url in self._in_order():
            try:
                found = await self._with_token(url, path, document)
            except NotAsked as error:
                failures.append(error)
            else:
                self._first = self._access.urls.index(url)
                return found
        raise self._nobody(failures)

    def _nobody(self, failures: Sequence[Unreachable]) -> Unreachable:
        lost = next((one for one in failures if isinstance(one, NoQuorum)), None)
        if lost is not None:
            return lost
        places = ", ".join(map(shown, self._access.urls))
        kind = NotAsked if all(isinstance(one, NotAsked) for one in failures) else NoAnswer
        return kind(f"no member of etcd answers ({places}); the last: {failures[-1].message}")

    async def _with_token(self, url: str, path: str, document: Mapping[str, Any]) -> dict[str, Any]:
        for is_last in (False, True):
            answer = await self._servers.ask(url, "POST", path, document, headers=await self._headers(url))
            if answer.status != 200 and not is_last and any(word in answer.text for word in _BAD_TOKEN):
                self._token = None  # it ends after some minutes, and with the member that gave it
                continue
            return await self._answered(answer)
        raise AssertionError("the second round returns or raises")

    async def _answered(self, answer: Answer) -> dict[str, Any]:
        if answer.status == 200:
            found = answer.document()
            if not isinstance(found, dict):
                raise NoAnswer(f"etcd at {shown(answer.url)} answers with something else than its gateway does")
            return found
        said = answer.text
        if any(word in said for word in _NO_QUORUM):
            raise NoQuorum(
                f"etcd at {shown(answer.url)} has no quorum: {said}", hint="see which members run: etcdctl endpoint health"
            )
        message = f"etcd at {shown(answer.url)} answers {answer.status}: {said}"
        if (
            answer.status in (401, 403)
            or "permission denied" in said
            or "authentication failed" in said
            or "user name is" in said
        ):
            raise Denied(message, hint="check user and password of etcd in ha: clusters:, and the role that they have")
        if answer.status in (502, 503, 504):
            raise NoAnswer(message)
        raise EtcdError(message)

    async def _headers(self, url: str | None = None) -> dict[str, str]:
        login = await self._servers.login() if self._access.user is not None else None
        if login is None:
            return {}
        if self._token is None:
            where = url if url is not None else self._in_order()[0]
            answer = await self._servers.ask(where, "POST", "/v3/auth/authenticate", {"name": login[0], "password": login[1]})
            self._token = str((await self._answered(answer)).get("token", ""))
        return {"Authorization": self._token}

    def _in_order(self) -> Sequence[str]:
        urls = self._access.urls
        return [*urls[self._first :], *urls[: self._first]]


def _compare(key: str, **wanted: str) -> dict[str, Any]:
    return {"key": encoded(key), "result": "EQUAL", **wanted}


def _after(key: bytes) -> bytes:
    """The first key that does not begin with ``key``; for all keys the gateway wants a zero byte."""
    trimmed = key.rstrip(b"\xff")
    return trimmed[:-1] + bytes([trimmed[-1] + 1]) if trimmed else b"\0"


def _header(answer: Mapping[str, Any]) -> int:
    try:
        return int(answer["header"]["revision"])
    except (KeyError, TypeError, ValueError) as error:
        raise NoAnswer("etcd answers without a revision") from error


def _range(answer: Mapping[str, Any]) -> Range:
    try:
        return Range(revision=_header(answer), items=tuple(KeyValue.read(one) for one in answer.get("kvs") or ()))
    except (AttributeError, TypeError, ValueError) as error:
        raise NoAnswer(f"etcd answers with keys that cannot be read: {printable(str(error), limit=200)}") from error


def _watched(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError as error:
        raise NoAnswer("etcd's watch says something else than JSON") from error
    result = found.get("result") if isinstance(found, dict) else None
    if not isinstance(result, dict):
        raise NoAnswer(f"etcd's watch ended: {printable(line[:300].decode('utf-8', 'replace'), limit=200)}")
    return result


async def _events(lines: AsyncIterator[bytes], url: str) -> AsyncIterator[Event]:
    async for line in lines:
        result = _watched(line)
        if result.get("canceled"):
            raise NoAnswer(
                f"etcd at {shown(url)} ended the watch: {printable(str(result.get('cancel_reason', '')), limit=200)}"
            )
        for one in result.get("events") or ():
            yield Event(is_delete=one.get("type") == "DELETE", item=KeyValue.read(one.get("kv") or {}))
    raise NoAnswer(f"etcd at {shown(url)} ended the watch")
