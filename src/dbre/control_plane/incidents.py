"""How the control plane follows incidents: who hears of events, and what runs beside."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from dbre.assembly import StoredImpact, StoredReportSources
from dbre.capabilities.incident.accounting import Accounting
from dbre.capabilities.incident.chatops.commands import ChatGround
from dbre.capabilities.incident.chatops.slack_receiver import SlackReceiver
from dbre.capabilities.incident.correlation import Rules
from dbre.capabilities.incident.incidents_document import INCIDENTS
from dbre.capabilities.incident.metrics import IncidentMetrics
from dbre.capabilities.incident.playbooks.triage import Triage
from dbre.capabilities.incident.responder import Responder
from dbre.capabilities.report.metrics import KpiMetrics
from dbre.core.clock import Clock
from dbre.core.config import Config
from dbre.core.events import Subscription
from dbre.core.fleet import Fleet
from dbre.core.identity.document import ACCESS, access_from
from dbre.core.identity.model import Principal
from dbre.core.operation.desk import OperationDesk
from dbre.core.store import Store
from dbre.core.telemetry import Metrics
from dbre.ports.engine import EngineRegistry
from dbre.web.incident_costs import RecentCosts
from dbre.web.services import IncidentServices

__all__ = ["IncidentParts", "incident_parts", "incident_services", "slack_receiver"]


@dataclass(frozen=True, slots=True, kw_only=True)
class IncidentParts:
    """Subscriptions for the delivery of events; what ends quiet incidents, and what counts all, runs beside."""

    subscriptions: Sequence[Subscription]
    parts: Mapping[str, Callable[[], Awaitable[None]]]


def incident_parts(
    config: Config, fleet: Fleet, engines: EngineRegistry, store: Store, clock: Clock, *, metrics: Metrics
) -> IncidentParts:
    """Put it together as the section ``incidents`` says."""
    document = config.get(INCIDENTS)
    impact = StoredImpact(config, fleet, store)
    rules = Rules(join_within=document.join_within, reopen_within=document.reopen_within, dependencies=document.dependencies)
    responder = Responder(
        store,
        fleet,
        clock,
        rules=rules,
        impact=impact,
        resolve_after=document.resolve_after,
        look_back=document.look_back,
    )
    triage = Triage(store, fleet, engines, clock, document.playbooks)
    subscriptions = [one.subscription() for one in (responder, Accounting(store, impact, clock), triage)]
    parts = {
        "incidents": responder.run,
        "incident-metrics": IncidentMetrics(metrics, store, clock).run,
        "kpi-metrics": KpiMetrics(metrics, StoredReportSources(config, fleet, store), clock).run,
    }
    return IncidentParts(subscriptions=subscriptions, parts=parts)


def incident_services(config: Config, fleet: Fleet, store: Store, clock: Clock) -> IncidentServices:
    """What the pages of incidents stand on."""
    costs = RecentCosts(store, StoredImpact(config, fleet, store), clock)
    return IncidentServices(costs=costs, postmortem=config.get(INCIDENTS).postmortem)


def slack_receiver(
    config: Config, fleet: Fleet, store: Store, clock: Clock, *, desk: Callable[[Principal], OperationDesk]
) -> SlackReceiver | None:
    """Who answers Slack; None where the configuration has no app of it."""
    document = config.get(INCIDENTS).chat.slack
    if document is None:
        return None
    ground = ChatGround(store=store, fleet=fleet, clock=clock, operations=desk)
    return SlackReceiver(document, access_from(config.get(ACCESS)), ground)
