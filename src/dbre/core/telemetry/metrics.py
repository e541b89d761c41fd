"""Metrics of dbre itself, in a registry that is handed in: two control planes in one process do not mix."""

from collections.abc import Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

__all__ = ["Metrics"]


class Metrics:
    """Makes metrics named ``dbre_*`` and writes them out."""

    def __init__(self, *, version: str) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        ProcessCollector(registry=self.registry)
        build = Gauge("dbre_build_info", "1, with the version as label.", ["version"], registry=self.registry)
        build.labels(version).set(1)

    def counter(self, name: str, meaning: str, labels: Sequence[str] = ()) -> Counter:
        """A count that only grows; ``dbre_`` before and ``_total`` behind the name are added."""
        return Counter(f"dbre_{name}", meaning, labels, registry=self.registry)

    def gauge(self, name: str, meaning: str, labels: Sequence[str] = ()) -> Gauge:
        """A value that goes up and down; base units, named at the end: ``_seconds``, ``_bytes``, ``_ratio``."""
        return Gauge(f"dbre_{name}", meaning, labels, registry=self.registry)

    def histogram(self, name: str, meaning: str, labels: Sequence[str] = (), *, buckets: Sequence[float]) -> Histogram:
        """A distribution with the given upper bounds."""
        return Histogram(f"dbre_{name}", meaning, labels, registry=self.registry, buckets=tuple(buckets))

    def expose(self, accept: str = "") -> tuple[bytes, str]:
        """All metrics in the format that an ``Accept`` header asks for, and the content type of it."""
        encode, content_type = choose_encoder(accept)
        return encode(self.registry), content_type
