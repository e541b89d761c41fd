"""What an engine says of itself: features, statements, grants."""
# ruff: noqa: S101 - a conformance suite is made of assertions

from collections.abc import Callable
from pathlib import Path

import pytest

from dbre.core.errors import DbreError, Unsupported, UsageError
from dbre.core.programs.account import Account
from dbre.ports.backup.model import Place
from dbre.ports.engine import Blame, Engine, Facet
from dbre.ports.support import SupportState, support_matrix
from dbre.ports.versions import VersionRange
from dbre.testing.conformance.subject import Subject, opened

__all__ = ["CatalogConformance"]


def _refused(engine: Engine) -> set[Facet]:
    """Facets of the protocol and of files, which need no server to say that they are not there."""
    place = Place(account=Account(name="nobody", uid=0, gid=0, switch=False), cache=Path())
    asked: dict[Facet, Callable[[], object]] = {Facet.WIRE: engine.wire, Facet.FORK: lambda: engine.forks(place)}
    refused = set()
    for facet, ask in asked.items():
        try:
            ask()
        except Unsupported:
            refused.add(facet)
    return refused


class CatalogConformance:
    """The engine's own account of itself."""

    async def test_every_feature_can_be_read_and_belongs_to_a_product(self, subject: Subject) -> None:
        """Versions parse, products are the engine's, no feature comes twice, every facet that it does not refuse has one."""
        features = subject.engine.features()
        assert {feature.facet for feature in features} == set(Facet) - _refused(subject.engine)
        assert len({(feature.facet, feature.name, feature.products) for feature in features}) == len(features)
        for feature in features:
            VersionRange.parse(feature.versions)
            assert feature.products
            assert set(feature.products) <= set(subject.engine.products)

    async def test_every_feature_of_this_version_is_supported_for_a_granted_login(self, subject: Subject) -> None:
        """What the matrix says is computed from the server, and the grants leave nothing out but what changes the server."""
        async with opened(subject) as server:
            identity = await server.session.identify()
            held = await server.session.privileges()
        assert identity.product in subject.engine.products
        matrix = support_matrix(subject.engine, product=identity.product, version=identity.version, privileges=held)
        assert not [one for one in matrix if one.state is SupportState.NEEDS_PRIVILEGE and not one.feature.is_opt_in]
        assert not [one for one in matrix if one.state is SupportState.SUPPORTED and one.feature.is_opt_in]
        assert SupportState.SUPPORTED in {one.state for one in matrix}

    async def test_statements_have_names_and_sources(self, subject: Subject) -> None:
        """Every statement that may be sent can be read, and found."""
        for query in subject.engine.queries():
            assert query.name
            assert query.text
            assert ":" in query.source
            VersionRange.parse(query.versions)

    async def test_grants_quote_the_login(self, subject: Subject) -> None:
        """A name that no login can bear is refused, never cut or escaped into another."""
        for name in ("", "nul\0byte"):
            with pytest.raises(UsageError):
                subject.engine.grants(name)

    async def test_errors_of_others_are_not_judged(self, subject: Subject) -> None:
        """An error that is not this engine's has no verdict; the network's speaks against the service."""
        assert subject.engine.classify(ValueError("not from a driver")) is None
        assert subject.engine.classify(DbreError("ours")) is None
        verdict = subject.engine.classify(TimeoutError())
        assert verdict is not None
        assert (verdict.blame, verdict.code) == (Blame.BAD, None)

    async def test_the_end_of_a_version_is_a_day_or_unknown(self, subject: Subject) -> None:
        """For the version that runs, and for one that never was."""
        async with opened(subject) as server:
            identity = await server.session.identify()
        end = subject.engine.end_of_life(identity.product, identity.version)
        assert end is None or end.year > 2020
        assert subject.engine.end_of_life(identity.product, (0, 1)) is None
