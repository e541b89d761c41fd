"""Routes and inhibition for Alertmanager: pages and tickets apart, and one cause told once."""

from collections.abc import Sequence
from typing import Any

import yaml

from dbre.capabilities.slo.compiler.burn_alerts import ALERT_NAME

__all__ = ["alertmanager_config"]

_SLO_ALERTS = f"{ALERT_NAME}|SloTelemetryLost|DbreAbsent"
_SAME_INSTANCE = ["slo", "cluster", "group"]


def alertmanager_config(*, page_receiver: str, ticket_receiver: str, clusters: Sequence[str]) -> str:
    """A whole configuration whose receivers are to be filled in: what belongs to it is a route and the inhibition.

    A page covers the tickets of its instance; where nothing is measured, what was measured before says nothing; and without
    dbre all its SLOs are silent for one reason.
    """
    head = (
        "# Written by dbre slo compile. Put the route below `routes` of your own tree, the inhibition below `inhibit_rules`,\n"
        f"# and fill in the receivers. Alerts of {len(clusters)} clusters arrive, one group for each SLO and cluster.\n"
    )
    document: dict[str, Any] = {
        "route": {
            "receiver": ticket_receiver,
            "routes": [
                {
                    "matchers": [f'alertname=~"{_SLO_ALERTS}"'],
                    "group_by": ["slo", "cluster", "group", "severity"],
                    "receiver": ticket_receiver,
                    "group_wait": "30s",
                    "group_interval": "5m",
                    "repeat_interval": "1d",
                    "routes": [
                        {
                            "matchers": ['severity="page"'],
                            "receiver": page_receiver,
                            "group_wait": "0s",
                            "repeat_interval": "1h",
                        }
                    ],
                }
            ],
        },
        "inhibit_rules": [
            _inhibition([f'alertname="{ALERT_NAME}"', 'severity="page"'], [f'alertname="{ALERT_NAME}"', 'severity="ticket"']),
            _inhibition(
                ['alertname="SloTelemetryLost"', 'severity="page"'], ['alertname="SloTelemetryLost"', 'severity="ticket"']
            ),
            _inhibition(['alertname="SloTelemetryLost"', 'severity="page"'], [f'alertname="{ALERT_NAME}"']),
            {"source_matchers": ['alertname="DbreAbsent"'], "target_matchers": ['alertname="SloTelemetryLost"']},
        ],
        "receivers": [{"name": name} for name in dict.fromkeys((page_receiver, ticket_receiver))],
    }
    return head + yaml.safe_dump(document, sort_keys=False, width=200)


def _inhibition(source: list[str], target: list[str]) -> dict[str, Any]:
    return {"source_matchers": source, "target_matchers": target, "equal": _SAME_INSTANCE}
