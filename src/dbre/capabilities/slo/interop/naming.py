"""Names as ours must be: RFC 1123 labels of at most 63 characters."""

import hashlib
import re

from dbre.capabilities.slo.interop.model import Findings
from dbre.core.config.problems import Place

__all__ = ["label", "slo_name"]

_LONGEST = 63


def label(text: str) -> str:
    """A name made of a text: lower-case, other characters as hyphens; what is too long is cut and told apart by a hash.

    >>> label("My_Service.requests")
    'my-service-requests'
    """
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-") or "slo"
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 7].rstrip('-')}-{hashlib.sha256(text.encode()).hexdigest()[:6]}"


def slo_name(text: str, place: Place, findings: Findings) -> str:
    """The name that an SLO gets; noted where it is not the one that it had."""
    name = label(text)
    if name != text:
        findings.lose(place, f"{text!r} is named {name} here", "names are lower-case letters, digits and hyphens, at most 63")
    return name
