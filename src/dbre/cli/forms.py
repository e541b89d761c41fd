"""The forms in which a result can be printed."""

from enum import StrEnum

__all__ = ["OutputFormat"]


class OutputFormat(StrEnum):
    """Forms of a result; the default never depends on whether stdout is a terminal."""

    TABLE = "table"
    WIDE = "wide"
    JSON = "json"
    JSONL = "jsonl"
    YAML = "yaml"
    CSV = "csv"
    NAME = "name"
    NAGIOS = "nagios"
