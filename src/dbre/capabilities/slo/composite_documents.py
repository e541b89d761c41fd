"""The section ``slo_composites`` of ``dbre.yaml``."""

from collections import Counter
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any, Self

from pydantic import Field, model_validator

from dbre.capabilities.slo.composite import Composite, Join, Member
from dbre.capabilities.slo.errors import InvalidSli
from dbre.core.config import Document, Section
from dbre.core.config.section import Fault

__all__ = ["SLO_COMPOSITES", "CompositeDocument", "composites_from"]

_NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"


class MemberDocument(Document):
    """One SLO of a composite."""

    slo: str = Field(pattern=_NAME, description="the name of an SLO")
    weight: Annotated[Decimal, Field(gt=0, le=1000)] = Field(
        Decimal(1), description="its part of the whole, as against the others"
    )


class CompositeDocument(Document):
    """Several SLOs seen as one."""

    name: str = Field(pattern=_NAME, description="lower-case letters, digits and hyphens, at most 63")
    description: str = Field("", max_length=1050)
    join: Join = Field(Join.WEIGHTED, description="weighted, worst, or journey: a user needs all of them")
    of: list[MemberDocument] = Field(min_length=2, max_length=25, description="its members")

    @model_validator(mode="after")
    def _members_once(self) -> Self:
        twice = [name for name, count in Counter(one.slo for one in self.of).items() if count > 1]
        if twice:
            raise InvalidSli(f"{twice[0]} is twice a member of composite {self.name}", hint="give it a greater weight instead")
        if self.join is not Join.WEIGHTED and any(one.weight != 1 for one in self.of):
            raise InvalidSli(f"weights mean nothing with join: {self.join}", hint="remove them, or write join: weighted")
        return self

    def composite(self) -> Composite:
        """The composite."""
        members = tuple(Member(slo=one.slo, weight=Fraction(one.weight)) for one in self.of)
        return Composite(name=self.name, description=self.description, join=self.join, members=members)


def _names_once(documents: Any) -> Iterator[Fault]:
    seen = set()
    for index, one in enumerate(documents if isinstance(documents, list) else ()):
        name = one.get("name") if isinstance(one, dict) else None
        if isinstance(name, str) and name in seen:
            yield Fault(path=(index, "name"), message=f"another composite has the name {name}", hint="rename one of them")
        seen.add(name)


def composites_from(documents: tuple[CompositeDocument, ...]) -> tuple[Composite, ...]:
    """The composites of the section."""
    return tuple(one.composite() for one in documents)


SLO_COMPOSITES: Section[tuple[CompositeDocument, ...]] = Section(
    key="slo_composites",
    shape=tuple[CompositeDocument, ...],
    default=tuple,
    summary="several SLOs seen as one: weighted, by the worst, or as a journey that needs them all",
    faults=_names_once,
)
