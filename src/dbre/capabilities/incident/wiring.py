"""Opens the desks of incidents over the parts of a command."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from dbre.capabilities.incident.actions.desk import ActionDesk
from dbre.capabilities.incident.desk import IncidentDesk
from dbre.capabilities.incident.errors import NoSuchIncidentItem
from dbre.capabilities.incident.incidents_document import INCIDENTS, PostmortemDocument
from dbre.capabilities.incident.postmortem.desk import PostmortemDesk, PostmortemRules
from dbre.capabilities.incident.postmortem.draft import TEMPLATE
from dbre.core.errors import UsageError
from dbre.core.text import printable
from dbre.ports.runtime import Runtime

__all__ = ["action_desk", "incident_desk", "postmortem_desk", "postmortem_rules"]

_LARGEST_TEMPLATE = 200_000


@asynccontextmanager
async def incident_desk(parts: Runtime) -> AsyncIterator[IncidentDesk]:
    """What the user of this command does with incidents."""
    principal = await parts.principal()
    async with parts.open_store() as store:
        yield IncidentDesk(store, parts.fleet, parts.clock, principal)


@asynccontextmanager
async def action_desk(parts: Runtime) -> AsyncIterator[ActionDesk]:
    """What the user of this command does with action items."""
    principal = await parts.principal()
    async with parts.open_store() as store:
        yield ActionDesk(store, parts.fleet, parts.clock, principal)


@asynccontextmanager
async def postmortem_desk(parts: Runtime) -> AsyncIterator[PostmortemDesk]:
    """What the user of this command does with postmortems."""
    rules, principal = postmortem_rules(parts.config.get(INCIDENTS).postmortem), await parts.principal()
    async with parts.open_store() as store:
        yield PostmortemDesk(store, parts.fleet, parts.clock, principal, impact=parts.impact(store), rules=rules)


def postmortem_rules(document: PostmortemDocument) -> PostmortemRules:
    """The rules of the section. Raises: NoSuchIncidentItem or UsageError where the template cannot be read."""
    return PostmortemRules(
        budget_share=document.budget_share,
        severities=tuple(document.severities),
        template=TEMPLATE if document.template is None else _template(document.template),
        needs_other_reviewer=document.needs_other_reviewer,
    )


def _template(path: Path) -> str:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LARGEST_TEMPLATE + 1)
    except OSError as error:
        raise NoSuchIncidentItem(
            f"the template {printable(str(path))} cannot be read: {error.strerror}", hint="incidents.postmortem.template"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"the template {printable(str(path))} is not UTF-8") from error
    if len(text) > _LARGEST_TEMPLATE:
        raise UsageError(f"the template {printable(str(path))} has more than {_LARGEST_TEMPLATE} characters")
    return text
