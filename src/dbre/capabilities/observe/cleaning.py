"""Names, labels and values that databases hand over, made fit for an exposition that every parser accepts."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from prometheus_client.core import Metric

from dbre.ports.statistics import MetricFamily, MetricKind

__all__ = ["Cleaned", "clean_family", "clean_label_name", "clean_label_value", "clean_name"]

_NOT_IN_NAME = re.compile(r"[^a-zA-Z0-9_:]")
_NOT_IN_LABEL = re.compile(r"[^a-zA-Z0-9_]")
_NOT_IN_VALUE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST_VALUE = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """A family that can be written, and how many of its samples were left out because they were not numbers."""

    metric: Metric
    invalid_count: int


def clean_name(name: str) -> str:
    """A metric name of the classic character set.

    >>> clean_name("9 lives.total")
    '_9_lives_total'
    """
    cleaned = _NOT_IN_NAME.sub("_", name) or "_"
    return f"_{cleaned}" if cleaned[0].isdigit() else cleaned


def clean_label_name(name: str) -> str:
    """A label name of the classic character set, outside the ``__`` that Prometheus keeps for itself.

    >>> clean_label_name("__name__"), clean_label_name("db-name")
    ('exported__name__', 'db_name')
    """
    cleaned = _NOT_IN_LABEL.sub("_", name) or "_"
    if cleaned.startswith("__"):
        return f"exported{cleaned}"
    return f"_{cleaned}" if cleaned[0].isdigit() else cleaned


def clean_label_value(value: str) -> str:
    """A label value that can be encoded and shown: control characters, direction overrides and lone surrogates become U+FFFD.

    Newlines, quotes and backslashes stay; the exposition format escapes them.
    """
    shortened = value if len(value) <= _LONGEST_VALUE else value[: _LONGEST_VALUE - 1] + "…"
    return _NOT_IN_VALUE.sub("\N{REPLACEMENT CHARACTER}", shortened)


def clean_family(family: MetricFamily, *, labels: Mapping[str, str]) -> Cleaned:
    """A family of a database as it is exposed: ``labels`` (who was asked) go before the database's own.

    A label of the database with one of those names gets the prefix ``exported_``, as Prometheus does it.
    """
    name = clean_name(family.name)
    if family.kind is MetricKind.COUNTER:
        name = name.removesuffix("_total") or "_"
    metric = Metric(name, clean_label_value(family.help), str(family.kind))
    sample_name = f"{name}_total" if family.kind is MetricKind.COUNTER else name
    invalid = 0
    for sample in family.samples:
        value = _number(sample.value)
        if value is None:
            invalid += 1
            continue
        own = {_renamed(key, labels): clean_label_value(str(text)) for key, text in sample.labels.items()}
        metric.add_sample(sample_name, own | dict(labels), value)
    return Cleaned(metric=metric, invalid_count=invalid)


def _renamed(name: str, taken: Mapping[str, str]) -> str:
    cleaned = clean_label_name(name)
    return f"exported_{cleaned}" if cleaned in taken else cleaned


def _number(value: object) -> float | None:
    try:
        return float(value)  # type: ignore[arg-type] # rows of a database hold Decimal, int, None and anything
    except (TypeError, ValueError, OverflowError):
        return None
