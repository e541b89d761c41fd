"""Sets and log files on their way out of a vault: each object is compared with the signed index before its use. It blocks."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dbre.capabilities.backup.vault.ahead import fetched_ahead
from dbre.capabilities.backup.vault.checking import objects_of_set
from dbre.capabilities.backup.vault.contents import Stowed, Unpacking
from dbre.capabilities.backup.vault.errors import NotInVault, ObjectDamaged
from dbre.capabilities.backup.vault.flow import Flow
from dbre.capabilities.backup.vault.inside import Inside
from dbre.core.text import quoted

__all__ = ["fetch_log", "fetch_manifest", "fetch_set", "read_log_through", "read_set_through"]


def fetch_set(inside: Inside, set_id: str, into: Path, flow: Flow) -> None:
    """Unpack a set into a directory that is new or empty."""
    system_id, found = inside.find_set(set_id)
    inside.need_identity()
    parts = [Stowed.of(one) for one in found["parts"]]
    flow.total = sum(one.plain_size for one in parts)
    _make_empty(into)
    unpacking = Unpacking(into, flow)
    try:
        with fetched_ahead(inside.contents, parts, flow=flow) as paths:
            for number, (part, path) in enumerate(zip(parts, paths, strict=True)):
                binding = inside.binding(system_id, set=set_id, part=number)
                inside.contents.decrypt(path, part, unpacking.feed, binding=binding, flow=flow)
        unpacking.finish()
    except BaseException:
        unpacking.abandon()
        raise
    if (unpacking.files, unpacking.bytes) != (found["files"], found["bytes"]):
        raise ObjectDamaged(
            f"set {set_id} of vault {inside.name} unpacks to {unpacking.files} files of {unpacking.bytes} bytes,"
            f" the index says {found['files']} of {found['bytes']}"
        )
    flow.tell()


def fetch_manifest(inside: Inside, set_id: str, into: Path, flow: Flow) -> None:
    """Put the manifest of a set at ``into``, a new file."""
    system_id, found = inside.find_set(set_id)
    if found["manifest"] is None:
        raise NotInVault(f"set {set_id} of vault {inside.name} was stored without a manifest of its own")
    inside.need_identity()
    binding = inside.binding(system_id, set=set_id, part="manifest")
    _fetch_file(inside, Stowed.of(found["manifest"]), into, binding, flow)


def fetch_log(inside: Inside, system_id: str, name: str, into: Path, flow: Flow) -> bool:
    """Put a log file at ``into``, a new file; False where it is certainly not here."""
    found = inside.find_log(system_id, name)
    if found is None:
        return False
    inside.need_identity()
    _fetch_file(inside, Stowed.of(found["object"]), into, _binding_of_log(inside, system_id, name, found), flow)
    return True


def read_set_through(inside: Inside, set_id: str, flow: Flow) -> int:
    """Decrypt every object of a set to nowhere; gives the bytes."""
    system_id, found = inside.find_set(set_id)
    inside.need_identity()
    objects = list(objects_of_set(inside.home.vault_id, system_id, set_id, found))
    with fetched_ahead(inside.contents, [one.stowed for one in objects], flow=flow) as paths:
        for one, path in zip(objects, paths, strict=True):
            inside.contents.decrypt(path, one.stowed, lambda data: flow.passed(len(data)), binding=one.binding, flow=flow)
    return sum(one.stowed.plain_size for one in objects)


def read_log_through(inside: Inside, system_id: str, name: str, flow: Flow) -> int:
    """Decrypt a log file to nowhere; gives its bytes. Raises: NotInVault."""
    found = inside.find_log(system_id, name)
    if found is None:
        raise NotInVault(f"vault {inside.name} has no log file {quoted(name, limit=100)}")
    inside.need_identity()
    stowed = Stowed.of(found["object"])
    binding = _binding_of_log(inside, system_id, name, found)
    inside.contents.open(stowed, lambda data: flow.passed(len(data)), binding=binding, flow=flow)
    return stowed.plain_size


def _binding_of_log(inside: Inside, system_id: str, name: str, found: Mapping[str, Any]) -> dict[str, object]:
    return inside.binding(system_id, log=name, timeline=found["file"]["timeline"])


def _fetch_file(inside: Inside, stowed: Stowed, into: Path, binding: Mapping[str, object], flow: Flow) -> None:
    part = into.with_name(into.name + ".dbre-fetch")
    part.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:

            def take(data: bytes) -> None:
                file.write(data)

            inside.contents.open(stowed, take, binding=binding, flow=flow)
        part.rename(into)
    finally:
        part.unlink(missing_ok=True)


def _make_empty(into: Path) -> None:
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any(into.iterdir()):
        raise NotInVault(f"{quoted(str(into))} is not empty", hint="a set is unpacked into a new directory only")
