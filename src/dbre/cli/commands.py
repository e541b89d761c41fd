"""Every top-level command: where it lives and the line that root help shows. Nothing is imported until it is used."""

from dataclasses import dataclass

__all__ = ["COMMANDS", "TOPICS", "CommandEntry"]


@dataclass(frozen=True, slots=True)
class CommandEntry:
    """One top-level command; ``summary`` must equal the first line of its own help (a test compares them)."""

    topic: str
    module: str
    summary: str
    attribute: str = "app"


TOPICS = ("Start here", "Measure", "Fleet and engines", "Control plane", "This program")

COMMANDS: dict[str, CommandEntry] = {
    "demo": CommandEntry("Start here", "dbre.demo.cli", "Run the whole cycle on throw-away databases, start to report."),
    "lab": CommandEntry("Start here", "dbre.cli.lab_cli", "Start and stop throw-away databases on this machine."),
    "slo": CommandEntry("Measure", "dbre.capabilities.slo.cli", "Service level objectives: budgets, burn rates, alerts."),
    "probe": CommandEntry("Measure", "dbre.capabilities.observe.cli", "Probe endpoints now, phase by phase."),
    "events": CommandEntry("Measure", "dbre.cli.events_cli", "Things that happened, and their delivery."),
    "fleet": CommandEntry("Fleet and engines", "dbre.cli.fleet_cli", "The inventory: environments, clusters, instances."),
    "engine": CommandEntry("Fleet and engines", "dbre.cli.engine_cli", "Engines, what they support, the SQL they send."),
    "server": CommandEntry(
        "Control plane", "dbre.cli.server_cli", "Run the control plane: probes, SLOs, alerts, API and pages."
    ),
    "db": CommandEntry("Control plane", "dbre.cli.db_cli", "The state store: status, migration, copy."),
    "config": CommandEntry("Control plane", "dbre.cli.config_cli", "Show and check the configuration."),
    "completion": CommandEntry(
        "This program", "dbre.cli.self_cli", "Print the completion script of a shell.", "completion_app"
    ),
    "help": CommandEntry("This program", "dbre.cli.self_cli", "Help on a topic: exit-codes, output.", "help_app"),
    "version": CommandEntry("This program", "dbre.cli.self_cli", "The version of dbre, Python and the drivers.", "version_app"),
}
