"""The history that the store has of an SLO instance, or that a Prometheus has of two counters."""

from collections.abc import Sequence
from datetime import UTC, datetime

from dbre.capabilities.slo.correction import Interval, intervals_of
from dbre.capabilities.slo.correction_repository import load_corrections
from dbre.capabilities.slo.definition import SloInstance
from dbre.capabilities.slo.polling.documents import PrometheusDocument
from dbre.capabilities.slo.polling.expression import check_counter, for_cluster
from dbre.capabilities.slo.polling.increase import CounterPair, ReadSeries
from dbre.capabilities.slo.series import SLOT_SECONDS, SlotSeries, slot_at
from dbre.capabilities.slo.slot_repository import find_series, load_slots
from dbre.core.store import Store
from dbre.tools.prometheus import PrometheusClient, Series, ServerAccess

__all__ = ["prometheus_history", "stored_corrections", "stored_history"]

_CHUNK_SECONDS = 21_600
_MEMORY_SECONDS = 3_600


async def stored_history(store: Store, instance: SloInstance, *, since: datetime, until: datetime) -> tuple[SlotSeries, int]:
    """The slots of an instance between two moments, and how far apart its events are in ms (0: they come when they come)."""
    async with store.read() as connection:
        keys = await find_series(connection, [instance])
        if instance.id not in keys:
            return SlotSeries(), instance.definition.sli.interval_ms(SLOT_SECONDS * 1000)
        key = keys[instance.id]
        loaded = await load_slots(connection, {key.id: slot_at(since)}, end=slot_at(until) + 1)
        return loaded[key.id].series, key.interval_ms


async def stored_corrections(store: Store, instance: SloInstance) -> tuple[Interval, ...]:
    """The slots of an instance that do not count."""
    async with store.read() as connection:
        return intervals_of(await load_corrections(connection), instance)


async def prometheus_history(
    server: PrometheusDocument, *, bad: str, total: str, cluster: str, since: datetime, until: datetime
) -> SlotSeries:
    """The increases of two counters between two moments, slot by slot. Raises: Unreachable, Denied, QueryRefused."""
    client = PrometheusClient(_access(server))
    bad, total = for_cluster(check_counter(bad), cluster), for_cluster(check_counter(total), cluster)
    start, end = (int(at.timestamp()) // SLOT_SECONDS * SLOT_SECONDS for at in (since, until))
    pair, series = CounterPair(), SlotSeries()
    try:
        memory = range(start - _MEMORY_SECONDS, start + 1, 60)
        pair.prime(await _ask(client, bad, memory), await _ask(client, total, memory))
        for low in range(start, end, _CHUNK_SECONDS):
            boundaries = range(low + SLOT_SECONDS, min(low + _CHUNK_SECONDS, end) + 1, SLOT_SECONDS)
            counted = pair.advance(await _ask(client, bad, boundaries), await _ask(client, total, boundaries), boundaries)
            for slot, _, counts in counted:
                series.add(slot, counts)
    finally:
        await client.aclose()
    return series


async def _ask(client: PrometheusClient, expression: str, boundaries: range) -> list[ReadSeries]:
    start, end = (datetime.fromtimestamp(at, UTC) for at in (boundaries[0], boundaries[-1]))
    found: Sequence[Series] = await client.range(expression, start=start, end=end, step_seconds=boundaries.step)
    return [
        ReadSeries(labels={**one.labels, "__name__": one.name}, values={round(at): value for at, value in one.points})
        for one in found
    ]


def _access(document: PrometheusDocument) -> ServerAccess:
    return ServerAccess(
        url=document.url,
        timeout_seconds=document.timeout.total_seconds(),
        token=document.token.secret() if document.token else None,
        user=document.user,
        password=document.password.secret() if document.password else None,
        tls_ca_file=document.tls_ca_file,
    )
