"""The vaults of a policy, and what sets need of them."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from dbre.capabilities.backup.documents import PolicyDocument
from dbre.capabilities.backup.ground import BackupGround
from dbre.capabilities.backup.model import BackupSet, Catalog, SetState
from dbre.capabilities.backup.taking.staging import SetStaging, forget_manifest, kept_manifest
from dbre.core.errors import DbreError, PrecheckFailed, Unreachable, UsageError
from dbre.core.text import closest, quoted
from dbre.ports.backup.errors import CopyDamaged

if TYPE_CHECKING:  # what encrypts and reaches storages costs half a second
    from dbre.capabilities.backup.vault.vault import Vault

__all__ = ["VaultNotReady", "VaultsReady", "fetch_manifest", "open_set_vault", "require_answers", "require_vaults"]


class VaultNotReady(PrecheckFailed):
    """A vault of the policy could not take the set; nothing was copied."""

    code = "backup.vault_not_ready"


@dataclass(frozen=True, slots=True, kw_only=True)
class VaultsReady:
    """The vaults of a policy, each of which could take a set just now."""

    doubts: tuple[str, ...]  # what is doubtful about them, as sentences
    sets: Mapping[str, frozenset[str]]  # by vault: sealed sets of the cluster, as its own index tells

    def corrected(self, catalog: Catalog) -> Catalog:
        """A catalog in which no set lies where its vault no longer has it: one was lost and begun anew, or put back."""
        return replace(catalog, sets=tuple(replace(one, vaults=self._vaults_of(one)) for one in catalog.sets))

    def _vaults_of(self, one: BackupSet) -> tuple[str, ...]:
        return tuple(name for name in one.vaults if name not in self.sets or one.id in self.sets[name])


def open_set_vault(ground: BackupGround, name: str) -> "AbstractAsyncContextManager[Vault]":
    """A vault by its name. Raises: UsageError."""
    from dbre.capabilities.backup.vault.opening import open_vault

    return open_vault(ground, name)


async def require_vaults(ground: BackupGround, policy: PolicyDocument, cluster: str) -> VaultsReady:
    """Open and try every vault of a policy before anything of a cluster is copied.

    Raises: UsageError where one is not configured; VaultNotReady with everything that is wrong with them; Unreachable.
    """
    known = [one.name for one in ground.vaults]
    for name in policy.vaults:
        if name not in known:
            near = closest(name, known)
            hint = f"did you mean {near}?" if near else f"configured: {', '.join(known) or 'none'}; add it under vaults:"
            raise UsageError(f"policy {policy.name} names vault {quoted(name, limit=80)}, and there is none", hint=hint)
    doubts: list[str] = []
    sets: dict[str, frozenset[str]] = {}
    errors: dict[str, DbreError] = {}
    for name in policy.vaults:
        try:
            async with open_set_vault(ground, name) as vault:
                doubts += [f"vault {name}: {one}" for one in await vault.try_writing()]
                there = await vault.catalog(cluster)
                sets[name] = frozenset(one.id for one in there.sets if one.state is SetState.SEALED)
        except DbreError as error:
            errors[name] = error
    if errors:
        is_away = all(isinstance(one, Unreachable) for one in errors.values())
        words = "; ".join(f"{name}: {one.message}" for name, one in errors.items())
        raise (Unreachable if is_away else VaultNotReady)(
            f"nothing is copied, because it could not be stored: vault {words}",
            hint="; ".join(dict.fromkeys(one.hint for one in errors.values() if one.hint)) or "dbre vault check",
            context={"policy": policy.name, "vaults": list(errors)},
        )
    return VaultsReady(doubts=tuple(doubts), sets=sets)


async def require_answers(ground: BackupGround, names: Sequence[str]) -> None:
    """Read the index of each of these vaults, before anything is changed in one. Raises: the error of the first that fails."""
    for name in names:
        async with open_set_vault(ground, name) as vault:
            await vault.facts()


async def fetch_manifest(ground: BackupGround, one: BackupSet) -> Path:
    """The manifest of a set from the first vault that gives it, kept on this machine. Raises: the error of the last vault."""
    trouble: DbreError = CopyDamaged(f"no vault has set {one.id}", hint="dbre vault verify")
    staging = SetStaging(ground, one.id)
    fetched = ground.directory / "manifests" / f"{one.id}.fetched"
    fetched.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
    for name in one.vaults:
        try:
            fetched.unlink(missing_ok=True)
            async with open_set_vault(ground, name) as vault:
                await vault.fetch_manifest(one.id, fetched)
            digest = await staging.keep_manifest(fetched)
            if (kept := await kept_manifest(ground, one.id, one.manifest_sha256)) is not None:
                return kept
            trouble = CopyDamaged(
                f"the manifest of set {one.id} in vault {name} has SHA-256 {digest[:12]}..., and not that of the catalog",
                hint=f"dbre vault verify {name}",
            )
            await forget_manifest(ground, one.id)
        except DbreError as error:
            trouble = error
        finally:
            fetched.unlink(missing_ok=True)
    raise trouble
