"""A vault whose escrow identity nobody tries is told; so is one that did not open what is stored."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

from sets_kit import START

from dbre.capabilities.backup.documents import VaultDocument
from dbre.capabilities.backup.model import EscrowTrial
from dbre.capabilities.backup.policy.vault_checks import escrow_told, examine_vaults

RECIPIENTS = ["age1" + letter * 58 for letter in "qp"]
VAULT = VaultDocument.model_validate({"name": "near", "kind": "filesystem", "path": "/srv", "recipients": RECIPIENTS})
OPENED = EscrowTrial(
    id=UUID(int=1),
    vault="near",
    recipient=RECIPIENTS[1],
    at=START,
    actor="alice",
    is_opened=True,
    reason="",
    set_ids=("a",),
    log_name=None,
    bytes=1,
    seconds=1.0,
)
FAILED = replace(OPENED, at=START + timedelta(days=1), is_opened=False, reason="data-00000 was changed")


def found(*trials: EscrowTrial, days: int = 2, vault: VaultDocument = VAULT, used: tuple[str, ...] = ("near",)) -> list[str]:
    seen = examine_vaults((vault,), trials, used=used, now=START + timedelta(days=days))
    return [f"{one.subject}, {one.severity.value}, {one.rule}: {one.summary}" for one in seen]


def test_each_state_of_a_trial_is_told_as_what_it_is() -> None:
    (never,) = found()
    assert never.startswith("vault near, warning, backup.escrow_untried: its escrow identity was never tried")
    assert found(OPENED) == []
    (old,) = found(OPENED, days=100)
    assert old.endswith("its escrow identity was tried 100d ago; escrow_age is 92d")
    (failed,) = found(FAILED, OPENED)
    assert failed.startswith("vault near, error, backup.escrow_failed: the escrow identity did not open what is stored")
    assert failed.endswith("data-00000 was changed")
    assert found(replace(OPENED, recipient="age1" + "z" * 58)) == [never], "a key that is no recipient any more proves nothing"
    assert found(used=()) == [], "nothing is stored there"
    assert found(vault=VAULT.model_copy(update={"escrow_age": None})) == []


def test_a_proof_says_beside_it_what_is_known_of_the_escrow_identity() -> None:
    assert escrow_told(VAULT, ()) == "vault near: its escrow identity was never tried (dbre vault escrow-drill near)"
    assert (
        escrow_told(VAULT, (OPENED,))
        == f"vault near: escrow identity {RECIPIENTS[1][:12]}... opened the newest sets at {START:%Y-%m-%d %H:%MZ}"
    )
    assert "did not open" in escrow_told(VAULT, (FAILED, OPENED))
