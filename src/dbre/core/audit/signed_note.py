"""Signed notes of C2SP with Ed25519: keys, signatures and cosignatures, written as other programs write them and read strictly.

Sources: https://c2sp.org/signed-note, https://c2sp.org/tlog-cosignature, and golang.org/x/mod/sumdb/note for the form of a
signing key.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from dbre.core.audit.errors import NoteInvalid, SigningKeyInvalid

__all__ = ["Note", "Signature", "SigningKey", "VerifierKey", "decoded", "encoded"]

LONGEST_NOTE = 100_000
"""Characters of a note that are looked at."""

_ED25519 = 1
_COSIGNATURE = 4
_KEY_ID_BYTES = 4
_KEY_BYTES = 32
_SIGNATURE_BYTES = 64
_TIME_BYTES = 8
_DASH = "\u2014"
_NAME = re.compile(r"[!-*,-~]{1,200}")  # printable ASCII without space and plus
_LINE = re.compile(rf"{_DASH} ([!-*,-~]+) ([A-Za-z0-9+/=]+)")


def encoded(data: bytes) -> str:
    """Standard base64."""
    return base64.b64encode(data).decode("ascii")


def decoded(text: str) -> bytes:
    """Standard base64, in its one canonical form. Raises: NoteInvalid."""
    try:
        data = base64.b64decode(text.encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise NoteInvalid("a part of the note is not base64") from error
    if encoded(data) != text:  # bits behind the last byte, or line ends
        raise NoteInvalid("a part of the note is not base64 in its canonical form")
    return data


def _key_id(name: str, typed_key: bytes) -> bytes:
    return hashlib.sha256(name.encode() + b"\n" + typed_key).digest()[:_KEY_ID_BYTES]


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifierKey:
    """A public key with a name: ``NAME+KEYID+BASE64``. A witness's key (``is_witness``) checks cosignatures."""

    name: str
    public: bytes
    is_witness: bool = False

    @classmethod
    def parse(cls, text: str) -> "VerifierKey":
        """Read a verifier key. Raises: SigningKeyInvalid."""
        name, _, rest = text.strip().partition("+")
        identifier, _, material = rest.partition("+")
        try:
            typed = decoded(material)
        except NoteInvalid as error:
            raise SigningKeyInvalid("the verifier key is not NAME+KEYID+BASE64", hint="`dbre audit key` prints it") from error
        if not _NAME.fullmatch(name) or len(typed) != 1 + _KEY_BYTES or typed[0] not in (_ED25519, _COSIGNATURE):
            raise SigningKeyInvalid("the verifier key is not NAME+KEYID+BASE64 of an Ed25519 key", hint="dbre audit key")
        key = cls(name=name, public=typed[1:], is_witness=typed[0] == _COSIGNATURE)
        if identifier != key.identifier:
            raise SigningKeyInvalid(f"the verifier key of {name} has id {key.identifier}, not the one that is written in it")
        return key

    @property
    def identifier(self) -> str:
        """Eight hexadecimal digits that depend on name, kind and key."""
        return _key_id(self.name, self._typed).hex()

    @property
    def _typed(self) -> bytes:
        return bytes([_COSIGNATURE if self.is_witness else _ED25519]) + self.public

    def __str__(self) -> str:
        return f"{self.name}+{self.identifier}+{encoded(self._typed)}"

    def verify(self, note: "Note") -> int | None:
        """See that this key signed the note; for a witness, the Unix time at which it did. Raises: NoteInvalid."""
        for one in note.signatures:
            if one.name == self.name and one.data[:_KEY_ID_BYTES].hex() == self.identifier:
                return self._check(note, one.data[_KEY_ID_BYTES:])
        raise NoteInvalid(f"the note is not signed by {self.name} (key {self.identifier})")

    def _check(self, note: "Note", signature: bytes) -> int | None:
        seconds, message = None, note.text.encode()
        if self.is_witness:
            seconds, signature = int.from_bytes(signature[:_TIME_BYTES]), signature[_TIME_BYTES:]
            message = _cosigned(note.text, seconds)
        if len(signature) != _SIGNATURE_BYTES:
            raise NoteInvalid(f"the signature of {self.name} has {len(signature)} bytes, not {_SIGNATURE_BYTES}")
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, message)
        except InvalidSignature as error:
            raise NoteInvalid(f"the signature of {self.name} (key {self.identifier}) does not fit the note") from error
        return seconds


@dataclass(frozen=True, slots=True)
class Signature:
    """One signature line: who, and key id with signature."""

    name: str
    data: bytes

    def __str__(self) -> str:
        return f"{_DASH} {self.name} {encoded(self.data)}\n"


@dataclass(frozen=True, slots=True)
class Note:
    """A text that ends with a line end, and its signatures."""

    text: str
    signatures: tuple[Signature, ...]

    @classmethod
    def parse(cls, text: str) -> "Note":
        """Read a note; who signed it is not looked at. Raises: NoteInvalid."""
        body, separator, lines = text.rpartition("\n\n")
        if len(text) > LONGEST_NOTE or not separator or not lines.endswith("\n") or not body:
            raise NoteInvalid("a signed note is a text, an empty line and signature lines")
        if any(character < " " and character != "\n" for character in text):
            raise NoteInvalid("the note holds control characters")
        return cls(body + "\n", tuple(_signature(line) for line in lines[:-1].split("\n")))

    def with_signature(self, signature: Signature) -> "Note":
        """The same text with one more signature, in place of an older one of the same key."""
        kept = [one for one in self.signatures if (one.name, one.data[:4]) != (signature.name, signature.data[:4])]
        return Note(self.text, (*kept, signature))

    def __str__(self) -> str:
        return f"{self.text}\n{''.join(map(str, self.signatures))}"


def _signature(line: str) -> Signature:
    match = _LINE.fullmatch(line)
    if match is None:
        raise NoteInvalid("a signature line is an em dash, a name and base64")
    data = decoded(match[2])
    if len(data) <= _KEY_ID_BYTES:
        raise NoteInvalid(f"the signature of {match[1]} is too short")
    return Signature(match[1], data)


def _cosigned(text: str, seconds: int) -> bytes:
    return f"cosignature/v1\ntime {seconds}\n{text}".encode()


@dataclass(frozen=True, slots=True, kw_only=True)
class SigningKey:
    """A private key with a name; its text form is ``PRIVATE+KEY+NAME+KEYID+BASE64``."""

    name: str
    seed: bytes = field(repr=False)
    is_witness: bool = False

    @classmethod
    def generate(cls, name: str, *, is_witness: bool = False) -> "SigningKey":
        """A new key. Raises: SigningKeyInvalid for a name with a space or a plus."""
        if not _NAME.fullmatch(name):
            raise SigningKeyInvalid(f"{name!r} cannot name a key", hint="write printable ASCII without space and +")
        seed = Ed25519PrivateKey.generate().private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        return cls(name=name, seed=seed, is_witness=is_witness)

    @classmethod
    def parse(cls, text: str) -> "SigningKey":
        """Read the text form. Raises: SigningKeyInvalid, which never repeats the text."""
        parts = text.strip().split("+", 4)
        is_known = len(parts) == 5 and parts[:2] == ["PRIVATE", "KEY"] and _NAME.fullmatch(parts[2])
        try:
            typed = decoded(parts[4] if is_known else "!")
        except NoteInvalid as error:
            raise SigningKeyInvalid("the signing key is not PRIVATE+KEY+NAME+KEYID+BASE64") from error
        if len(typed) != 1 + _KEY_BYTES or typed[0] not in (_ED25519, _COSIGNATURE):
            raise SigningKeyInvalid("the signing key is not an Ed25519 key")
        key = cls(name=parts[2], seed=typed[1:], is_witness=typed[0] == _COSIGNATURE)
        if key.verifier.identifier != parts[3]:
            raise SigningKeyInvalid("the id in the signing key is not its own: a part of it was changed")
        return key

    def reveal(self) -> str:
        """The text form: hand it to the file that keeps it, nowhere else."""
        verifier = self.verifier
        typed = bytes([_COSIGNATURE if self.is_witness else _ED25519]) + self.seed
        return f"PRIVATE+KEY+{self.name}+{verifier.identifier}+{encoded(typed)}"

    @property
    def verifier(self) -> VerifierKey:
        """What others check the signatures with."""
        public = self._private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
        return VerifierKey(name=self.name, public=public, is_witness=self.is_witness)

    @property
    def _private(self) -> Ed25519PrivateKey:
        return Ed25519PrivateKey.from_private_bytes(self.seed)

    def sign(self, text: str, others: Sequence[Signature] = ()) -> Note:
        """A note with this text, which ends with a line end."""
        signature = bytes.fromhex(self.verifier.identifier) + self.sign_bytes(text.encode())
        return Note(text, (*others, Signature(self.name, signature)))

    def sign_bytes(self, message: bytes) -> bytes:
        """The 64 bytes of a signature over a message that cannot be taken for a note, such as a DSSE envelope's."""
        return self._private.sign(message)

    def cosign(self, note: Note, seconds: int) -> Note:
        """The note with a cosignature of a witness, who saw at that Unix time that the log had only grown."""
        signature = self._private.sign(_cosigned(note.text, seconds))
        identifier = bytes.fromhex(self.verifier.identifier)
        return note.with_signature(Signature(self.name, identifier + seconds.to_bytes(_TIME_BYTES) + signature))
