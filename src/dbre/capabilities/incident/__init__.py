"""Telling people: alert events go out as signed webhooks. Names are loaded at their first use."""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dbre.capabilities.incident.documents import RECEIVERS, ReceiverDocument
    from dbre.capabilities.incident.signature import VerifiedWebhook, sign, verify_signature
    from dbre.capabilities.incident.webhook import Webhook, webhook_subscriptions

__all__ = ["RECEIVERS", "ReceiverDocument", "VerifiedWebhook", "Webhook", "sign", "verify_signature", "webhook_subscriptions"]

_MODULES = ("documents", "signature", "webhook")  # the lightest first


def __getattr__(name: str) -> object:
    for module in _MODULES if name in __all__ else ():
        if name in (found := import_module(f"{__name__}.{module}")).__all__:
            return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
