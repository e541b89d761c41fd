"""Watches databases from outside: the open-loop prober and the exporter behind ``/metrics``."""

from dbre.capabilities.observe.exporter import Exporter
from dbre.capabilities.observe.exposition import Exposition, Source
from dbre.capabilities.observe.model import EXPORTER, PROBE, EndpointState, ExporterDocument, ProbeDocument
from dbre.capabilities.observe.once import probe_once
from dbre.capabilities.observe.probe_metrics import ProbeMetrics
from dbre.capabilities.observe.prober import EventSink, ObservationSink, Prober

__all__ = [
    "EXPORTER",
    "PROBE",
    "EndpointState",
    "EventSink",
    "Exporter",
    "ExporterDocument",
    "Exposition",
    "ObservationSink",
    "ProbeDocument",
    "ProbeMetrics",
    "Prober",
    "Source",
    "probe_once",
]
