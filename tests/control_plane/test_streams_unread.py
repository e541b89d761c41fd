"""Streams that nothing counts are not passed over in silence."""

from structlog.testing import capture_logs

from dbre.capabilities.slo.ingest.streams.documents import STREAMS, NatsDocument
from dbre.control_plane.ingest import PlaneIngest
from dbre.core.fleet import Fleet
from dbre.testing.clock import FakeClock

STREAM = NatsDocument(kind="nats", name="orders", servers=["nats://192.0.2.1:4222"], stream="EVENTS", dead_letter="dead")


class _Config:
    """What of a configuration is asked for before anything is opened."""

    def __init__(self, streams: tuple[NatsDocument, ...]) -> None:
        self._streams = streams

    def get(self, section: object) -> object:
        return self._streams if section is STREAMS else section.default()


def started(*streams: NatsDocument) -> list[str]:
    with capture_logs() as logs:
        plane = PlaneIngest(_Config(streams), (), Fleet(clusters=()), store=None, clock=FakeClock(), sink=None, metrics=None)
    assert plane.parts() == {}
    return [f"{one['event']} {one['streams']}" for one in logs]


def test_streams_without_an_slo_that_counts_events_are_told() -> None:
    assert started(STREAM) == ["streams_not_read ['orders']"]
    assert started() == []
