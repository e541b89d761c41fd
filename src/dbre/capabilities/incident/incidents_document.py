"""The section ``incidents`` of ``dbre.yaml``: when alerts belong together, what is asked of servers, who may chat."""

from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field

from dbre.core.config import Document, Duration, FilePath, LabelKey, LabelValue, Name, Ratio, SecretReference, Section, between
from dbre.core.config.section import Fault

__all__ = [
    "INCIDENTS",
    "ChatDocument",
    "IncidentsDocument",
    "PlaybookDocument",
    "PlaybookStep",
    "PostmortemDocument",
    "SlackAppDocument",
]

PlaybookStep = Literal["identity", "activity", "sessions", "replication", "settings"]
"""What a playbook asks of every instance of the cluster; each only reads."""


class PlaybookDocument(Document):
    """What is asked of a cluster's servers when an incident opens there, and where people read on."""

    name: Name
    selector: dict[LabelKey, LabelValue] = Field(default={}, description="labels of the clusters; default all")
    slos: list[Name] = Field(default=[], description="only for alerts of these SLOs; default any")
    steps: list[PlaybookStep] = Field(
        default=["identity", "activity", "sessions", "replication", "settings"], min_length=1, description="what is asked"
    )
    runbook: str = Field(default="", max_length=500, description="a URL or a sentence that people are shown")


class PostmortemDocument(Document):
    """When a postmortem is required, and what it looks like."""

    budget_share: Ratio = Field(
        default=Decimal("0.2"), description="required where one incident spends this part of an error budget"
    )
    severities: list[Literal["sev1", "sev2", "sev3", "sev4"]] = Field(
        default=["sev1"], description="required for these severities"
    )
    template: FilePath | None = Field(default=None, description="a Markdown file with ${summary}, ${timeline}, ...")
    needs_other_reviewer: bool = Field(default=True, description="who wrote the last revision does not review it")


class SlackAppDocument(Document):
    """Commands and buttons of one Slack app."""

    signing_secret: SecretReference = Field(description="the app's signing secret")
    users: dict[Annotated[str, Field(pattern=r"^[UW][A-Z0-9]{2,20}$")], str] = Field(
        default={}, description="Slack's user id and the identity that it stands for"
    )


class ChatDocument(Document):
    """Who may act from a chat."""

    slack: SlackAppDocument | None = None


class IncidentsDocument(Document):
    """How incidents are opened, ended and followed up."""

    join_within: Annotated[Duration, between("0s", "2h")] = Field(
        default=timedelta(minutes=10), description="after an alert, others of the cluster and its neighbours join for so long"
    )
    reopen_within: Annotated[Duration, between("0s", "24h")] = Field(
        default=timedelta(minutes=30), description="after the end, an alert of the same SLO opens the incident again"
    )
    resolve_after: Annotated[Duration, between("0s", "24h")] = Field(
        default=timedelta(minutes=10), description="resolved once every alert has been over for so long"
    )
    look_back: Annotated[Duration, between("0s", "24h")] = Field(
        default=timedelta(minutes=30), description="how much of what happened before goes into the timeline"
    )
    dependencies: dict[Name, list[Name]] = Field(
        default={}, description="cluster and the clusters that it depends on: their alerts belong together"
    )
    playbooks: list[PlaybookDocument] = Field(
        default=[], description="what is asked of servers; none written: one that asks everything of every cluster"
    )
    postmortem: PostmortemDocument = Field(default_factory=PostmortemDocument)
    chat: ChatDocument = Field(default_factory=ChatDocument)


def _faults(document: Any) -> Iterator[Fault]:
    if not isinstance(document, dict):
        return
    seen: set[str] = set()
    playbooks = document.get("playbooks")
    for index, one in enumerate(playbooks if isinstance(playbooks, list) else ()):
        name = one.get("name") if isinstance(one, dict) else None
        if isinstance(name, str) and name in seen:
            yield Fault(path=("playbooks", index, "name"), message=f"another playbook is named {name}", hint="rename one")
        seen.add(str(name))
    dependencies = document.get("dependencies")
    for name, others in (dependencies if isinstance(dependencies, dict) else {}).items():
        if isinstance(others, list) and name in others:
            yield Fault(path=("dependencies", name), message=f"{name} cannot depend on itself", hint="remove it")


INCIDENTS: Section[IncidentsDocument] = Section(
    key="incidents",
    shape=IncidentsDocument,
    default=IncidentsDocument,
    summary="how incidents are opened, ended and followed up",
    faults=_faults,
)
