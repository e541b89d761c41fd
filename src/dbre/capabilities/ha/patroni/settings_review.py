"""The settings of a cluster, read and judged."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dbre.capabilities.ha.patroni.config_document import PatroniDocument
from dbre.capabilities.ha.patroni.prediction import ClientTimes, Predicted, predictions
from dbre.capabilities.ha.patroni.settings_findings import Difference, differences, nearest_preset, settings_findings
from dbre.capabilities.ha.patroni.settings_reading import ServerSettings, lease_settings, read_config, read_servers
from dbre.core.checks import Finding
from dbre.core.errors import UsageError
from dbre.core.fleet import Cluster
from dbre.core.text import closest, quoted
from dbre.ports.engine import EngineRegistry
from dbre.ports.lease_settings import PRESETS, LeaseSettings

__all__ = ["Review", "review"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What was read, what it means, and what is wrong with it."""

    cluster: str
    preset: str
    config: Mapping[str, Any]
    settings: LeaseSettings
    compared: Sequence[Difference]
    servers: Sequence[ServerSettings]
    predicted: Sequence[Predicted]
    findings: Sequence[Finding]


async def review(
    engines: EngineRegistry, cluster: Cluster, document: PatroniDocument | None, *, preset: str | None, clients: ClientTimes
) -> Review:
    """Ask Patroni and every server. Raises: UsageError where Patroni has no part in the cluster, Unreachable."""
    if document is None:
        raise UsageError(
            f"the configuration names no Patroni for cluster {cluster.name}",
            hint=f"ha: clusters: with cluster: {cluster.name} and patroni: urls:, if Patroni runs it",
        )
    if preset is not None and preset not in PRESETS:
        near = closest(preset, list(PRESETS))
        hint = f"did you mean {near}?" if near else f"the presets are {', '.join(PRESETS)}"
        raise UsageError(f"{quoted(preset, limit=100)} is not a preset", hint=hint)
    config, servers = await asyncio.gather(read_config(document), read_servers(engines, cluster))
    settings = lease_settings(config)
    configured = document.preset.value if document.preset is not None else None
    chosen = preset or configured or nearest_preset(settings)
    return Review(
        cluster=cluster.name,
        preset=chosen,
        config=config,
        settings=settings,
        compared=differences(settings, PRESETS[chosen]),
        servers=servers,
        predicted=tuple(predictions(settings, clients, is_failsafe=config.get("failsafe_mode") is True)),
        findings=settings_findings(cluster.name, chosen, config, settings, servers),
    )
