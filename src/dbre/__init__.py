"""dbre runs databases to their SLOs: probes, error budgets, pages, and durable, gated, audited operations."""

__version__ = "0.1.0"

__all__ = ["__version__"]
