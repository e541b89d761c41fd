"""What can be wrong with a request to the proxy."""

from dbre.core.errors import Conflict, DbreError, UsageError

__all__ = ["ListenFailed", "ProxyExists", "ToxicExists", "ToxicInvalid", "UnknownProxy", "UnknownToxic"]


class ToxicInvalid(UsageError):
    """A toxic that cannot be: unknown type, attribute out of range, unit that it does not have."""

    code = "chaos.toxic_invalid"


class UnknownProxy(UsageError):
    """No proxy has that name."""

    code = "chaos.unknown_proxy"


class UnknownToxic(UsageError):
    """The proxy has no toxic of that name."""

    code = "chaos.unknown_toxic"


class ProxyExists(Conflict):
    """A proxy has that name already."""

    code = "chaos.proxy_exists"


class ToxicExists(Conflict):
    """The proxy has a toxic of that name already."""

    code = "chaos.toxic_exists"


class ListenFailed(DbreError):
    """The address cannot be listened on."""

    code = "chaos.listen_failed"
