"""What each path of the API does."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from dbre.capabilities.chaos.proxy.errors import ToxicInvalid, UnknownProxy, UnknownToxic
from dbre.capabilities.chaos.proxy.service import Proxies
from dbre.capabilities.chaos.proxy.toxic import toxic_from
from dbre.core.errors import Conflict, DbreError, UsageError

__all__ = ["Answer", "Routes", "failure"]


@dataclass(frozen=True, slots=True)
class Answer:
    """A status, and a document or text."""

    status: int
    body: object = None
    content_type: str = "application/json"


def failure(status: int, message: str, hint: str | None = None) -> Answer:
    """An error as Toxiproxy writes it, and what to do next."""
    return Answer(status, {"error": message, "status": status, "hint": hint})


class Routes:
    """Requests become calls of ``Proxies``, and its errors become statuses."""

    def __init__(self, proxies: Proxies, version: str) -> None:
        self._proxies, self._version = proxies, version
        self._table: tuple[tuple[str, re.Pattern[str], Callable[..., Answer]], ...] = (
            ("GET", re.compile("/proxies"), self._list),
            ("POST", re.compile("/proxies"), self._create),
            ("POST", re.compile("/populate"), self._populate),
            ("POST", re.compile("/reset"), self._reset),
            ("GET", re.compile("/version"), lambda _: Answer(200, {"version": self._version})),
            ("GET", re.compile("/metrics"), self._metrics),
            ("GET", re.compile("/proxies/([^/]+)"), lambda _, name: Answer(200, self._proxies.get(name).as_document())),
            ("POST PATCH", re.compile("/proxies/([^/]+)"), self._update),
            ("DELETE", re.compile("/proxies/([^/]+)"), self._delete),
            ("GET", re.compile("/proxies/([^/]+)/connections"), self._connections),
            ("GET", re.compile("/proxies/([^/]+)/toxics"), self._toxics),
            ("POST", re.compile("/proxies/([^/]+)/toxics"), self._add),
            ("GET", re.compile("/proxies/([^/]+)/toxics/([^/]+)"), self._toxic),
            ("POST PATCH", re.compile("/proxies/([^/]+)/toxics/([^/]+)"), self._change),
            ("DELETE", re.compile("/proxies/([^/]+)/toxics/([^/]+)"), self._remove),
        )

    def answer(self, method: str, url: str, body: bytes) -> Answer:
        """What a request comes to; never raises for what a client sent."""
        path = urlsplit(url).path.rstrip("/") or "/"
        found = [(methods, match, act) for methods, pattern, act in self._table if (match := pattern.fullmatch(path))]
        if not found:
            return failure(404, "no such path", "see docs/reference/chaos.md")
        for methods, match, act in found:
            if method in methods.split():
                try:
                    return act(_document(body), *(unquote(one) for one in match.groups()))
                except DbreError as error:
                    return failure(_status(error), error.message, error.hint)
        return failure(405, f"{method} is not for this path")

    def _list(self, _: object) -> Answer:
        return Answer(200, {name: one.as_document() for name, one in self._proxies.all().items()})

    def _create(self, document: object) -> Answer:
        return Answer(201, self._proxies.create(document).as_document())

    def _populate(self, document: object) -> Answer:
        return Answer(201, {"proxies": [one.as_document() for one in self._proxies.populate(document)]})

    def _reset(self, _: object) -> Answer:
        self._proxies.reset()
        return Answer(204)

    def _update(self, document: object, name: str) -> Answer:
        return Answer(200, self._proxies.update(name, document).as_document())

    def _delete(self, _: object, name: str) -> Answer:
        self._proxies.delete(name)
        return Answer(204)

    def _connections(self, _: object, name: str) -> Answer:
        return Answer(200, [one.as_document() for one in self._proxies.get(name).connections])

    def _toxics(self, _: object, name: str) -> Answer:
        return Answer(200, [one.as_document() for one in self._proxies.get(name).toxics.values()])

    def _toxic(self, _: object, name: str, toxic: str) -> Answer:
        return Answer(200, self._proxies.get(name).toxic(toxic).as_document())

    def _add(self, document: object, name: str) -> Answer:
        proxy, toxic = self._proxies.get(name), toxic_from(document)
        proxy.add(toxic)
        return Answer(200, toxic.as_document())

    def _change(self, document: object, name: str, toxic: str) -> Answer:
        proxy = self._proxies.get(name)
        changed = toxic_from({**document, "name": toxic} if isinstance(document, dict) else document, before=proxy.toxic(toxic))
        proxy.change(changed)
        return Answer(200, changed.as_document())

    def _remove(self, _: object, name: str, toxic: str) -> Answer:
        self._proxies.get(name).remove(toxic)
        return Answer(204)

    def _metrics(self, _: object) -> Answer:
        lines = []
        for name, proxy in self._proxies.all().items():
            counts, label = proxy.counts, f'{{proxy="{name}"}}'
            lines.append(f"dbre_chaos_proxy_connections{label} {len(proxy.connections)}")
            lines.append(f"dbre_chaos_proxy_accepted_total{label} {counts.accepted}")
            lines.append(f"dbre_chaos_proxy_queries_total{label} {counts.units}")
            lines += [
                f'dbre_chaos_proxy_hits_total{{proxy="{name}",toxic="{toxic}"}} {hits}' for toxic, hits in counts.hits.items()
            ]
        return Answer(200, ("\n".join(lines) + "\n").encode(), "text/plain; version=0.0.4")


def _document(body: bytes) -> object:
    if not body:
        return {}
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UsageError("the body is not JSON", hint=f"{type(error).__name__} while it was read") from error


def _status(error: DbreError) -> int:
    if isinstance(error, UnknownProxy | UnknownToxic):
        return 404
    if isinstance(error, Conflict):
        return 409
    return 400 if isinstance(error, UsageError | ToxicInvalid) else 500
