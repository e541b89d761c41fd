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


TOPICS = ("Start here", "Measure", "Fleet and engines", "Operate", "Control plane", "This program")

COMMANDS: dict[str, CommandEntry] = {
    "demo": CommandEntry("Start here", "dbre.demo.cli", "Run the whole cycle on throw-away databases, start to report."),
    "lab": CommandEntry("Start here", "dbre.cli.lab_cli", "Start and stop throw-away databases on this machine."),
    "slo": CommandEntry("Measure", "dbre.capabilities.slo.cli", "Service level objectives: budgets, burn rates, alerts."),
    "probe": CommandEntry("Measure", "dbre.capabilities.observe.cli", "Probe endpoints now, phase by phase."),
    "stack": CommandEntry(
        "Measure", "dbre.capabilities.stack.cli", "The services around the databases: monitoring, brokers, caches."
    ),
    "ingest": CommandEntry(
        "Measure", "dbre.capabilities.slo.ingest.cli", "Events of real traffic: who sends them, and how they are counted."
    ),
    "incident": CommandEntry(
        "Measure", "dbre.capabilities.incident.cli", "Incidents: opened by alerts, worked on, learned from."
    ),
    "report": CommandEntry(
        "Measure", "dbre.capabilities.report.cli", "Key figures: incidents, changes, SLOs, toil; and the weekly roll-up."
    ),
    "toil": CommandEntry("Measure", "dbre.capabilities.report.cli", "Work by hand: write it down, list it.", "toil_app"),
    "oncall": CommandEntry(
        "Measure", "dbre.capabilities.incident.oncall.cli", "Who is on call, and who is told when nobody answers."
    ),
    "notify": CommandEntry(
        "Measure", "dbre.capabilities.incident.delivery.cli", "How people are told: channels, test messages."
    ),
    "events": CommandEntry("Measure", "dbre.cli.events_cli", "Things that happened, and their delivery."),
    "fleet": CommandEntry("Fleet and engines", "dbre.cli.fleet_cli", "The inventory: environments, clusters, instances."),
    "engine": CommandEntry("Fleet and engines", "dbre.cli.engine_cli", "Engines, what they support, the SQL they send."),
    "ha": CommandEntry(
        "Operate",
        "dbre.capabilities.ha.cli",
        "High availability: topology, switchover, failover, drills, what clients saw.",
    ),
    "settings": CommandEntry("Operate", "dbre.capabilities.settings.cli", "Server parameters: shown, compared, changed."),
    "upgrade": CommandEntry(
        "Operate", "dbre.capabilities.upgrade.cli", "Restarts, settings and minor versions, server by server."
    ),
    "backup": CommandEntry(
        "Operate", "dbre.capabilities.backup.cli", "Backups that are proved: copies, log, recovery, drills."
    ),
    "vault": CommandEntry(
        "Operate", "dbre.capabilities.backup.vault.cli", "Vaults: encrypted, append-only places where backups lie."
    ),
    "integrity": CommandEntry("Operate", "dbre.capabilities.integrity.cli", "Rows, pages and indexes: compared and checked."),
    "check": CommandEntry(
        "Operate",
        "dbre.capabilities.consistency.cli",
        "Judge a history of what clients did and saw: 0 ok, 3 anomalies, 9 unknown.",
    ),
    "chaos": CommandEntry(
        "Operate", "dbre.capabilities.chaos.cli", "Faults on purpose: with a lease, and proof that they are gone."
    ),
    "op": CommandEntry("Operate", "dbre.cli.op_cli", "Operations: list, show, follow, approve and steer them."),
    "export": CommandEntry(
        "Operate", "dbre.cli.export_cli", "Write DAGs for Airflow and flows for Prefect that run operations."
    ),
    "server": CommandEntry(
        "Control plane", "dbre.cli.server_cli", "Run the control plane: probes, SLOs, alerts, API and pages."
    ),
    "worker": CommandEntry("Control plane", "dbre.cli.worker_cli", "Run operations in this process; list workers."),
    "schedule": CommandEntry("Control plane", "dbre.cli.schedule_cli", "Operations that begin by the calendar."),
    "gate": CommandEntry("Control plane", "dbre.cli.gate_cli", "Gates: what holds or refuses operations, and why."),
    "identity": CommandEntry("Control plane", "dbre.cli.identity_cli", "People and services, their tokens and roles."),
    "audit": CommandEntry(
        "Control plane", "dbre.cli.audit_cli", "The audit log: who did what, and proof that nothing was changed."
    ),
    "db": CommandEntry("Control plane", "dbre.cli.db_cli", "The state store: status, migration, copy."),
    "config": CommandEntry("Control plane", "dbre.cli.config_cli", "Show and check the configuration."),
    "completion": CommandEntry(
        "This program", "dbre.cli.self_cli", "Print the completion script of a shell.", "completion_app"
    ),
    "help": CommandEntry("This program", "dbre.cli.self_cli", "Help on a topic: exit-codes, output.", "help_app"),
    "version": CommandEntry("This program", "dbre.cli.self_cli", "The version of dbre, Python and the drivers.", "version_app"),
}
