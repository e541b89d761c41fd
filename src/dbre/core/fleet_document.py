"""The ``fleet`` section of ``dbre.yaml``, and the inventory that is built from it."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, Field, StringConstraints

from dbre.core.config import (
    Config,
    ConfigInvalid,
    Document,
    Fault,
    FilePath,
    LabelKey,
    LabelValue,
    Name,
    Problem,
    SecretReference,
    Section,
)
from dbre.core.control_document import ControlDocument, control_from
from dbre.core.errors import UsageError
from dbre.core.fleet import Address, Cluster, Endpoint, EndpointPurpose, Fleet, Instance, TlsMode, is_host
from dbre.core.text import closest, printable

__all__ = ["FLEET", "ClusterDocument", "EnvironmentDocument", "FleetDocument", "InstanceDocument", "build_fleet"]

RESERVED_LABELS = ("environment", "cluster", "engine")
_VERIFIED = (TlsMode.VERIFY_CA.value, TlsMode.VERIFY_FULL.value)


def _named(text: str) -> str:
    if printable(text) != text:
        raise UsageError("control and invisible characters are not allowed in a name")
    return text


def _host(text: str) -> str:
    if not is_host(text):
        raise UsageError("expected a host name, an IP address or an absolute socket directory")
    return text


def _address(text: str) -> str:
    Address.parse(text, default_port=1)
    return text


Identifier = Annotated[str, StringConstraints(min_length=1, max_length=128), AfterValidator(_named)]
Host = Annotated[str, StringConstraints(min_length=1, max_length=253), AfterValidator(_host)]
AddressText = Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(_address)]


class EnvironmentDocument(Document):
    """A group of clusters that are treated alike, such as ``prod`` or ``staging``."""

    name: Name
    labels: dict[LabelKey, LabelValue] = Field(default={}, description="Labels of all clusters of the environment.")


class InstanceDocument(Document):
    """One server process."""

    name: Name = Field(description="Unique in the fleet.")
    host: Host = Field(description="Host name, IP address, or absolute directory of a Unix socket.")
    port: int | None = Field(default=None, ge=1, le=65_535, description="Default: the engine's registered port.")
    control: ControlDocument | None = Field(
        default=None, description="How its process is started and stopped. Default: dbre does neither."
    )


class EndpointsDocument(Document):
    """How clients reach a cluster, where that is not the instances themselves: virtual addresses, proxies, DNS names."""

    write: tuple[AddressText, ...] = Field(default=(), description="Where writes go, in the order of trial.")
    read: tuple[AddressText, ...] = Field(default=(), description="Where reads that need the newest data go.")
    replica: tuple[AddressText, ...] = Field(default=(), description="Where reads that may lag behind go.")


class ClusterDocument(Document):
    """One replicated data set."""

    name: Name = Field(description="Unique in the fleet.")
    environment: Name = Field(default="default", description="One of `environments`, if any are listed.")
    engine: str = Field(description="postgresql, mysql, redis: `dbre engine list`.", min_length=1, max_length=63)
    labels: dict[LabelKey, LabelValue] = Field(
        default={}, description="For selectors; environment, cluster and engine are set."
    )
    user: Identifier | None = Field(default=None, description="Login of dbre. Default: what the driver takes.")
    password: SecretReference | None = Field(default=None, description="Where the password is kept.")
    replication_user: Identifier | None = Field(
        default=None, description="Login of a follower at its upstream. Default: as another follower logs in."
    )
    replication_password: SecretReference | None = Field(default=None, description="Where its password is kept.")
    tls: TlsMode = Field(default=TlsMode.PREFER, description="Encryption of connections; the words of libpq's sslmode.")
    tls_ca_file: FilePath | None = Field(
        default=None, description="Certificates to verify servers with. Default: the system's."
    )
    databases: tuple[Identifier, ...] = Field(default=(), description="Databases in use; probes connect to the first.")
    instances: tuple[InstanceDocument, ...] = Field(min_length=1, description="Its server processes.")
    endpoints: EndpointsDocument = Field(default=EndpointsDocument(), description="Default: all instances, for every purpose.")


class FleetDocument(Document):
    """The inventory."""

    environments: tuple[EnvironmentDocument, ...] = Field(default=(), description="Optional; if any are listed, all must be.")
    clusters: tuple[ClusterDocument, ...] = ()


def _faults(fleet: Any) -> Iterator[Fault]:
    environments = list(_mappings(fleet, "environments"))
    clusters = list(_mappings(fleet, "clusters"))
    yield from _repeated("environment", [(("environments", i, "name"), one.get("name")) for i, one in environments])
    yield from _repeated("cluster", [(("clusters", i, "name"), one.get("name")) for i, one in clusters])
    instances = [(("clusters", i, "instances", j), c, one) for i, c in clusters for j, one in _mappings(c, "instances")]
    yield from _repeated("instance", [((*path, "name"), one.get("name")) for path, _, one in instances])
    yield from _repeated(
        "address",
        [
            ((*path, "host"), f"{one['host']} port {one.get('port') or c.get('engine')}")
            for path, c, one in instances
            if "host" in one
        ],
    )
    for i, cluster in clusters:
        yield from _control_faults(("clusters", i), cluster)
    known = [str(one["name"]) for _, one in environments if "name" in one]
    for i, cluster in clusters:
        yield from _cluster_faults(("clusters", i), cluster, known)
    for i, environment in environments:
        yield from _label_faults(("environments", i), environment)


def _cluster_faults(path: tuple[str | int, ...], cluster: dict[str, Any], environments: list[str]) -> Iterator[Fault]:
    environment = cluster.get("environment", "default")
    if environments and isinstance(environment, str) and environment not in environments:
        near = closest(environment, environments)
        hint = f"did you mean {near}?" if near else f"the environments are {', '.join(environments)}"
        place = (*path, "environment") if "environment" in cluster else path
        yield Fault(path=place, message=f"no environment is named {environment!r}", hint=hint)
    if cluster.get("tls_ca_file") is not None and cluster.get("tls", TlsMode.PREFER) not in _VERIFIED:
        message = "servers are verified with tls: verify-ca or verify-full only"
        yield Fault(path=(*path, "tls_ca_file"), message=message, hint="set tls, or remove tls_ca_file")
    yield from _label_faults(path, cluster)


def _control_faults(path: tuple[str | int, ...], cluster: dict[str, Any]) -> Iterator[Fault]:
    """Two servers of one machine share nothing; those of two machines may look alike."""
    seen: set[tuple[str, str, str]] = set()
    for j, instance in _mappings(cluster, "instances"):
        control = instance.get("control")
        if not isinstance(control, dict):
            continue
        place = (*path, "instances", j, "control")
        if control.get("kind") == "pg_ctl" and cluster.get("engine") not in (None, "postgresql"):
            yield Fault(path=(*place, "kind"), message="pg_ctl starts PostgreSQL only", hint="use systemd or commands")
        for key in ("data_directory", "unit"):
            one = (str(instance.get("host")), key, str(control.get(key)))
            if control.get(key) is not None and one in seen:
                yield Fault(path=(*place, key), message=f"another instance of {one[0]} has it", hint="each has its own")
            seen.add(one)


def _label_faults(path: tuple[str | int, ...], holder: dict[str, Any]) -> Iterator[Fault]:
    labels = holder.get("labels")
    for key in RESERVED_LABELS:
        if isinstance(labels, dict) and key in labels:
            yield Fault(path=(*path, "labels", key), message="this label is set by dbre", hint="remove it")


def _mappings(holder: Any, key: str) -> Iterator[tuple[int, dict[str, Any]]]:
    items = holder.get(key) if isinstance(holder, dict) else None
    for index, item in enumerate(items if isinstance(items, list) else ()):
        if isinstance(item, dict):
            yield index, item


def _repeated(kind: str, names: list[tuple[tuple[str | int, ...], Any]]) -> Iterator[Fault]:
    seen: set[str] = set()
    for path, name in names:
        if isinstance(name, str) and name in seen:
            yield Fault(path=path, message=f"{kind} {name} is already in the fleet", hint="each may stand there once")
        elif isinstance(name, str):
            seen.add(name)


FLEET: Section[FleetDocument] = Section(
    "fleet", FleetDocument, FleetDocument, "Environments, clusters and their instances.", faults=_faults
)


def build_fleet(config: Config, *, default_ports: Mapping[str, int]) -> Fleet:
    """The inventory of a configuration; ``default_ports`` holds the port of each engine that exists, installed or not.

    Passwords are not fetched yet: ``Cluster.password`` reads them when it is revealed.

    Raises: ConfigInvalid for engines that do not exist.
    """
    document = config.get(FLEET)
    problems = []
    for index, cluster in enumerate(document.clusters):
        if cluster.engine not in default_ports:
            near = closest(cluster.engine, default_ports)
            hint = f"did you mean {near}?" if near else f"the engines are {', '.join(sorted(default_ports))}"
            key = f"fleet.clusters[{index}].engine"
            problems.append(Problem(config.placed(key), f"{key}: no engine is named {cluster.engine!r}", hint))
    if problems:
        raise ConfigInvalid(problems)
    environments = {environment.name: environment.labels for environment in document.environments}
    return Fleet(
        clusters=tuple(
            _cluster(cluster, environments.get(cluster.environment, {}), default_ports[cluster.engine])
            for cluster in document.clusters
        )
    )


def _cluster(document: ClusterDocument, environment_labels: Mapping[str, str], default_port: int) -> Cluster:
    instances = tuple(
        Instance(
            name=one.name,
            cluster=document.name,
            address=Address(one.host, one.port or default_port),
            control=control_from(one.control) if one.control else None,
        )
        for one in document.instances
    )
    reserved = {"environment": document.environment, "cluster": document.name, "engine": document.engine}
    return Cluster(
        name=document.name,
        environment=document.environment,
        engine=document.engine,
        instances=instances,
        endpoints=tuple(_endpoints(document, instances, default_port)),
        databases=document.databases,
        user=document.user,
        password=document.password.secret() if document.password else None,
        tls=document.tls,
        tls_ca_file=str(document.tls_ca_file) if document.tls_ca_file else None,
        labels={**environment_labels, **document.labels, **reserved},
        replication_user=document.replication_user,
        replication_password=document.replication_password.secret() if document.replication_password else None,
    )


def _endpoints(document: ClusterDocument, instances: tuple[Instance, ...], default_port: int) -> Iterator[Endpoint]:
    given = document.endpoints
    texts = {EndpointPurpose.WRITE: given.write, EndpointPurpose.READ: given.read, EndpointPurpose.REPLICA: given.replica}
    for purpose, written in texts.items():
        addresses = tuple(Address.parse(text, default_port=default_port) for text in written)
        if not addresses and (purpose is not EndpointPurpose.REPLICA or len(instances) > 1):
            addresses = tuple(instance.address for instance in instances)
        if addresses:
            yield Endpoint(cluster=document.name, purpose=purpose, addresses=addresses)
