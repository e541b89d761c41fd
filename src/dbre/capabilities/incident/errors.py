"""What can be wrong with a webhook."""

from dbre.core.errors import Denied, UsageError

__all__ = ["AddressRefused", "SecretUnusable", "SignatureInvalid"]


class AddressRefused(Denied):
    """The receiver's host leads to an address that webhooks are not sent to."""

    code = "incident.address_refused"


class SecretUnusable(UsageError):
    """The secret of a receiver cannot sign: too short, or not written as one."""

    code = "incident.secret_unusable"


class SignatureInvalid(Denied):
    """A webhook that was not signed with the secret, or not recently; do not act on it."""

    code = "incident.signature_invalid"
