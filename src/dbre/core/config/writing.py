"""A document written as YAML that reads back to the same document, here and with any other reader of YAML."""

from typing import Any

import yaml

from dbre.core.config.scalars import AmbiguousScalar, read_scalar

__all__ = ["document_text"]


class _Dumper(yaml.SafeDumper):
    """Quotes whatever some reader of YAML would not take for text."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - the signature is PyYAML's
        """Write repeated values out."""
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    try:
        is_plain = read_scalar(text) == text and "\n" not in text
    except AmbiguousScalar:
        is_plain = False
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if is_plain else '"')


_Dumper.add_representer(str, _represent_text)


def document_text(document: object) -> str:
    """The document as YAML, keys in their order."""
    return yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120)
