"""The section ``gates`` of ``dbre.yaml``: freeze windows, change windows, approvals."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from dbre.core.config import Document, Section
from dbre.core.config.section import Fault
from dbre.core.errors import UsageError
from dbre.core.gates.approval import DEFAULT_POLICY, ApprovalPolicy
from dbre.core.gates.calendar import Calendar, time_zone
from dbre.core.gates.calendar_text import pattern_of
from dbre.core.gates.freeze_window import ChangeWindow, FreezeWindow
from dbre.core.gates.model import GateVerdict
from dbre.core.gates.scope import EXEMPT_TAGS, Scope
from dbre.core.operation.plan import Risk
from dbre.core.selector import Selector

__all__ = [
    "GATES",
    "ApprovalDocument",
    "ChangeWindowDocument",
    "FreezeWindowDocument",
    "GatesDocument",
    "KindPattern",
    "KindPatterns",
    "SelectorLabels",
    "Tag",
    "approval_policies",
    "change_windows",
    "freeze_windows",
]

_NAME = r"^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$"


def _check_selector(selector: dict[str, str | list[str]]) -> dict[str, str | list[str]]:
    Selector.of(selector)
    return selector


def _check_zone(name: str) -> str:
    time_zone(name)
    return name


def _check_kinds(kinds: tuple[str, ...]) -> tuple[str, ...]:
    if not kinds:
        raise UsageError("no kind at all would mean no operation", hint='write kinds: ["settings.*"], or leave the key out')
    return kinds


Tag = Annotated[str, Field(pattern=r"^[a-z0-9][-a-z0-9_]{0,62}$")]
KindPattern = Annotated[str, Field(pattern=r"^[a-z0-9_.*?-]{1,100}$")]
KindPatterns = Annotated[tuple[KindPattern, ...], AfterValidator(_check_kinds)]
SelectorLabels = Annotated[dict[str, str | list[str]], AfterValidator(_check_selector)]
_KINDS = "Kinds of operation, with * and ?: settings.*; default: every one that changes something"
_EXCEPT = "Tags of plans that are exempt"


class WhenDocument(Document):
    """A time: once, each week, or each year."""

    days: tuple[str, ...] | None = Field(default=None, description="Days of the week: mon, tue, wed, thu, fri, sat, sun")
    from_: str | None = Field(
        default=None, alias="from", description='With days "18:00"; alone "fri 18:00", or a moment "2026-12-01T08:00+01:00"'
    )
    until: str | None = Field(
        default=None, description='In the form of from; a time not after from is of the next day; "24:00"'
    )
    dates: tuple[str, ...] | None = Field(default=None, description='Days of each year, both included: "12-20..01-05"')

    @model_validator(mode="after")
    def _readable(self) -> Self:
        pattern_of(days=self.days, begin=self.from_, end=self.until, dates=self.dates)
        return self

    def calendar(self, zone: str) -> Calendar:
        """The time, in a time zone."""
        pattern = pattern_of(days=self.days, begin=self.from_, end=self.until, dates=self.dates)
        return Calendar(pattern, time_zone(zone))


class _WindowDocument(Document):
    name: str = Field(pattern=_NAME, description="Lower-case letters, digits and hyphens, at most 63")
    when: WhenDocument = Field(description="A time: once, each week, or each year")
    time_zone: Annotated[str, AfterValidator(_check_zone)] = Field(
        default="UTC", description="IANA name of the zone in which `when` is meant"
    )
    selector: SelectorLabels = Field(default_factory=dict, description="Which clusters: label to value or list; default: all")
    kinds: KindPatterns | None = Field(default=None, description=_KINDS)
    exempt: tuple[Tag, ...] = Field(default=EXEMPT_TAGS, alias="except", description=_EXCEPT)
    verdict: Literal["hold", "refuse"] = Field(default="hold", description="Hold waits until the time comes, refuse ends it")
    running: Literal["finish", "hold"] = Field(
        default="finish", description="Operations that began before: let them finish, or pause them at their next step"
    )
    reason: str | None = Field(default=None, min_length=1, max_length=300, description="What people are told")

    def _given(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "calendar": self.when.calendar(self.time_zone),
            "scope": _scope(self.kinds, Risk.MILD, self.selector, self.exempt),
            "verdict": GateVerdict(self.verdict),
            "holds_running": self.running == "hold",
            "reason": self.reason,
        }


class FreezeWindowDocument(_WindowDocument):
    """A time in which no changes begin."""

    def window(self) -> FreezeWindow:
        """The window of the document."""
        return FreezeWindow(**self._given())


class ChangeWindowDocument(_WindowDocument):
    """A time outside of which no changes begin."""

    def window(self) -> ChangeWindow:
        """The window of the document."""
        return ChangeWindow(**self._given())


class ApprovalDocument(Document):
    """How many people consent to which operations before they run."""

    name: str = Field(pattern=_NAME, description="Lower-case letters, digits and hyphens, at most 63")
    kinds: KindPatterns | None = Field(default=None, description="Kinds of operation, with * and ?; default: by risk alone")
    risk: Literal["mild", "moderate", "severe"] = Field(
        default="moderate", description="From which risk on; without effect where kinds are given"
    )
    selector: SelectorLabels = Field(default_factory=dict, description="Which clusters: label to value or list; default: all")
    exempt: tuple[Tag, ...] = Field(default=(), alias="except", description=_EXCEPT)
    count: int = Field(default=1, ge=1, le=10, description="How many people, the requester not counted")
    approvers: tuple[Annotated[str, Field(min_length=1, max_length=130)], ...] = Field(
        default=(), description="Whose consent counts: names, with * and ?; default: whoever may approve"
    )

    def policy(self) -> ApprovalPolicy:
        """The policy of the document."""
        scope = _scope(self.kinds, Risk(self.risk), self.selector, self.exempt)
        return ApprovalPolicy(name=self.name, scope=scope, count=self.count, approvers=self.approvers)


class GatesDocument(Document):
    """What stands in the way of operations."""

    freeze_windows: tuple[FreezeWindowDocument, ...] = Field(default=(), description="Times in which no changes begin")
    change_windows: tuple[ChangeWindowDocument, ...] = Field(
        default=(), description="Times outside of which no changes begin; several are alternatives"
    )
    approvals: tuple[ApprovalDocument, ...] | None = Field(
        default=None,
        description="Who must consent to what; default: one other person to severe operations, once identities are configured",
    )


def _scope(kinds: tuple[str, ...] | None, risk: Risk, selector: dict[str, str | list[str]], exempt: tuple[str, ...]) -> Scope:
    return Scope(kinds=kinds, risk=risk, selector=Selector.of(selector), exempt=exempt)


def freeze_windows(document: GatesDocument) -> tuple[FreezeWindow, ...]:
    """The freeze windows of the section."""
    return tuple(one.window() for one in document.freeze_windows)


def change_windows(document: GatesDocument) -> tuple[ChangeWindow, ...]:
    """The change windows of the section."""
    return tuple(one.window() for one in document.change_windows)


def approval_policies(document: GatesDocument, *, has_identities: bool) -> tuple[ApprovalPolicy, ...]:
    """The policies of the section; where it has none, ``DEFAULT_POLICY`` once identities are configured: one cannot be two."""
    if document.approvals is not None:
        return tuple(one.policy() for one in document.approvals)
    return (DEFAULT_POLICY,) if has_identities else ()


def _faults(gates: Any) -> Iterator[Fault]:
    for key in ("freeze_windows", "change_windows", "approvals"):
        items = gates.get(key) if isinstance(gates, dict) else None
        seen: set[str] = set()
        for index, one in enumerate(items if isinstance(items, list) else ()):
            name = one.get("name") if isinstance(one, dict) else None
            if isinstance(name, str) and name in seen:
                yield Fault(path=(key, index, "name"), message=f"another entry has the name {name}", hint="rename one of them")
            seen.add(name if isinstance(name, str) else "")


GATES: Section[GatesDocument] = Section(
    key="gates",
    shape=GatesDocument,
    default=GatesDocument,
    summary="what stands in the way of operations: freeze windows, change windows, approvals",
    faults=_faults,
)
