"""What an error of a driver says about whether its server lives."""

from collections.abc import Mapping

from dbre.core.errors import DbreError, Denied
from dbre.ports.faults import Faults
from dbre.ports.topology import Contact

__all__ = ["contact_of"]

_NETWORK = {
    "timeout": Contact.TIMEOUT,
    "connection_refused": Contact.RESET,
    "connection_lost": Contact.RESET,
    "tls": Contact.TLS,
}


def contact_of(error: DbreError, faults: Faults, words: Mapping[str, Contact]) -> Contact:
    """What an error of a facet says of the server; ``words`` are the codes of the engine, or their first characters."""
    cause = error.__cause__
    if cause is None:  # ours, after the server had told its version and our privileges; or before it was asked at all
        return Contact.REFUSED if isinstance(error, Denied) else Contact.UNKNOWN
    verdict = faults.classify(cause)
    code = verdict.code if verdict is not None else None
    if code is None:
        return _NETWORK.get(faults.network_code(cause), Contact.UNKNOWN)
    found = words.get(code) or words.get(code[:2])
    return found or Contact.ANSWERED  # it spoke, whatever it said
