"""The Celery application: JSON only, no results, one durable queue a zone, acknowledged late."""

import ssl
from typing import Any
from urllib.parse import urlsplit

from celery import Celery
from kombu.connection import Connection
from kombu.entity import Exchange, Queue

from dbre.core.operation.broker_document import BrokerDocument
from dbre.core.secrets import Secret

__all__ = ["TASK", "broker_priority", "make_application", "queue_name", "zone_queue"]

TASK = "dbre.run_operation"
"""Name of the only task; its only argument is the id of an operation."""
_HIGHEST = 9


def queue_name(zone: str | None) -> str:
    """The queue of a zone: ``dbre.zone.dmz``; operations without zone have ``dbre.zone.default``."""
    return f"dbre.zone.{zone or 'default'}"


def zone_queue(zone: str | None) -> Queue:
    """The queue of a zone, as it is declared by whoever comes first."""
    name = queue_name(zone)
    exchange = Exchange("dbre", type="direct", durable=True)
    return Queue(name, exchange, routing_key=name, durable=True, queue_arguments={"x-max-priority": _HIGHEST})


def broker_priority(priority: int, broker: BrokerDocument) -> int:
    """Our priority (9 first) as the broker counts: Redis serves 0 first."""
    bounded = min(max(priority, 0), _HIGHEST)
    return _HIGHEST - bounded if broker.is_redis else bounded


class _Application(Celery):
    """Celery whose password is looked up when it connects, and so is in no setting, banner or log."""

    dbre_broker: BrokerDocument
    dbre_password: Secret | None

    def _connection(self, url: str, **options: Any) -> Connection:  # noqa: ARG002 (also CELERY_BROKER_URL would come here)
        options["password"] = None if self.dbre_password is None else self.dbre_password.reveal()
        connection: Connection = super()._connection(self.dbre_broker.url, **options)
        return connection


def make_application(broker: BrokerDocument, password: Secret | None) -> Celery:
    """An application of its own for each use: a worker's and a publisher's share no locks and no connections."""
    application = _Application("dbre", set_as_current=False, loader="app", fixups=[], task_cls="celery.app.task:Task")
    application.dbre_broker = broker
    application.dbre_password = password
    seconds = broker.timeout.total_seconds()
    application.conf.update(
        broker_url=broker.url,
        broker_connection_timeout=seconds,
        broker_connection_retry=True,
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,  # forever: what is due waits in the store
        broker_heartbeat=10,
        broker_pool_limit=1,
        broker_transport_options=_transport_options(broker),
        broker_use_ssl=_tls(broker),
        task_serializer="json",
        accept_content=["json"],
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        task_acks_on_failure_or_timeout=True,
        task_publish_retry=False,  # the sweeper tells again
        task_create_missing_queues=True,
        task_default_queue=queue_name(None),
        worker_prefetch_multiplier=1,
        worker_cancel_long_running_tasks_on_connection_loss=False,  # its lease protects an operation, not its message
        worker_enable_remote_control=False,  # whoever can write to the broker must not stop or reconfigure workers
        worker_hijack_root_logger=False,
        worker_redirect_stdouts=False,
        worker_send_task_events=False,
        task_send_sent_event=False,
    )
    return application


def _transport_options(broker: BrokerDocument) -> dict[str, Any]:
    seconds = broker.timeout.total_seconds()
    if not broker.is_redis:
        return {"confirm_publish": True, "read_timeout": None, "write_timeout": seconds}
    return {
        "priority_steps": list(range(_HIGHEST + 1)),
        "queue_order_strategy": "priority",
        "visibility_timeout": broker.visibility_timeout.total_seconds(),
        "socket_connect_timeout": seconds,
        "socket_timeout": max(seconds, 5.0),
        "socket_keepalive": True,
        "health_check_interval": 25,
        "global_keyprefix": "dbre:",
    }


def _tls(broker: BrokerDocument) -> dict[str, Any] | None:
    if not broker.is_encrypted:
        return None
    prefix = "ssl_" if broker.is_redis else ""
    options: dict[str, Any] = {f"{prefix}cert_reqs": ssl.CERT_REQUIRED}
    # Neither driver is left to its default: that of RabbitMQ takes any certificate of the authority, whoever's it is.
    options |= {"ssl_check_hostname": True} if broker.is_redis else {"server_hostname": urlsplit(broker.url).hostname}
    certificates = broker.tls_ca or ssl.get_default_verify_paths().cafile
    if certificates is not None:
        options[f"{prefix}ca_certs"] = str(certificates)
    if broker.tls_certificate is not None:
        options[f"{prefix}certfile"] = str(broker.tls_certificate)
    if broker.tls_key is not None:
        options[f"{prefix}keyfile"] = str(broker.tls_key)
    return options
