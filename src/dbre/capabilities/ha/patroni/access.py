"""From the configuration of a cluster to connections: Patroni's APIs, and the etcd behind them."""

from dbre.capabilities.ha.patroni.config_document import EtcdDocument, PatroniDocument
from dbre.core.fleet import Cluster
from dbre.core.secrets import prepare_secrets
from dbre.tools.etcd import EtcdClient
from dbre.tools.json_servers import ServersAccess
from dbre.tools.patroni import PatroniClient

__all__ = ["access_of", "etcd_of", "key_of", "patroni_of", "prepare", "scope_of"]


def patroni_of(document: PatroniDocument) -> PatroniClient:
    """Patroni's APIs; a context, which closes the connections."""
    return PatroniClient(access_of(document))


def etcd_of(document: PatroniDocument) -> EtcdClient | None:
    """The etcd in which the lease is kept; None where the configuration names none."""
    return EtcdClient(access_of(document.etcd)) if document.etcd is not None else None


async def prepare(document: PatroniDocument) -> None:
    """Fetch the passwords ahead. Raises: SecretUnavailable."""
    given = [one.password for one in (document, document.etcd) if one is not None and one.password is not None]
    await prepare_secrets([one.secret() for one in given])


def scope_of(document: PatroniDocument, cluster: Cluster) -> str:
    """Patroni's name of the cluster."""
    return document.scope or cluster.name


def key_of(document: PatroniDocument, cluster: Cluster, name: str) -> str:
    """The key of a name in the consensus store: ``leader`` is where the lease is."""
    return f"{document.namespace}{scope_of(document, cluster)}/{name}"


def access_of(document: PatroniDocument | EtcdDocument) -> ServersAccess:
    """Where the servers are, and the login to them."""
    return ServersAccess(
        urls=document.urls,
        timeout_seconds=document.timeout.total_seconds(),
        user=document.user,
        password=document.password.secret() if document.password is not None else None,
        tls_ca_file=document.tls_ca_file,
    )
