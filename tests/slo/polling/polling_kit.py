"""A sink that remembers what sources count, and fleets of real servers."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from dbre.capabilities.slo.counting import CountedSlot, SourceMark
from dbre.capabilities.slo.counts import Counts
from dbre.capabilities.slo.definition import Definition
from dbre.capabilities.slo.sli import Sli, SliKind
from dbre.capabilities.slo.sources import SliSource
from dbre.capabilities.slo.window import RollingWindow
from dbre.core.fleet import Address, Cluster, Endpoint, EndpointPurpose, Fleet, Instance, TlsMode
from dbre.core.secrets import Secret


@dataclass
class Sink:
    """Implements ``CountSink``: what is stored with its mark survives ``crash``, the rest does not."""

    marks: dict[str, str] = field(default_factory=dict)
    slots: dict[tuple[str, str, str], dict[int, Counts]] = field(default_factory=lambda: defaultdict(dict))
    heard_of: list[tuple[str, str]] = field(default_factory=list)

    def take(self, counted: Sequence[CountedSlot], *, mark: SourceMark | None = None) -> None:
        for one in counted:
            slots = self.slots[one.slo, one.cluster, one.group]
            slots[one.slot] = slots.get(one.slot, Counts()) + one.counts
        if mark is not None:
            self.marks[mark.source] = mark.position

    def heard(self, slo: str, cluster: str) -> None:
        self.heard_of.append((slo, cluster))

    def stored_position(self, source: str) -> str | None:
        return self.marks.get(source)

    async def wait_until_started(self) -> None:
        pass

    def total(self, group: str = "", slo: str = "polled", cluster: str = "orders") -> Counts:
        return sum(self.slots.get((slo, cluster, group), {}).values(), Counts())


def polled(source: SliSource, *, name: str = "polled") -> Definition:
    sli = Sli(kind=SliKind.AVAILABILITY, source=source)
    return Definition(name=name, sli=sli, target=Decimal("0.99"), window=RollingWindow(seconds=30 * 86_400))


def fleet(*addresses: Address, engine: str = "postgresql", user: str = "dbre", password: Secret | None = None) -> Fleet:
    given = addresses or (Address("192.0.2.1", 5432),)
    cluster = Cluster(
        name="orders",
        environment="prod",
        engine=engine,
        instances=tuple(Instance(name=f"orders-{n}", cluster="orders", address=one) for n, one in enumerate(given, 1)),
        endpoints=(Endpoint(cluster="orders", purpose=EndpointPurpose.WRITE, addresses=given),),
        databases=(),
        user=user,
        password=password,
        tls=TlsMode.PREFER,
        tls_ca_file=None,
        labels={"cluster": "orders", "environment": "prod"},
    )
    return Fleet(clusters=(cluster,))
