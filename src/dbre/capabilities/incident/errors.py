"""What can be wrong with a webhook, or with what is asked of an incident."""

from dbre.core.errors import Conflict, Denied, Refused, UsageError

__all__ = [
    "AddressRefused",
    "ChatRequestInvalid",
    "HookInvalid",
    "HookRefused",
    "IncidentChanged",
    "NoSuchIncident",
    "NoSuchIncidentItem",
    "SecretUnusable",
    "SignatureInvalid",
    "TransitionRefused",
]


class AddressRefused(Denied):
    """The receiver's host leads to an address that webhooks are not sent to."""

    code = "incident.address_refused"


class SecretUnusable(UsageError):
    """The secret of a receiver cannot sign: too short, or not written as one."""

    code = "incident.secret_unusable"


class SignatureInvalid(Denied):
    """A webhook that was not signed with the secret, or not recently; do not act on it."""

    code = "incident.signature_invalid"


class NoSuchIncident(UsageError):
    """No incident has that name."""

    code = "incident.not_found"


class NoSuchIncidentItem(UsageError):
    """The incident has no such action item, revision or draft."""

    code = "incident.item_not_found"


class IncidentChanged(Conflict):
    """Somebody else changed the incident between its reading and its writing."""

    code = "incident.changed"


class TransitionRefused(Refused):
    """The incident cannot go from the state that it is in to the one that is asked for."""

    code = "incident.transition_refused"


class HookInvalid(UsageError):
    """What was posted to a hook is not what that hook takes."""

    code = "incident.hook_invalid"


class HookRefused(Denied):
    """Who posted to a hook has not shown that it may."""

    code = "incident.hook_refused"


class ChatRequestInvalid(UsageError):
    """A genuine request of a chat that asks for nothing that is known here."""

    code = "incident.chat_request_invalid"
