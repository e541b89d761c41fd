"""The ``dbre.yaml`` of the demonstration: what a user would write for these two databases."""

from pathlib import Path

from dbre.lab import Lab

__all__ = ["CLUSTER", "INTERVAL_SECONDS", "LIMIT_SECONDS", "REPLICA_SLO", "WRITE_SLO", "configuration"]

CLUSTER = "demo"
WRITE_SLO = "writes"
REPLICA_SLO = "replica-reads"
INTERVAL_SECONDS = 1.0
LIMIT_SECONDS = 0.9  # of a probe, and of an operation of the load client: both call the same thing too late
_MONTH = {"rolling": "30d"}
_TICKET = [{"severity": "ticket", "long": "6h", "budget": "5%"}]


def configuration(lab: Lab, *, hook_url: str, hook_secret: Path) -> dict[str, object]:
    """The document without ``state`` and ``server``; secrets are files of mode 0600."""
    limit = f"{int(LIMIT_SECONDS * 1000)}ms"
    return {
        "fleet": {
            "clusters": [
                {
                    "name": CLUSTER,
                    "environment": "demo",
                    "engine": "postgresql",
                    "user": lab.observer,
                    "password": f"file:{lab.observer_password_file}",
                    "tls": "disable",
                    "databases": [lab.primary.application_database],
                    "instances": [
                        {"name": one.name, "host": one.address.host, "port": one.address.port} for one in lab.servers
                    ],
                }
            ]
        },
        "probe": {
            "interval": f"{int(INTERVAL_SECONDS * 1000)}ms",
            "connect_timeout": limit,
            "statement_timeout": limit,
            "total_timeout": limit,
        },
        "slos": [
            {
                "name": WRITE_SLO,
                "description": "orders can be written",
                "selector": {"cluster": CLUSTER},
                "sli": {"kind": "availability", "purpose": "write"},
                "target": "99.99%",
                "window": _MONTH,
                "alerts": [{"severity": "page", "long": "1h", "budget": "2%"}],
            },
            {
                "name": "fast-reads",
                "description": "reads from the primary end within 100 ms",
                "selector": {"cluster": CLUSTER},
                "sli": {"kind": "latency", "query_class": "read", "threshold": "100ms"},
                "target": "99%",
                "window": _MONTH,
                "alerts": _TICKET,
            },
            {
                "name": REPLICA_SLO,
                "description": "the replica answers",
                "selector": {"cluster": CLUSTER},
                "sli": {"kind": "availability", "purpose": "replica"},
                "target": "99.9%",
                "window": _MONTH,
                "alerts": _TICKET,
            },
            {
                "name": "fresh-replica",
                "description": "the replica is at most 5 s behind",
                "selector": {"cluster": CLUSTER},
                "sli": {"kind": "freshness", "max_age": "5s"},
                "target": "99%",
                "window": _MONTH,
                "alerts": _TICKET,
            },
        ],
        "alerting": {"evaluation_interval": "1s"},
        "receivers": [
            {"name": "pager", "url": hook_url, "secret": f"file:{hook_secret}", "severities": ["page"], "allow_loopback": True}
        ],
    }
