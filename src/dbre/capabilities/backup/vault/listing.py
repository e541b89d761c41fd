"""What a vault holds, as its signed index tells; needs no identity and no state store. It blocks."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from dbre.capabilities.backup.model import BackupSet, Catalog, SetState
from dbre.capabilities.backup.vault.home import VaultHome
from dbre.capabilities.backup.vault.inside import bytes_of
from dbre.capabilities.backup.vault.records import moment, set_of, stored_log, switch_of

__all__ = ["catalog_of"]


def catalog_of(home: VaultHome, cluster: str | None) -> Catalog:
    """Sets, log files and timelines of a cluster, or of all."""
    name = home.document.name
    sets: list[BackupSet] = []
    logs, switches = [], []
    for system_id, state in home.states().items():
        mine = [one for one in state.sets.values() if cluster in (None, one["cluster"])]
        sets += [_set_of(one, name) for one in mine]
        found = [one for one in state.logs.values() if cluster in (None, one["cluster"])]
        logs += [stored_log(one, system_id=system_id, vault=name, is_gone=one["is_deleted"]) for one in found]
        if mine or found:
            switches += [switch_of(one, system_id) for one in state.switches.values()]
    sets.sort(key=lambda one: (one.started_at, one.id))
    logs.sort(key=lambda one: (one.system_id, one.file.timeline, one.file.start, one.file.name))
    return Catalog(sets=tuple(sets), logs=tuple(logs), switches=tuple(switches))


def _set_of(value: Mapping[str, Any], vault: str) -> BackupSet:
    one = set_of(value["record"], vault=vault, bytes_stored=bytes_of(value), lock_until=moment(value["lock_until"]))
    details = {key: said for key, said in one.details.items() if key != "recipients"}  # of the vault that it was copied from
    if "recipients" in value:
        details["recipients"] = {vault: list(value["recipients"])}
    one = replace(one, details=details)
    if value["is_deleted"]:
        return replace(one, state=SetState.DELETED, vaults=())
    return replace(one, state=SetState.TOMBSTONED) if value["tombstone"] else one
