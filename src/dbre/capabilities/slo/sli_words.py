"""What an SLI counts as good, in Spanish; in English its own text says it."""

from dbre.capabilities.slo.explanation_words import Language
from dbre.capabilities.slo.sli import Sli, SliKind
from dbre.capabilities.slo.sources import EventSource, PrometheusSource, RecoveryPointSource, ServiceSource, SqlSource
from dbre.core.fleet import EndpointPurpose
from dbre.core.units import format_duration

__all__ = ["sli_text"]

_PURPOSES = {
    EndpointPurpose.WRITE: "de escritura",
    EndpointPurpose.READ: "de lectura",
    EndpointPurpose.REPLICA: "de réplica",
}


def sli_text(sli: Sli, language: Language) -> str:
    """One clause that says when an event is good."""
    if language is Language.ENGLISH:
        return str(sli)
    limit = format_duration((sli.limit_ms or 0) / 1000)
    match sli.source:
        case EventSource():
            return f"las peticiones acaban bien en {limit}" if sli.kind is SliKind.LATENCY else "las peticiones acaban bien"
        case PrometheusSource(prometheus=name):
            return f"los eventos que cuenta Prometheus {name} son buenos"
        case SqlSource(limit=None):
            return "lo que cuenta una consulta es bueno"
        case SqlSource(limit=value):
            return f"el valor de una consulta es como máximo {value:g}"
        case ServiceSource(service=name):
            return f"las comprobaciones de {name} acaban bien"
        case RecoveryPointSource(limit_seconds=seconds):
            return f"se perderían como máximo {format_duration(seconds)} de cambios"
    purpose = _PURPOSES.get(sli.purpose, str(sli.purpose))
    match sli.kind:
        case SliKind.AVAILABILITY:
            return f"las sondas {purpose} acaban bien"
        case SliKind.LATENCY:
            return f"las sondas {purpose} acaban bien en {limit}"
        case SliKind.FRESHNESS:
            return f"los datos de las réplicas tienen como máximo {limit}"
