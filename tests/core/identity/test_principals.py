"""Tokens, logins, the user of a command, and four eyes."""

import os
import pwd
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbre.core.errors import Denied
from dbre.core.identity.access import Access, GroupGrants, Identity, TokenHash, WrongToken, principal_of_token
from dbre.core.identity.four_eyes import may_approve, require_approver
from dbre.core.identity.local import cli_principal, cli_token, local_principal
from dbre.core.identity.model import Grant, Permission, Principal, PrincipalKind, Role
from dbre.core.identity.tokens import is_token, make_token, token_digest
from dbre.core.secrets import Secret

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TOKEN, LATER = make_token(), make_token()
VIEWER, ADMIN = (Grant(role=Role.VIEWER),), (Grant(role=Role.ADMIN),)
ALICE = Identity(
    name="alice",
    kind=PrincipalKind.PERSON,
    tokens=(
        TokenHash(digest=token_digest(TOKEN.reveal()), expires_at=NOW + timedelta(days=1)),
        TokenHash(digest=token_digest(LATER.reveal())),
    ),
    email="alice@example.com",
    grants=VIEWER,
)
BOB = Identity(name="bob@example.com", kind=PrincipalKind.PERSON, oidc_subject="u-bob", email="bob@example.com", grants=ADMIN)
ACCESS = Access(identities=(ALICE, BOB), groups=(GroupGrants(group="dba", grants=ADMIN),), has_provider=True)


def test_tokens_have_256_bits_and_a_checksum() -> None:
    assert is_token(TOKEN.reveal())
    assert len(TOKEN.reveal()) == 54
    assert TOKEN != LATER


@given(position=st.integers(5, 53), character=st.sampled_from("0aZ_ é"))
def test_a_token_with_another_character_is_none(position: int, character: str) -> None:
    text = TOKEN.reveal()
    changed = text[:position] + character + text[position + 1 :]
    assert is_token(changed) == (changed == text)


def test_token_holds_until_it_expires_and_another_takes_over() -> None:
    assert principal_of_token(ACCESS, TOKEN.reveal(), now=NOW).name == "alice"
    with pytest.raises(WrongToken):
        principal_of_token(ACCESS, TOKEN.reveal(), now=NOW + timedelta(days=1))
    assert principal_of_token(ACCESS, LATER.reveal(), now=NOW + timedelta(days=9000)).name == "alice"


def test_every_refusal_says_the_same() -> None:
    presented = ["", "guess", make_token().reveal(), "sha256:" + "0" * 64, "dbre_\udcff", TOKEN.reveal()]
    messages = set()
    for one in presented:
        with pytest.raises(WrongToken) as caught:
            principal_of_token(ACCESS, one, now=NOW + timedelta(days=2))
        messages.add((caught.value.message, caught.value.hint))
    assert len(messages) == 1


def test_a_secret_that_people_made_up_is_no_token_even_if_its_hash_is_listed() -> None:
    digest = token_digest("hunter2")
    weak = Access(identities=(Identity(name="a", kind=PrincipalKind.SERVICE, tokens=(TokenHash(digest=digest),)),))
    with pytest.raises(WrongToken):
        principal_of_token(weak, "hunter2", now=NOW)


def test_login_is_known_by_subject_then_by_address() -> None:
    def name(subject: str, email: str | None, *groups: str) -> str:
        return ACCESS.principal_of_login(subject=subject, email=email, groups=groups).name

    assert name("u-1", "alice@example.com") == "alice"
    assert name("u-bob", None) == "bob@example.com"
    assert name("u-2", "carol@example.com", "dba") == "carol@example.com"
    assert name("u-3", None, "dba") == "oidc:u-3"


def test_login_does_not_take_the_name_of_somebody_else() -> None:
    with pytest.raises(Denied, match="belongs to an identity"):  # the address is bob's, the subject is not
        ACCESS.principal_of_login(subject="u-9", email="BOB@example.com", groups=["dba"])


def test_login_without_a_grant_is_refused() -> None:
    with pytest.raises(Denied, match="is not known here"):
        ACCESS.principal_of_login(subject="u-9", email="eve@example.com", groups=["other"])


def test_groups_add_to_what_is_listed() -> None:
    found = ACCESS.principal_of_login(subject="u-1", email="alice@example.com", groups=["dba"])
    assert found.may(Permission.ADMINISTER)


def test_local_user_is_whom_the_system_says_and_sudo_is_noted() -> None:
    found = local_principal({"USER": "mallory", "SUDO_USER": "alice"})
    assert found.name == pwd.getpwuid(os.geteuid()).pw_name
    assert found.note == ("sudo by alice" if os.geteuid() == 0 else None)
    assert found.kind is PrincipalKind.LOCAL


def test_command_needs_a_token_where_identities_are_configured() -> None:
    assert cli_principal(Access(), None, now=NOW).kind is PrincipalKind.LOCAL
    assert cli_principal(ACCESS, cli_token({"DBRE_TOKEN": f" {TOKEN.reveal()}\n"}), now=NOW).name == "alice"
    assert cli_token({}, TOKEN) == TOKEN
    with pytest.raises(WrongToken, match="no token was given") as caught:
        cli_principal(ACCESS, cli_token({}), now=NOW)
    assert "DBRE_TOKEN" in str(caught.value.hint)
    with pytest.raises(WrongToken):
        cli_principal(ACCESS, Secret("guess"), now=NOW)


@pytest.mark.parametrize("requester", ["alice", "ALICE"])
def test_four_eyes_are_two_people(requester: str) -> None:
    alice = Principal(name="alice", kind=PrincipalKind.PERSON, grants=ADMIN)
    assert not may_approve(alice, requested_by=requester)
    assert may_approve(alice, requested_by="bob")
    with pytest.raises(Denied, match="alice asked for it and cannot approve it"):
        require_approver(alice, requested_by=requester, what="it")


def test_operator_cannot_approve_and_approver_cannot_operate() -> None:
    operator = Principal(name="o", kind=PrincipalKind.PERSON, grants=(Grant(role=Role.OPERATOR),))
    approver = Principal(name="a", kind=PrincipalKind.PERSON, grants=(Grant(role=Role.APPROVER),))
    assert not may_approve(operator, requested_by="x")
    assert not approver.may(Permission.OPERATE)
    with pytest.raises(Denied, match="o may not approve it"):
        require_approver(operator, requested_by="x", what="it")
