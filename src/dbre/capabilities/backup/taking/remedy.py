"""Whether a full copy mends what cannot be recovered: gates do not hold it then, since they would prolong it."""

from datetime import datetime

from dbre.capabilities.backup.catalog.gaps import list_gaps
from dbre.capabilities.backup.model import Catalog
from dbre.capabilities.backup.policy.promotions import lacks_full
from dbre.core.store import Store
from dbre.ports.backup.model import SourceSurvey

__all__ = ["is_remedy"]


async def is_remedy(store: Store, cluster: str, catalog: Catalog, survey: SourceSurvey, *, now: datetime) -> bool:
    """Whether a full copy of this server would end a gap, or be the first one of the timeline on which it goes on."""
    async with store.read() as connection:
        gaps = await list_gaps(connection, cluster, is_open=True)
    return bool(gaps) or lacks_full(catalog.sets, system_id=survey.system_id, timeline=survey.timeline, now=now)
