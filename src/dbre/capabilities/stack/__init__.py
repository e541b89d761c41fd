"""Whether the services around the databases answer: monitoring, brokers, caches, anything that speaks HTTP or TCP."""

from dbre.capabilities.stack.documents import STACK, ServiceDocument
from dbre.capabilities.stack.model import CheckResult, ServiceState

__all__ = ["STACK", "CheckResult", "ServiceDocument", "ServiceState"]
