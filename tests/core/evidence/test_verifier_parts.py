"""The arithmetic of verify.py against published vectors and against other implementations."""

import hashlib
import io
import json
import warnings
import zipfile

import pytest
import rfc8785
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from evidence_kit import tree_path, tree_root
from hypothesis import given, settings
from hypothesis import strategies as st

from dbre.core.operation.evidence import verify

L = 2**252 + 27742317777372353535851937790883648493
P = 2**255 - 19

# RFC 8032, 7.1: secret key, public key, message, signature
RFC_8032 = [
    (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
    (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a",
    ),
    (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b58909351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704",
    ),
]


@pytest.mark.parametrize(("secret", "public", "message", "signature"), RFC_8032)
def test_published_signatures_verify_and_their_neighbours_do_not(
    secret: str, public: str, message: str, signature: str
) -> None:
    key, text, signed = bytes.fromhex(public), bytes.fromhex(message), bytes.fromhex(signature)
    private = Ed25519PrivateKey.from_private_bytes(bytes.fromhex(secret))
    assert (private.public_key().public_bytes_raw(), private.sign(text)) == (key, signed)  # the vector is copied right
    assert verify.ed25519_verifies(key, text, signed)
    assert not verify.ed25519_verifies(key, text + b"x", signed)
    for index in (0, 31, 32, 63):
        assert not verify.ed25519_verifies(key, text, signed[:index] + bytes([signed[index] ^ 1]) + signed[index + 1 :])
    assert not verify.ed25519_verifies(key, text, signed[:-1])
    assert not verify.ed25519_verifies(key[:-1], text, signed)


@settings(max_examples=25, deadline=None)
@given(seed=st.binary(min_size=32, max_size=32), message=st.binary(max_size=200), flip=st.integers(0, 64 * 8 - 1))
def test_the_library_and_the_verifier_agree(seed: bytes, message: bytes, flip: int) -> None:
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public, signature = private.public_key().public_bytes_raw(), bytearray(private.sign(message))
    assert verify.ed25519_verifies(public, message, bytes(signature))
    signature[flip // 8] ^= 1 << flip % 8
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(public).verify(bytes(signature), message)
    assert not verify.ed25519_verifies(public, message, bytes(signature))


def test_a_scalar_that_is_not_reduced_is_refused() -> None:
    _, public, message, signature = RFC_8032[1]
    scalar = int.from_bytes(bytes.fromhex(signature)[32:], "little") + L  # the same signature modulo the group order
    forged = bytes.fromhex(signature)[:32] + scalar.to_bytes(32, "little")
    assert not verify.ed25519_verifies(bytes.fromhex(public), bytes.fromhex(message), forged)


@pytest.mark.parametrize(
    "encoded",
    [
        (1).to_bytes(32, "little"),  # the neutral element
        (P - 1).to_bytes(32, "little"),  # order 2
        bytes(32),  # order 4
        bytes.fromhex("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"),  # order 8
        (P + 1).to_bytes(32, "little"),  # the neutral element, not canonical
        ((1 << 255) | 1).to_bytes(32, "little"),  # minus zero
        (2).to_bytes(32, "little"),  # not on the curve
    ],
)
def test_a_key_that_would_accept_one_signature_for_every_message_is_refused(encoded: bytes) -> None:
    neutral = (1).to_bytes(32, "little")
    for commitment in (neutral, encoded):
        for message in (b"a", b"b", b"c", b"d", b"e", b"f", b"g", b"h"):
            assert not verify.ed25519_verifies(encoded, message, commitment + bytes(32))


# https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
DSSE_PAE = b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"


def test_what_is_signed_is_what_the_dsse_protocol_publishes() -> None:
    assert verify.pae("http://example.com/HelloWorld", b"hello world") == DSSE_PAE
    assert verify.pae("", b"") == b"DSSEv1 0  0 "
    assert verify.pae("\u00fc", b"\xff") == b"DSSEv1 2 \xc3\xbc 1 \xff"  # lengths are of bytes


# https://pkg.go.dev/golang.org/x/mod/sumdb/note, the example of its documentation
NOTE_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NOTE = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n\n"
    "\u2014 PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
)


def test_the_published_signed_note_verifies() -> None:
    key = verify.verifier_key(NOTE_KEY)
    text, signatures = verify._signatures(NOTE.encode())
    assert [verify._is_signed(key, text, *one) for one in signatures] == [True]
    assert [verify._is_signed(key, text + b"x", *one) for one in signatures] == [False]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "PeterNeumann",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",  # another hash
        "PeterNeuman+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",  # another name
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10T",  # cut
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "\udcff+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",  # as argv may hold it
    ],
)
def test_a_malformed_verifier_key_is_refused(text: str) -> None:
    with pytest.raises(verify.Invalid):
        verify.verifier_key(text)


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(JSON)
def test_canonical_json_is_that_of_the_library(value: object) -> None:
    assert verify.canonical(value) == rfc8785.dumps(value)


# RFC 8785, appendix B
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"), (-0.0, "0"), (5e-324, "5e-324"), (-5e-324, "-5e-324"), (1.7976931348623157e308, "1.7976931348623157e+308"),
        (9007199254740992.0, "9007199254740992"), (295147905179352830000.0, "295147905179352830000"),
        (9.999999999999997e22, "9.999999999999997e+22"), (1e23, "1e+23"), (1.0000000000000001e23, "1.0000000000000001e+23"),
        (999999999999999700000.0, "999999999999999700000"), (1e21, "1e+21"), (9.999999999999997e-7, "9.999999999999997e-7"),
        (0.000001, "0.000001"), (333333333.3333332, "333333333.3333332"),
        (-0.0000033333333333333333, "-0.0000033333333333333333"),
        (1424953923781206.2, "1424953923781206.2"),
    ],
)  # fmt: skip
def test_numbers_are_written_as_the_standard_lists_them(value: float, text: str) -> None:
    assert verify.canonical(value) == text.encode()


@pytest.mark.parametrize("data", [b'{"a":1,"a":1}', b"NaN", b"[Infinity]", b"\xff", b"[" * 100_000, b"1" * 10_000, b"{"])
def test_what_is_not_strict_json_is_refused(data: bytes) -> None:
    with pytest.raises(verify.Invalid):
        verify.canonical(verify.parse(data, "it"))


def is_root(root: bytes, leaf: bytes, index: int, size: int, path: tuple[bytes, ...]) -> bool:
    try:
        return verify.root_of(leaf, index, size, path) == root
    except verify.Invalid:
        return False


@settings(max_examples=100, deadline=None)
@given(size=st.integers(1, 70), data=st.data())
def test_an_inclusion_proof_leads_to_the_root_and_to_no_other(size: int, data: st.DataObject) -> None:
    leaves = [b"%d" % number for number in range(size)]
    index = data.draw(st.integers(0, size - 1))
    path, root = tree_path(index, leaves), tree_root(leaves)
    assert verify.root_of(leaves[index], index, size, path) == root
    other = data.draw(st.integers(0, size - 1).filter(lambda one: one != index) | st.just(size))
    wrong = [
        (leaves[index], other, size, path),  # another place
        (b"x", index, size, path),  # another leaf
        (leaves[index], index, size, (*path, root)),  # too long
        *([(leaves[index], index, size, path[:-1])] if path else []),  # too short
        *([(leaves[index], index, size, (path[0] + b"x", *path[1:]))] if path else []),  # no hash
    ]
    for case in wrong:
        assert not is_root(root, *case)


def test_the_archive_is_a_zip_that_others_read() -> None:
    files = {"b.json": b"{}", "a.txt": b"x" * 70_000, "empty.txt": b""}
    data = verify.archive(files)
    with zipfile.ZipFile(io.BytesIO(data)) as zipped:
        assert zipped.testzip() is None
        assert {one: zipped.read(one) for one in zipped.namelist()} == files
        assert zipped.namelist() == sorted(files)
        assert {one.date_time for one in zipped.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {one.external_attr >> 16 for one in zipped.infolist()} == {0o100600}
    assert verify.unpack(data) == files
    assert verify.archive(dict(reversed(files.items()))) == data


def zipped(*members: tuple[str, bytes], method: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a name that is there twice
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"PK",
        b"PK\x05\x06" + bytes(18),
        zipped(("../../etc/passwd.txt", b"x")),
        zipped(("/etc/passwd.txt", b"x")),
        zipped(("a/b.txt", b"x")),
        zipped(("a.txt", b"x"), ("a.txt", b"y")),
        zipped((".hidden.txt", b"x")),
        zipped(("a\x00.txt", b"x")),
        zipped(("bomb.txt", bytes(10_000_000)), method=zipfile.ZIP_DEFLATED),
        verify.archive({"a.txt": b"x"}) + b"x",
        b"x" + verify.archive({"a.txt": b"x"}),
        verify.archive({"a.txt": b"x"}).replace(b"PK\x05\x06", b"PK\x05\x07"),
    ],
)
def test_an_archive_that_dbre_would_not_write_is_refused(data: bytes) -> None:
    with pytest.raises(verify.Invalid):
        verify.unpack(data)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_refused_in_words(data: bytes) -> None:
    for prefix in (b"", b"PK\x03\x04"):
        with pytest.raises(verify.Invalid):
            verify.unpack(prefix + data)


def test_text_from_a_pack_cannot_move_the_cursor() -> None:
    assert verify.shown("a\x1b[2J\n\u202e\udcff", 50) == "a\\x1b[2J\\n\\u202e\\udcff"
    assert verify.shown("x" * 50, 10) == "x" * 10 + "..."
    assert json.dumps(verify.shown(None, 5)) == '"None"'
