"""Files for schedulers that people already run: they submit an operation to dbre and follow it."""

from dbre.core.operation.orchestrators.export import ExportRequest, Orchestrator, render

__all__ = ["ExportRequest", "Orchestrator", "render"]
