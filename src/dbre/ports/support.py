"""The support matrix: what an engine can do on a version of a product, for a login with some privileges."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from dbre.core.errors import UsageError
from dbre.ports.engine import Engine, Feature
from dbre.ports.versions import VersionRange, format_version

__all__ = ["Support", "SupportState", "support_matrix", "support_of"]


class SupportState(StrEnum):
    """Whether a feature can be used."""

    SUPPORTED = "supported"
    NEEDS_PRIVILEGE = "needs_privilege"
    UNSUPPORTED = "unsupported"


@dataclass(frozen=True, slots=True, kw_only=True)
class Support:
    """One feature on one version for one login."""

    feature: Feature
    state: SupportState
    reason: str | None  # why not; None when supported


def support_of(
    feature: Feature, *, product: str, version: tuple[int, ...], privileges: Collection[str] | None = None
) -> Support:
    """Whether a feature can be used there; ``privileges`` None: by a login with all that the engine's grants give.

    >>> from dbre.ports.engine import Facet
    >>> lag = Feature(facet=Facet.REPLICATION, name="lag", versions=">=15", privilege="pg_monitor", products=("postgresql",))
    >>> support_of(lag, product="postgresql", version=(14, 2)).reason
    'needs postgresql >=15, and this is 14.2'
    """
    if product not in feature.products:
        return _lacking(feature, SupportState.UNSUPPORTED, f"{product} has no such thing")
    if version not in VersionRange.parse(feature.versions):
        reason = f"needs {product} {feature.versions}, and this is {format_version(version)}"
        return _lacking(feature, SupportState.UNSUPPORTED, reason)
    if privileges is not None and feature.privilege not in privileges:
        return _lacking(feature, SupportState.NEEDS_PRIVILEGE, f"needs {feature.privilege}")
    return Support(feature=feature, state=SupportState.SUPPORTED, reason=None)


def _lacking(feature: Feature, state: SupportState, reason: str) -> Support:
    return Support(feature=feature, state=state, reason=reason)


def support_matrix(
    engine: Engine, *, product: str | None = None, version: tuple[int, ...], privileges: Collection[str] | None = None
) -> Sequence[Support]:
    """Every feature of an engine, in the engine's order; ``product`` may be left out where the engine has only one.

    Raises: UsageError where the engine has no such product, or several to choose from.
    """
    known = engine.products
    if product is None and len(known) == 1:
        product = known[0]
    if product is None or product not in known:
        given = f"engine {engine.name} has no product {product!r}" if product else f"engine {engine.name} has several products"
        raise UsageError(given, hint=f"name one: {', '.join(known)}")
    return [support_of(feature, product=product, version=version, privileges=privileges) for feature in engine.features()]
