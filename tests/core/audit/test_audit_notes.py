"""Signed notes: the published example, and everything that is none."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dbre.core.audit.checkpoint import read_checkpoint, sign_checkpoint
from dbre.core.audit.errors import NoteInvalid, SigningKeyInvalid
from dbre.core.audit.signed_note import Note, SigningKey, VerifierKey

# From the documentation of golang.org/x/mod/sumdb/note.
PRIVATE = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
PUBLIC = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
TEXT = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
SIGNED = (
    TEXT
    + "\n\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)
KEY = SigningKey.generate("log.example/audit")
WITNESS = SigningKey.generate("witness.example", is_witness=True)
ROOT = bytes(range(32))


def test_the_published_note_and_keys_are_reproduced_byte_for_byte() -> None:
    key = SigningKey.parse(PRIVATE)
    assert (str(key.verifier), key.reveal(), str(key.sign(TEXT))) == (PUBLIC, PRIVATE, SIGNED)
    VerifierKey.parse(PUBLIC).verify(Note.parse(SIGNED))


def test_a_signing_key_never_shows_itself() -> None:
    seed = base64.b64encode(KEY.seed).decode()
    assert seed not in f"{KEY!r} {KEY}"
    with pytest.raises(SigningKeyInvalid) as caught:
        SigningKey.parse(KEY.reveal()[:-4] + "AAA=")
    assert seed[:20] not in str(caught.value.as_document())


@pytest.mark.parametrize(
    "bad",
    [
        TEXT,
        SIGNED.removesuffix("\n"),
        SIGNED.replace("\u2014", "-"),
        SIGNED.replace("x08go", "x08g o"),
        SIGNED.replace("nAM=", "nAM"),
        SIGNED.replace("nAM=", "nAN="),  # the same bytes, written otherwise
        SIGNED.replace("PeterNeumann x", "Peter+Neumann x"),
        SIGNED + "\n",
        SIGNED.replace("problem,", "problem,\t"),
        SIGNED + "trailing",
        "",
        "\n\n",
        "a\n\n\u2014 a AAAA\n",
        "x" * 200_000,
    ],
)
def test_what_is_not_a_signed_note_is_refused(bad: str) -> None:
    with pytest.raises(NoteInvalid):
        VerifierKey.parse(PUBLIC).verify(Note.parse(bad))


@pytest.mark.parametrize(
    "bad",
    ["", "a", "a+b+c", PUBLIC.replace("c74f20a3", "c74f20a4"), PUBLIC.replace("Peter", "Petra"), PUBLIC[:-4], PUBLIC + "AAAA"],
)
def test_what_is_not_a_verifier_key_is_refused(bad: str) -> None:
    with pytest.raises(SigningKeyInvalid):
        VerifierKey.parse(bad)


@pytest.mark.parametrize("name", ["", "two words", "a+b", "ä", "a\nb", "x" * 201])
def test_a_name_that_would_break_the_format_names_no_key(name: str) -> None:
    with pytest.raises(SigningKeyInvalid, match="cannot name a key"):
        SigningKey.generate(name)


def test_a_checkpoint_is_read_back_as_it_was_signed() -> None:
    made = sign_checkpoint(KEY, size=70, root=ROOT)
    found = read_checkpoint(str(made), KEY.verifier)
    assert (found.origin, found.size, found.root) == ("log.example/audit", 70, ROOT)
    assert str(found).splitlines()[:3] == ["log.example/audit", "70", base64.b64encode(ROOT).decode()]


@pytest.mark.parametrize(
    "body",
    [
        "log.example/audit\n070\n{root}\n",
        "log.example/audit\n-1\n{root}\n",
        "log.example/audit\n٣\n{root}\n",
        "log.example/audit\n7e1\n{root}\n",
        "log.example/audit\n70\n{short}\n",
        "log.example/audit\n70\n{root} \n",
        "log.example/audit\n70\n",
        "other.example/audit\n70\n{root}\n",
        "log.example/audit\n99999999999999999999999\n{root}\n",
    ],
)
def test_a_signed_text_that_is_no_checkpoint_of_this_log_is_refused(body: str) -> None:
    text = body.format(root=base64.b64encode(ROOT).decode(), short=base64.b64encode(ROOT[:31]).decode())
    with pytest.raises(NoteInvalid):
        read_checkpoint(str(KEY.sign(text)), KEY.verifier)


def test_a_checkpoint_counts_only_with_the_signature_of_a_known_key() -> None:
    made = str(sign_checkpoint(KEY, size=70, root=ROOT))
    impostor = SigningKey.generate(KEY.name)
    with pytest.raises(NoteInvalid, match="not signed by"):
        read_checkpoint(made, impostor.verifier)
    with pytest.raises(NoteInvalid, match="key is not known"):
        read_checkpoint(made, WITNESS.verifier)
    assert read_checkpoint(made, impostor.verifier, KEY.verifier).size == 70  # an older key among those that are given


def test_a_changed_checkpoint_does_not_verify() -> None:
    made = str(sign_checkpoint(KEY, size=70, root=ROOT))
    with pytest.raises(NoteInvalid, match="does not fit"):
        read_checkpoint(made.replace("\n70\n", "\n71\n"), KEY.verifier)


def test_a_cosignature_says_when_and_takes_nothing_from_the_log_s_own() -> None:
    made = sign_checkpoint(KEY, size=70, root=ROOT)
    cosigned = WITNESS.cosign(WITNESS.cosign(made.note, 1), 1_700_000_000)
    again = Note.parse(str(cosigned))
    assert len(again.signatures) == 2  # the later one of a witness replaces the earlier
    assert WITNESS.verifier.verify(again) == 1_700_000_000
    assert VerifierKey.parse(str(WITNESS.verifier)).is_witness
    assert read_checkpoint(str(cosigned), KEY.verifier).size == 70
    with pytest.raises(NoteInvalid):
        WITNESS.verifier.verify(Note.parse(str(made)))
    forged = str(cosigned).replace("\n70\n", "\n71\n")
    with pytest.raises(NoteInvalid, match="does not fit"):
        WITNESS.verifier.verify(Note.parse(forged))


@given(st.text(max_size=300))
def test_no_text_makes_the_reader_fail_otherwise_than_by_refusing(text: str) -> None:
    for read in (Note.parse, lambda one: read_checkpoint(one, KEY.verifier)):
        with pytest.raises(NoteInvalid):
            read(text)
    with pytest.raises(SigningKeyInvalid):
        VerifierKey.parse(text)
