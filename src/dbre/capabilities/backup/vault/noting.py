"""The catalog hears of copies in another vault: restores may read them there, and expiry deletes them there too."""

from collections import defaultdict
from dataclasses import replace

from dbre.capabilities.backup.catalog.logs import list_logs, mark_logs
from dbre.capabilities.backup.catalog.sets import get_set, update_set
from dbre.capabilities.backup.model import SetState
from dbre.capabilities.backup.vault.copying import Copied
from dbre.core.store import Store

__all__ = ["note_copies"]


async def note_copies(store: Store, vault: str, copied: Copied) -> int:
    """Add a vault to the sets and log files that lie there now; gives the sets that the catalog knows of."""
    known = 0
    async with store.begin() as connection:
        for one in copied.chain:
            row = await get_set(connection, one.id)
            if row is None or row.state is not SetState.SEALED:
                continue
            known += 1
            said = one.details.get("recipients", {})
            recipients = {**row.details.get("recipients", {}), **said}
            vaults = tuple(dict.fromkeys((*row.vaults, vault)))
            await update_set(connection, replace(row, vaults=vaults, details={**row.details, "recipients": recipients}))
        if not copied.chain or not copied.logs_there:
            return known
        cluster, system_id = copied.chain[0].cluster, copied.chain[0].system_id
        groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for log in await list_logs(connection, cluster, system_id=system_id):
            if log.file.name in copied.logs_there and log.vaults and vault not in log.vaults:
                groups[(*log.vaults, vault)].append(log.file.name)
        for vaults, names in groups.items():
            await mark_logs(connection, cluster, system_id, names, vaults=vaults)
    return known
