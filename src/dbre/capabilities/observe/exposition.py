"""What ``/metrics`` answers, kept ready in memory: sources hand in families when they have news, a scrape joins bytes."""

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4, exposition
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.openmetrics import exposition as openmetrics

from dbre.core.clock import Clock

__all__ = ["Exposition", "Source"]

_OPENMETRICS_TYPE = "application/openmetrics-text"
_SUFFIXES = {
    "counter": ("_total", "_created"),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
    "gaugehistogram": ("_bucket", "_gcount", "_gsum"),
    "summary": ("", "_count", "_sum", "_created"),
    "info": ("_info",),
}


class Source(NamedTuple):
    """Who hands in families. Parts of one group (the collectors of an instance) must not give the same sample twice."""

    group: str
    part: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Chunk:
    """The sample lines of one family from one source."""

    lines: bytes
    keys: frozenset[object]
    expires_at: float  # monotonic; inf: never
    afterwards: bytes  # what to show once expired; empty: nothing


@dataclass(slots=True, kw_only=True)
class _Family:
    type: str
    text_header: bytes
    openmetrics_header: bytes
    names: tuple[str, ...]
    chunks: dict[Source, _Chunk] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    body: bytes
    version: int
    valid_until: float


class _One:
    """A registry of one family, for the encoders of prometheus_client."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        yield self._metric


class Exposition:
    """All families of all sources. HELP and TYPE come once a family, from whoever brought it first.

    Encoding happens in ``put``, that is when a source has news, once a sample; ``render`` only joins what is ready, and gives
    the same bytes again while nothing changed or expired. Samples that would make the page invalid are left out and counted
    in ``dbre_exporter_dropped_samples_total``: a second sample with the same labels, or a name that a family of another
    type already has.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._families: dict[str, _Family] = {}
        self._owner: dict[str, str] = {}  # sample name -> family
        self._by_source: dict[Source, set[str]] = {}
        self._groups: dict[str, set[Source]] = {}
        self._dropped: Counter[str] = Counter()
        self._version = 0
        self._pages: dict[bool, _Page] = {}

    def put(
        self,
        source: Source,
        families: Iterable[Metric],
        *,
        lifetime_seconds: float = math.inf,
        afterwards: Iterable[Metric] = (),
    ) -> None:
        """Replace all that ``source`` gave before. After ``lifetime_seconds`` it vanishes, or becomes ``afterwards``."""
        expires_at = self._clock.monotonic() + lifetime_seconds
        later = {metric.name: _lines(metric) for metric in afterwards}
        self._forget(source)
        self._groups.setdefault(source.group, set()).add(source)
        given = self._by_source.setdefault(source, set())
        for metric in families:
            if metric.name in given:
                self._dropped["duplicate"] += len(metric.samples)
                continue
            family = self._claim(metric)
            if family is None:
                self._dropped["name_clash"] += len(metric.samples)
                continue
            keys = self._without_duplicates(metric, source, family)
            family.chunks[source] = _Chunk(
                lines=_lines(metric), keys=keys, expires_at=expires_at, afterwards=later.get(metric.name, b"")
            )
            given.add(metric.name)
        self._version += 1

    def remove(self, source: Source) -> None:
        """Take away all that ``source`` gave."""
        self._forget(source)
        self._version += 1

    def drop(self, reason: str, count: int) -> None:
        """Count samples that a source had to leave out."""
        self._dropped[reason] += count

    def render(self, accept: str = "") -> tuple[bytes, str]:
        """The page and its content type: OpenMetrics 1.0 for who accepts it, else the Prometheus text format 0.0.4."""
        is_open = _accepts_openmetrics(accept)
        now = self._clock.monotonic()
        page = self._pages.get(is_open)
        if page is None or page.version != self._version or now >= page.valid_until:
            page = self._pages[is_open] = self._build(is_open=is_open, now=now)
        return page.body, openmetrics.CONTENT_TYPE_LATEST if is_open else CONTENT_TYPE_PLAIN_0_0_4

    def _build(self, *, is_open: bool, now: float) -> _Page:
        own = CounterMetricFamily(
            "dbre_exporter_dropped_samples", "Samples left out because the page would be invalid.", labels=["reason"]
        )
        for reason in ("duplicate", "invalid", "name_clash"):
            own.add_metric([reason], self._dropped[reason])
        parts: list[bytes] = [_header(own, is_open=is_open), _lines(own)]
        valid_until = math.inf
        for name in sorted(self._families):
            family = self._families[name]
            lines = []
            for chunk in family.chunks.values():
                if now < chunk.expires_at:
                    valid_until = min(valid_until, chunk.expires_at)
                    lines.append(chunk.lines)
                else:
                    lines.append(chunk.afterwards)
            if any(lines):
                parts.append(family.openmetrics_header if is_open else family.text_header)
                parts += lines
        if is_open:
            parts.append(b"# EOF\n")
        return _Page(body=b"".join(parts), version=self._version, valid_until=valid_until)

    def _claim(self, metric: Metric) -> _Family | None:
        known = self._families.get(metric.name)
        if known is not None:
            return known if known.type == metric.type else None
        names = (metric.name, *(metric.name + suffix for suffix in _SUFFIXES.get(metric.type, ()) if suffix))
        if any(name in self._owner for name in names) or metric.name == "dbre_exporter_dropped_samples":
            return None
        self._owner.update(dict.fromkeys(names, metric.name))
        family = _Family(
            type=metric.type,
            text_header=_header(metric, is_open=False),
            openmetrics_header=_header(metric, is_open=True),
            names=names,
        )
        self._families[metric.name] = family
        return family

    def _without_duplicates(self, metric: Metric, source: Source, family: _Family) -> frozenset[object]:
        """Take samples out of ``metric`` that it or its group has already; the keys of those that stay."""
        taken = {
            key
            for other in self._groups[source.group]
            if other != source and other in family.chunks
            for key in family.chunks[other].keys
        }
        keys: set[object] = set()
        kept = []
        for sample in metric.samples:
            key = (sample.name, frozenset(sample.labels.items()))
            if sample.name.endswith("_created") and metric.type != "gauge":
                continue  # a second family in the text format, and of no use to anybody
            if key in keys or key in taken:
                self._dropped["duplicate"] += 1
                continue
            keys.add(key)
            kept.append(sample)
        metric.samples = kept
        return frozenset(keys)

    def _forget(self, source: Source) -> None:
        for name in self._by_source.pop(source, ()):
            family = self._families[name]
            del family.chunks[source]
            if not family.chunks:
                del self._families[name]
                for claimed in family.names:
                    del self._owner[claimed]
        members = self._groups.get(source.group)
        if members is not None:
            members.discard(source)
            if not members:
                del self._groups[source.group]


def _lines(metric: Metric) -> bytes:
    # The sample lines are the same in both formats; only headers and the end differ.
    encoded = exposition.generate_latest(_One(metric))
    return b"".join(line for line in encoded.splitlines(keepends=True) if not line.startswith(b"# "))


def _header(metric: Metric, *, is_open: bool) -> bytes:
    empty = Metric(metric.name, metric.documentation, metric.type)
    if is_open:
        encoded: bytes = openmetrics.generate_latest(_One(empty))  # type: ignore[no-untyped-call] # not annotated there
        return encoded.removesuffix(b"# EOF\n")
    return exposition.generate_latest(_One(empty))


def _accepts_openmetrics(accept: str) -> bool:
    for offer in accept.split(","):
        kind, *parameters = (part.strip() for part in offer.split(";"))
        if kind.lower() == _OPENMETRICS_TYPE:
            return not any(_is_refusal(parameter) for parameter in parameters)
    return False


def _is_refusal(parameter: str) -> bool:
    key, _, value = parameter.partition("=")
    return key.strip().lower() == "q" and value.strip() in ("0", "0.0", "0.00", "0.000")
