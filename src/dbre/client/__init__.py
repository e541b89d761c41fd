"""What applications tell dbre: a client that classifies, batches, never blocks and never raises. Needs nothing else of dbre."""

from dbre.client.classification import classify_code, classify_error
from dbre.client.outcome import Outcome
from dbre.client.postgres import instrument_connection, instrument_psycopg
from dbre.client.reporter import Reporter
from dbre.client.telemetry import annotate_sqlalchemy

__all__ = [
    "Outcome",
    "Reporter",
    "annotate_sqlalchemy",
    "classify_code",
    "classify_error",
    "instrument_connection",
    "instrument_psycopg",
]
