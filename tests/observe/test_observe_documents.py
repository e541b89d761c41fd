from datetime import timedelta

import pytest
from pydantic import ValidationError

from dbre.capabilities.observe import ExporterDocument, ProbeDocument


def test_the_defaults_are_valid_and_shorter_than_the_interval():
    document = ProbeDocument.model_validate({})
    assert document.interval == timedelta(seconds=10)
    assert document.deadlines.total_seconds == 3.0


def test_texts_are_read():
    document = ProbeDocument.model_validate(
        {"interval": "1s", "total_timeout": "700ms", "connect_timeout": "600ms", "statement_timeout": "400ms"}
    )
    assert (document.interval, document.deadlines.statement_seconds) == (timedelta(seconds=1), 0.4)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"interval": "3s"}, "total_timeout 3.0s must be shorter than interval 3.0s"),
        ({"connect_timeout": "10s"}, "connect_timeout 10.0s must be shorter than interval 10.0s"),
        ({"statement_timeout": "1h"}, "statement_timeout 1h must be shorter than interval 10.0s"),
        ({"interval": "50ms"}, "interval 50ms is too short; the shortest is 100ms"),
        ({"fresh_every": 0}, "greater than or equal to 1"),
        ({"interval": 10}, "duration"),
        ({"intervall": "10s"}, "Extra inputs are not permitted"),
    ],
)
def test_what_cannot_be_probed_is_refused(given, message):
    with pytest.raises(ValidationError, match=message):
        ProbeDocument.model_validate(given)


@pytest.mark.parametrize("name", ["pg up", "", "dbre_up", "pg-up", "1up", 'x"y'])
def test_an_alias_must_be_a_metric_name_of_its_own(name):
    with pytest.raises(ValidationError, match="up_aliases"):
        ExporterDocument.model_validate({"up_aliases": {"postgresql": name}})
