"""Names in one section of the configuration that another section does not have."""

from typing import TYPE_CHECKING

from dbre.core.config.problems import Problem
from dbre.core.text import closest, printable

if TYPE_CHECKING:
    from dbre.core.config import Config

__all__ = ["dangling_references"]


def dangling_references(config: "Config") -> list[Problem]:
    """SLOs of servers and services that do not exist: the control plane would not start with them."""
    from dbre.capabilities.slo import SLOS, definitions_from
    from dbre.capabilities.slo.polling.documents import PROMETHEUS
    from dbre.capabilities.slo.sources import PrometheusSource, ServiceSource
    from dbre.capabilities.stack import STACK

    if not {SLOS.key, PROMETHEUS.key, STACK.key} <= {section.key for section in config.sections}:
        return []
    servers = [one.name for one in config.get(PROMETHEUS)]
    services = [one.name for one in config.get(STACK)]
    problems = []
    for index, definition in enumerate(definitions_from(config.get(SLOS))):
        source = definition.sli.source
        if isinstance(source, PrometheusSource) and source.prometheus not in servers:
            problems.append(_dangling(config, f"slos[{index}].sli.server", source.prometheus, PROMETHEUS.key, servers))
        elif isinstance(source, ServiceSource) and source.service not in services:
            problems.append(_dangling(config, f"slos[{index}].sli.service", source.service, STACK.key, services))
    return problems


def _dangling(config: "Config", key: str, name: str, section: str, names: list[str]) -> Problem:
    near = closest(name, names)
    hint = f"did you mean {near}?" if near else "add it there"
    kind = key.rpartition(".")[2]
    return Problem(config.placed(key), f"{key}: no {kind} is named {printable(name, limit=63)} in the section {section}", hint)
