"""Alerts as an Alertmanager takes them, API v2."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog

from dbre.capabilities.incident.channels.documents import AlertmanagerDocument
from dbre.capabilities.incident.channels.http import HttpService
from dbre.capabilities.incident.notice import Notice
from dbre.capabilities.incident.posting import Request
from dbre.core.clock import Clock
from dbre.core.errors import DbreError, Unreachable
from dbre.core.events import DeliveryRefused, Event
from dbre.core.text import one_line, printable

__all__ = ["BATCH", "AlertmanagerApi", "OutgoingAlert", "alert_document", "label_name", "tell_all", "try_alertmanager"]

BATCH = 100
"""Alerts in one request."""
_NAME = re.compile(r"[^a-zA-Z0-9_]")
_LABELS = ("slo", "cluster", "group", "rule", "severity")
_FACTS = ("burn_rate", "threshold", "budget_remaining_ratio", "telemetry_state")
_LONGEST = 1_000
_OF_THE_ALERT = frozenset({400, 413, 422})  # what these refuse is refused always; 401, 403 and 404 are of the way there

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class OutgoingAlert:
    """One alert of ours. ``document`` holds its labels and annotations; ``ended_at`` None: it fires."""

    alert_id: str
    document: Mapping[str, Any]
    started_at: datetime
    ended_at: datetime | None


def label_name(text: str) -> str:
    """A name that every Alertmanager takes: one bad label turns the answer for a whole batch into an error.

    >>> label_name("tier-0"), label_name("0tier"), label_name("__name__")
    ('tier_0', '_0tier', 'label___name__')
    """
    name = _NAME.sub("_", text) or "_"
    if name[0].isdigit():
        name = f"_{name}"
    return f"label_{name}" if name.startswith("__") else name  # names with two underscores are Prometheus' own


def alert_document(event: Event, *, labels: Mapping[str, str], base_url: str) -> dict[str, Any]:
    """Labels and annotations of an alert event.

    The labels are those of the rules that ``dbre slo compile`` writes, so that one route serves both.
    """
    data = event.data
    name = "SloErrorBudgetBurn" if data.get("telemetry_state") != "telemetry_lost" else "SloTelemetryLost"
    found = {label_name(key): _value(value) for key, value in labels.items()}
    found |= {"alertname": name, **{key: _value(data.get(key)) for key in _LABELS}}
    annotations = {"summary": _value(data.get("summary")), **{key: _value(data.get(key)) for key in _FACTS}}
    annotations["alert_id"] = _value(data.get("alert_id"))
    document: dict[str, Any] = {
        "labels": {key: value for key, value in sorted(found.items()) if value},
        "annotations": {key: value for key, value in sorted(annotations.items()) if value},
    }
    if base_url:
        document["generatorURL"] = f"{base_url}/alerts"
    return document


class AlertmanagerApi:
    """Posts alerts to one member of a cluster of Alertmanagers."""

    def __init__(self, document: AlertmanagerDocument, url: str, clock: Clock) -> None:
        self._document = document
        self._url = f"{url.rstrip('/')}/api/v2/alerts"
        self._clock = clock
        self._http = HttpService(document, clock)

    async def post(self, alerts: Sequence[OutgoingAlert], *, fires_until: datetime) -> Mapping[str, str]:
        """Tell of alerts; those that are refused for good, by id, with what was said.

        A 400 says nothing of a batch: the valid ones of it were taken. They are sent singly then, to know which were not.

        Raises: DeliveryPostponed, Unreachable where nothing can be told now.
        """
        refused: dict[str, str] = {}
        for index in range(0, len(alerts), BATCH):
            batch = alerts[index : index + BATCH]
            try:
                await self._send(batch, fires_until)
            except DeliveryRefused:
                refused |= await self._singly(batch, fires_until)
        return refused

    async def _singly(self, batch: Sequence[OutgoingAlert], fires_until: datetime) -> Mapping[str, str]:
        refused = {}
        for one in batch:
            try:
                await self._send([one], fires_until)
            except DeliveryRefused as error:
                refused[one.alert_id] = error.message
        return refused

    async def _send(self, batch: Sequence[OutgoingAlert], fires_until: datetime) -> None:
        token = self._document.token
        headers = {"Content-Type": "application/json"}
        if token is not None:
            headers["Authorization"] = f"Bearer {(await token.resolve()).reveal()}"
        body = json.dumps([_alert(one, fires_until) for one in batch], separators=(",", ":")).encode()
        try:
            await self._http.send(self._url, Request(body=body, headers=headers))
        except DeliveryRefused as error:
            if error.context.get("status") in _OF_THE_ALERT:
                raise
            raise Unreachable(error.message, hint=error.hint) from error  # another token or route may let it pass


async def tell_all(
    members: Sequence[AlertmanagerApi], alerts: Sequence[OutgoingAlert], *, fires_until: datetime
) -> Mapping[str, str]:
    """Tell every member; one that takes the alerts is enough. What was refused everywhere comes back.

    Raises: the error of the last member where none could be told.
    """
    refused: list[Mapping[str, str]] = []
    failure: DbreError | None = None
    for one in members:
        try:
            refused.append(await one.post(alerts, fires_until=fires_until))
        except DbreError as error:
            failure = error
            _log.warning("alertmanager_member_failed", error=error.message)
    if failure is not None and not refused:
        raise failure
    return {key: said for key, said in (refused[0] if refused else {}).items() if all(key in one for one in refused)}


async def try_alertmanager(document: AlertmanagerDocument, notice: Notice, clock: Clock) -> None:
    """Tell every member of an alert that is over at once. Raises: the error of the first that does not take it."""
    found = {"alertname": "DbreTest", "severity": "none", **document.labels}
    labels = {label_name(key): value for key, value in found.items()}
    alert = OutgoingAlert(
        alert_id=notice.id,
        document={"labels": labels, "annotations": {"summary": notice.title}},
        started_at=notice.at,
        ended_at=notice.at + timedelta(seconds=1),
    )
    for url in document.urls:
        refused = await AlertmanagerApi(document, url, clock).post([alert], fires_until=notice.at)
        if refused:
            raise DeliveryRefused(refused[notice.id])


def _alert(one: OutgoingAlert, fires_until: datetime) -> dict[str, Any]:
    return {**one.document, "startsAt": _text(one.started_at), "endsAt": _text(one.ended_at or fires_until)}


def _text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _value(value: object) -> str:
    if value is None:
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return printable(one_line(text, limit=_LONGEST), limit=_LONGEST)
