"""The support matrix is computed from features, version and privileges."""

from types import SimpleNamespace

import pytest

from dbre.core.errors import UsageError
from dbre.ports.engine import Facet, Feature
from dbre.ports.support import SupportState, support_matrix, support_of

LAG = Feature(facet=Facet.REPLICATION, name="lag", versions="15-17", privilege="pg_monitor", products=("postgresql", "other"))


@pytest.mark.parametrize(
    ("product", "version", "privileges", "state", "reason"),
    [
        ("postgresql", (16, 2), {"pg_monitor"}, SupportState.SUPPORTED, None),
        ("postgresql", (16, 2), None, SupportState.SUPPORTED, None),
        ("postgresql", (16, 2), {"CONNECT"}, SupportState.NEEDS_PRIVILEGE, "needs pg_monitor"),
        ("postgresql", (18,), {"pg_monitor"}, SupportState.UNSUPPORTED, "needs postgresql 15-17, and this is 18"),
        ("postgresql", (18,), set(), SupportState.UNSUPPORTED, "needs postgresql 15-17, and this is 18"),
        ("third", (16,), {"pg_monitor"}, SupportState.UNSUPPORTED, "third has no such thing"),
    ],
)
def test_the_first_obstacle_is_the_reason(
    product: str, version: tuple, privileges: set | None, state: SupportState, reason: str | None
) -> None:
    found = support_of(LAG, product=product, version=version, privileges=privileges)
    assert (found.state, found.reason) == (state, reason)


def test_a_product_must_be_named_where_there_are_several() -> None:
    engine = SimpleNamespace(name="mine", products=("postgresql", "other"), features=lambda: [LAG])
    with pytest.raises(UsageError, match="several products"):
        support_matrix(engine, version=(15,))
    with pytest.raises(UsageError, match="no product 'third'"):
        support_matrix(engine, product="third", version=(15,))
    assert [one.feature for one in support_matrix(engine, product="other", version=(15,))] == [LAG]
    alone = SimpleNamespace(name="mine", products=("postgresql",), features=lambda: [LAG])
    assert support_matrix(alone, version=(15,))[0].state is SupportState.SUPPORTED
