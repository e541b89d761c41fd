"""What an injector is told on its standard input; the only place where a password passes, and it is never written down."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from dbre.capabilities.chaos.injection.catalogue import parameters_of
from dbre.capabilities.chaos.injection.model import Scene
from dbre.core.fleet import Address, Cluster, Instance, TlsMode
from dbre.core.secrets import Secret
from dbre.ports.engine import Access, EngineRegistry

__all__ = ["Order"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One fault, where it is to happen, and for how long at most."""

    id: str
    operation: str
    fault: str
    parameters: Mapping[str, Any]
    cluster: str
    instance: str
    engine: str
    access: Access
    seconds: float
    directory: str  # of state files
    peers: Mapping[str, Address] = field(default_factory=dict)  # the other instances of the cluster, by name

    @classmethod
    def on(cls, cluster: Cluster, instance: Instance, **given: Any) -> Self:
        """An order about an instance of the inventory."""
        access = Access.to(cluster, instance.address, application_name=f"dbre:chaos:{given['id']}")
        peers = {one.name: one.address for one in cluster.instances if one.name != instance.name}
        return cls(cluster=cluster.name, instance=instance.name, engine=cluster.engine, access=access, peers=peers, **given)

    def line(self) -> bytes:
        """As one line of JSON. It holds the password: give it to the injector's pipe, and to nobody else."""
        access = self.access
        document = {
            "id": self.id,
            "operation": self.operation,
            "fault": self.fault,
            "parameters": dict(self.parameters),
            "cluster": self.cluster,
            "instance": self.instance,
            "engine": self.engine,
            "seconds": self.seconds,
            "directory": self.directory,
            "peers": {name: [one.host, one.port] for name, one in self.peers.items()},
            "host": access.address.host,
            "port": access.address.port,
            "user": access.user,
            "password": access.password.reveal() if access.password is not None else None,
            "database": access.database,
            "tls": access.tls.value,
            "tls_ca_file": access.tls_ca_file,
        }
        return json.dumps(document).encode() + b"\n"

    @classmethod
    def read(cls, line: bytes) -> Self:
        """The opposite of ``line``."""
        given = json.loads(line)
        password = given.pop("password")
        peers = {name: Address(host, port) for name, (host, port) in given.pop("peers").items()}
        access = Access(
            address=Address(given.pop("host"), given.pop("port")),
            user=given.pop("user"),
            password=Secret(password) if password is not None else None,
            database=given.pop("database"),
            tls=TlsMode(given.pop("tls")),
            tls_ca_file=given.pop("tls_ca_file"),
            application_name=f"dbre:chaos:{given['id']}",
        )
        return cls(access=access, peers=peers, **given)

    def scene(self, engines: EngineRegistry) -> Scene:
        """Where the fault happens, its parameters validated. Raises: UsageError."""
        return Scene(
            id=self.id,
            cluster=self.cluster,
            instance=self.instance,
            engine=self.engine,
            access=self.access,
            engines=engines,
            parameters=parameters_of(self.fault, self.parameters),
            seconds=self.seconds,
            peers=self.peers,
        )
