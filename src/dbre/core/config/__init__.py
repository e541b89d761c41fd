"""``dbre.yaml``, environment and flags: one precedence, validated once, every problem with its place."""

from dbre.core.config.fields import Duration, FilePath, LabelKey, LabelValue, Name, Ratio, SecretReference, Size, between
from dbre.core.config.loader import Config, Origin, load
from dbre.core.config.locate import find_files
from dbre.core.config.problems import ConfigInvalid, Place, Problem
from dbre.core.config.schema import file_schema, section_schema
from dbre.core.config.section import Document, Fault, Section
from dbre.core.config.writing import document_text

__all__ = [
    "Config",
    "ConfigInvalid",
    "Document",
    "Duration",
    "Fault",
    "FilePath",
    "LabelKey",
    "LabelValue",
    "Name",
    "Origin",
    "Place",
    "Problem",
    "Ratio",
    "SecretReference",
    "Section",
    "Size",
    "between",
    "document_text",
    "file_schema",
    "find_files",
    "load",
    "section_schema",
]
