"""The section ``access``: what is wrong with it is said at its place, and nothing secret is repeated."""

from pathlib import Path

import pytest

from dbre.core.config import Config, ConfigInvalid, load
from dbre.core.config.writing import document_text
from dbre.core.identity.document import ACCESS, access_from
from dbre.core.identity.model import Permission
from dbre.core.identity.tokens import make_token, token_hash

HASH = token_hash(make_token())

TWICE = f"""
  principals:
    - {{name: a, tokens: [{{hash: '{HASH}'}}], grants: [{{role: viewer, environments: [x], selector: {{environment: z}}}}]}}
"""


def loaded(directory: Path, text: str) -> Config:
    path = directory / "dbre.yaml"
    path.write_text(f"access:\n{text}")
    return load([path], sections=(ACCESS,), environment={}, flags={})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("  principals: [{name: a b, tokens: []}]", "expected a name"),
        (f"  principals: [{{name: server-token, tokens: [{{hash: '{HASH}'}}]}}]", "is dbre's own"),
        ("  principals: [{name: a}]", "a has no way to come in"),
        ("  principals: [{name: a, kind: robot}]", "expected one of person, service"),
        ("  principals: [{name: a, tokens: [{hash: 'sha256:ab'}]}]", "has 2 hexadecimal digits; SHA-256 has 64"),
        (f"  principals: [{{name: a, tokens: [{{hash: '{HASH.upper().replace('SHA', 'sha')}'}}]}}]", "has capital letters"),
        ("  principals: [{name: a, tokens: [{hash: hunter2}]}]", "expected sha256: and 64 hexadecimal digits"),
        (f"  principals: [{{name: a, tokens: [{{hash: '{HASH}'}}, {{hash: '{HASH}'}}]}}]", "this hash stands there twice"),
        (f"  principals: [{{name: a, tokens: [{{hash: '{HASH}', expires_at: '2027-01-01'}}]}}]", "expires_at"),
        (f"  principals: [{{name: a, tokens: [{{hash: '{HASH}'}}], grants: [{{role: operater}}]}}]", "did you mean operator?"),
        (f"  principals: [{{name: a, tokens: [{{hash: '{HASH}'}}], grants: [{{role: viewer, selector: {{}}}}]}}]", "is empty"),
        (TWICE, "limited twice"),
        (f"  principals: [{{name: a, tokens: [{{hash: '{HASH}'}}]}}, {{name: A, tokens: []}}]", "stands at another entry too"),
        ("  principals: [{name: a, email: a@example.com}]", "none is configured"),
        ("  groups: [{group: dba, grants: [{role: viewer}]}]", "groups come from an OpenID provider"),
        ("  oidc: {issuer: 'https://login.example', client_id: dbre}", "nobody could log in"),
        ("  oidc: {issuer: 'http://login.example', client_id: dbre}", "is reached by https"),
        ("  oidc: {issuer: 'https://u:p@login.example', client_id: dbre}", "has no user"),
        ("  oidc: {issuer: 'https://l.example', client_id: d, redirect_url: 'https://x/y'}", "logins return to"),
    ],
)
def test_fault_is_told(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigInvalid) as caught:
        loaded(tmp_path, text)
    assert message in caught.value.message


def test_a_token_where_its_hash_belongs_is_not_repeated(tmp_path: Path) -> None:
    token = make_token().reveal()
    with pytest.raises(ConfigInvalid, match="the token itself stands where its hash belongs") as caught:
        loaded(tmp_path, f"  principals: [{{name: a, tokens: [{{hash: '{token}'}}]}}]")
    assert token not in str(caught.value)
    assert "dbre identity token NAME" in str(caught.value)


def test_what_is_shown_can_be_loaded_again(tmp_path: Path) -> None:
    first = loaded(
        tmp_path,
        f"  principals: [{{name: a, tokens: [{{hash: '{HASH}', expires_at: '2027-01-01T00:00:00Z'}}],"
        " grants: [{role: viewer, environments: [x]}]}]\n  oidc: {issuer: 'https://l.example', client_id: d}\n"
        "  groups: [{group: dba, grants: [{role: admin}]}]",
    )
    (tmp_path / "again.yaml").write_text(document_text(first.document()))
    again = load([tmp_path / "again.yaml"], sections=(ACCESS,), environment={}, flags={})
    assert again.document() == first.document()


def test_grants_hold_for_the_environment_and_the_labels_that_they_name(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        f"  principals: [{{name: a, tokens: [{{hash: '{HASH}'}}],"
        " grants: [{role: operator, environments: [prod], selector: {team: [x, z]}}]}]",
    )
    (identity,) = access_from(config.get(ACCESS)).identities
    principal = identity.principal()
    assert principal.may(Permission.OPERATE, {"environment": "prod", "team": "x"})
    assert not principal.may(Permission.OPERATE, {"environment": "test", "team": "x"})
    assert not principal.may(Permission.OPERATE, {"environment": "prod"})
    assert not principal.may(Permission.APPROVE)


def test_without_the_section_everybody_local_may_do_everything(tmp_path: Path) -> None:
    config = load([], sections=(ACCESS,), environment={}, flags={})
    assert access_from(config.get(ACCESS)).is_embedded
