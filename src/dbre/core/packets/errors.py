"""What can go wrong with namespaces, rules and links."""

from dbre.core.errors import DbreError

__all__ = ["NetworkFailed"]


class NetworkFailed(DbreError):
    """The kernel, or the program that speaks to it, did not do what was asked of the network."""

    code = "network.failed"
