"""Which clusters are meant: labels and the values that each may have."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dbre.core.errors import UsageError
from dbre.core.text import printable, quoted

__all__ = ["LABEL_KEY", "LABEL_VALUE", "NAME", "Selector"]

NAME = r"^[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$"
"""Names of environments, clusters and instances: 1 to 63 letters, digits, ``. _ -``; a letter or digit at both ends."""

LABEL_KEY = r"^[a-z][a-z0-9_]{0,62}$"
"""Keys of labels: what every metric system takes as a label."""

LABEL_VALUE = r"^[A-Za-z0-9]([A-Za-z0-9._/@:+-]{0,126}[A-Za-z0-9])?$"
"""Values of labels: nothing that a selector, a URL or a shell would have to quote."""

_TERM = re.compile(r"\s*(?P<key>[^\s=,()]+)\s*(?:==?\s*(?P<value>[^\s=,()]+)|\s+in\s*\((?P<values>[^()]*)\))\s*(?:,|$)")
_HINT = "write label=value or label in (a,b), joined by commas: environment=prod,tier in (0,1)"


@dataclass(frozen=True, slots=True)
class Selector:
    """Labels with the values that each may have: a cluster is meant if every label has one of its values.

    A selector without terms means every cluster. ``!=`` is left out on purpose: a label that nobody set would match.
    """

    terms: tuple[tuple[str, tuple[str, ...]], ...] = ()

    @classmethod
    def of(cls, labels: Mapping[str, str | Iterable[str]]) -> "Selector":
        """From a mapping as documents have it: label to value, or to several values.

        Raises: UsageError where a label or value is not written as labels are.
        """
        terms = []
        for key, given in labels.items():
            values = (given,) if isinstance(given, str) else tuple(given)
            if not re.fullmatch(LABEL_KEY, key):
                raise UsageError(f"{quoted(key, limit=100)} is not a label", hint=f"labels fit {LABEL_KEY}")
            if not values:
                raise UsageError(f"label {key} may have no value at all", hint=_HINT)
            for value in values:
                if not re.fullmatch(LABEL_VALUE, value):
                    shown = printable(value, limit=100)
                    raise UsageError(f"{shown!r} is not a value of label {key}", hint=f"values fit {LABEL_VALUE}")
            terms.append((key, tuple(dict.fromkeys(values))))
        return cls(tuple(terms))

    @classmethod
    def parse(cls, text: str) -> "Selector":
        """Read ``environment=prod,tier in (0,1)``; no text means every cluster.

        >>> Selector.parse("environment=prod,tier in (0,1)").terms
        (('environment', ('prod',)), ('tier', ('0', '1')))

        Raises: UsageError where the text is anything else, or names a label twice.
        """
        labels: dict[str, tuple[str, ...]] = {}
        position = 0
        while position < len(text.rstrip()):
            match = _TERM.match(text, position)
            if match is None or (match.end() == len(text) and text.rstrip().endswith(",")):
                raise UsageError(f"{quoted(text, limit=200)} is not a selector", hint=_HINT)
            if match["key"] in labels:
                raise UsageError(f"label {match['key']} stands twice in the selector", hint=f"write {match['key']} in (a,b)")
            values = match["values"].split(",") if match["values"] is not None else [match["value"]]
            labels[match["key"]] = tuple(value.strip() for value in values)
            position = match.end()
        return cls.of(labels)

    def __str__(self) -> str:
        return ",".join(
            f"{key}={values[0]}" if len(values) == 1 else f"{key} in ({','.join(values)})" for key, values in self.terms
        )

    def allows(self, labels: Mapping[str, str]) -> bool:
        """Whether something with these labels is meant."""
        return all(labels.get(key) in values for key, values in self.terms)
