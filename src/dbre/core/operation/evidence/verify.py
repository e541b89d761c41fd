#!/usr/bin/env python3
"""Checks an evidence pack of dbre, offline, with nothing but Python 3.8 or later: ``python3 -I verify.py PACK``.

PACK is the zip that ``dbre op evidence`` wrote, or a directory that it was unpacked into (default: where this file is).
Exit status: 0 the pack is intact and consistent, 1 it is not, 2 it could not be read or the command line is wrong.

Take this file from an installation of dbre that you trust, not from a pack whose sender you doubt, and pin the keys.
"""

from __future__ import annotations

import argparse
import base64
import hashlib
import json
import re
import struct
import sys
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://github.com/dbre/dbre/evidence/operation/v1"
PAYLOAD_TYPE = "application/vnd.in-toto+json"
LIMIT_PACK_BYTES = 256 * 1024 * 1024
UNLISTED = frozenset({"manifest.json", "statement.json"})  # the manifest lists all others; the statement signs the manifest
REQUIRED = frozenset(
    {"approvals.json", "audit.jsonl", "checkpoint.txt", "gates.json", "operation.json", "plan.json", "proofs.json",
     "snapshots.json", "steps.jsonl", "verifier.key"}
)  # fmt: skip
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,60}\.[a-z]{2,5}")
_STATES = frozenset(
    {"planned", "awaiting_approval", "queued", "running", "paused", "verifying", "succeeded", "failed", "cancelled",
     "compensating", "compensated", "needs_operator", "closed"}
)  # fmt: skip
_FINAL = frozenset({"succeeded", "failed", "cancelled", "compensated", "closed"})


class Invalid(Exception):
    """The pack does not prove what it says."""


# ---- Ed25519, verification only. Source: RFC 8032, 5.1. No secret is handled here, so nothing needs constant time.

_P = 2**255 - 19
_L = 2**252 + 27742317777372353535851937790883648493
_D = -121665 * pow(121666, _P - 2, _P) % _P
_ROOT = pow(2, (_P - 1) // 4, _P)
if TYPE_CHECKING:
    _Point = tuple[int, int, int, int]  # extended coordinates X, Y, Z, T with x = X/Z, y = Y/Z, x*y = T/Z
_NEUTRAL = (0, 1, 1, 0)


def _point(encoded: bytes) -> _Point | None:
    y = int.from_bytes(encoded, "little")
    sign, y = y >> 255, y & ((1 << 255) - 1)
    if y >= _P:
        return None  # not canonical
    u, v = (y * y - 1) % _P, (_D * y * y + 1) % _P
    x = u * pow(v, 3, _P) * pow(u * pow(v, 7, _P), (_P - 5) // 8, _P) % _P
    if v * x * x % _P != u:
        x = x * _ROOT % _P
    if v * x * x % _P != u or (x == 0 and sign):
        return None  # not on the curve, or minus zero
    x = _P - x if x & 1 != sign else x
    return (x, y, 1, x * y % _P)


def _add(a: _Point, b: _Point) -> _Point:
    e = (a[1] - a[0]) * (b[1] - b[0]) % _P
    f = (a[1] + a[0]) * (b[1] + b[0]) % _P
    g, h = 2 * a[3] * b[3] * _D % _P, 2 * a[2] * b[2] % _P
    e, f, g, h = f - e, h - g, h + g, f + e
    return (e * f % _P, g * h % _P, f * g % _P, e * h % _P)


def _times(factor: int, point: _Point) -> _Point:
    result = _NEUTRAL
    while factor:
        result = _add(result, point) if factor & 1 else result
        point, factor = _add(point, point), factor >> 1
    return result


def _encoded(point: _Point) -> bytes:
    inverse = pow(point[2], _P - 2, _P)
    x, y = point[0] * inverse % _P, point[1] * inverse % _P
    return (y | (x & 1) << 255).to_bytes(32, "little")


_BASE = _point((4 * pow(5, _P - 2, _P) % _P).to_bytes(32, "little"))


def ed25519_verifies(public: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` is the holder's of ``public``; strict: canonical encodings only, no points of small order."""
    if len(public) != 32 or len(signature) != 64 or _BASE is None:
        return False
    key, commitment, scalar = _point(public), _point(signature[:32]), int.from_bytes(signature[32:], "little")
    if key is None or commitment is None or scalar >= _L:
        return False
    if _encoded(_times(8, key)) == _encoded(_NEUTRAL) or _encoded(_times(8, commitment)) == _encoded(_NEUTRAL):
        return False  # such a key accepts one signature for many messages
    challenge = int.from_bytes(hashlib.sha512(signature[:32] + public + message).digest(), "little") % _L
    negative = (_P - key[0], key[1], key[2], _P - key[3])
    return _encoded(_add(_times(scalar, _BASE), _times(challenge, negative))) == signature[:32]


# ---- Canonical JSON. Source: RFC 8785.


def parse(data: bytes, what: str) -> Any:
    """JSON without repeated keys and without NaN. Raises: Invalid, naming ``what``."""
    try:
        return json.loads(data.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"{what} is not JSON: {error}") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len({key for key, _ in pairs}) != len(pairs):
        raise ValueError("a key is there twice")
    return dict(pairs)


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def canonical(value: Any) -> bytes:
    """The one way to write a value as JSON. Raises: Invalid for what has no canonical form."""
    try:
        return _written(value).encode("utf-8")
    except (UnicodeEncodeError, RecursionError):
        raise Invalid("a value has no canonical form") from None


def _written(value: Any) -> str:
    if isinstance(value, dict):
        items = sorted(value.items(), key=lambda item: item[0].encode("utf-16-be"))
        return "{" + ",".join(f"{_written(key)}:{_written(one)}" for key, one in items) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_written, value)) + "]"
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**53:
        raise Invalid("an integer is beyond 2^53")
    return json.dumps(value, ensure_ascii=False)


def _number(value: float) -> str:
    """As ECMAScript's Number::toString writes it."""
    if value - value != 0:
        raise Invalid("a number is not finite")
    if value == 0:
        return "0"
    mantissa, _, exponent = repr(abs(value)).partition("e")
    whole, _, fraction = mantissa.partition(".")
    digits = (whole + fraction).lstrip("0")
    point = len(whole) + int(exponent or 0) - (len(whole + fraction) - len(digits))
    digits = digits.rstrip("0")
    if len(digits) <= point <= 21:
        text = digits.ljust(point, "0")
    elif 0 < point <= 21:
        text = f"{digits[:point]}.{digits[point:]}"
    elif -6 < point <= 0:
        text = "0." + "0" * -point + digits
    else:
        text = digits[0] + ("." + digits[1:] if digits[1:] else "") + f"e{point - 1:+d}"
    return "-" + text if value < 0 else text


# ---- The archive: files stored in the order of their names, at a fixed time, and nothing between, before or behind them.


def archive(files: Mapping[str, bytes]) -> bytes:
    """The zip of these files: the same bytes for the same files, whoever writes it."""
    body, directory, offset = [], [], 0
    for name in sorted(files):
        data, label = files[name], name.encode("ascii")
        facts = struct.pack("<5H3L2H", 20, 0, 0, 0, 0x21, zlib.crc32(data), len(data), len(data), len(label), 0)
        body += [b"PK\x03\x04", facts, label, data]
        directory += [b"PK\x01\x02", b"\x14\x03", facts, struct.pack("<3H2L", 0, 0, 0, 0o100600 << 16, offset), label]
        offset += 30 + len(label) + len(data)
    index = b"".join(directory)
    return b"".join([*body, index, struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, len(files), len(files), len(index), offset, 0)])


def unpack(data: bytes) -> dict[str, bytes]:
    """The files of a pack. Raises: Invalid unless ``archive`` of them gives exactly ``data`` again."""
    files: dict[str, bytes] = {}
    at = 0
    while data[at : at + 4] == b"PK\x03\x04" and len(data) >= at + 30:
        size, length = struct.unpack("<L", data[at + 22 : at + 26])[0], struct.unpack("<H", data[at + 26 : at + 28])[0]
        label = data[at + 30 : at + 30 + length].decode("latin-1")
        if not _NAME.fullmatch(label):
            raise Invalid(f"the archive holds a name that no file of a pack has: {shown(label, 80)}")
        if label in files:
            raise Invalid(f"the archive holds {label} twice")
        files[label] = data[at + 30 + length : at + 30 + length + size]
        at += 30 + length + size
    if not files or archive(files) != data:
        raise Invalid("this is not byte for byte a zip as dbre writes it; if it was only packed anew, unpack it and check that")
    return files


def read_pack(path: Path) -> dict[str, bytes]:
    """The files of a zip or of a directory. Raises: Invalid, OSError."""
    if not path.is_dir():
        if path.stat().st_size > LIMIT_PACK_BYTES:
            raise Invalid(f"the pack is larger than {LIMIT_PACK_BYTES} bytes")
        return unpack(path.read_bytes())
    files = {}
    for one in sorted(path.iterdir()):
        is_odd = one.is_symlink() or not one.is_file() or not _NAME.fullmatch(one.name)
        if is_odd or one.stat().st_size > LIMIT_PACK_BYTES:
            raise Invalid(f"{shown(one.name, 80)} does not belong to a pack, or is too large")
        files[one.name] = one.read_bytes()
    return files


# ---- Keys, signed notes (C2SP signed-note, tlog-checkpoint, tlog-cosignature) and signatures in envelopes (DSSE 1.0).


class VerifierKey(NamedTuple):
    """A public key with its name."""

    name: str
    id: bytes
    kind: int  # 1: Ed25519, 4: Ed25519 with a timestamp, of witnesses
    public: bytes

    @property
    def label(self) -> str:
        """Name and id, for people and for ``keyid``."""
        return f"{self.name}+{self.id.hex()}"


def verifier_key(text: str) -> VerifierKey:
    """Read ``name+id+base64``. Raises: Invalid."""
    name, _, rest = text.strip().partition("+")
    identity, _, encoded = rest.partition("+")
    try:
        key, number, label = base64.b64decode(encoded, validate=True), bytes.fromhex(identity), name.encode()
    except ValueError:
        raise Invalid("a verifier key looks like NAME+HASH+BASE64") from None
    if not name or re.search(r"\s", name) or len(key) != 33 or key[0] not in (1, 4):
        raise Invalid("the verifier key is not one of Ed25519")
    if hashlib.sha256(label + b"\n" + key).digest()[:4] != number:
        raise Invalid(f"the verifier key's hash {shown(identity, 20)} is not that of its name and key")
    return VerifierKey(name, number, key[0], key[1:])


def pae(kind: str, payload: bytes) -> bytes:
    """What is signed of an envelope (DSSE's pre-authentication encoding)."""
    label = kind.encode("utf-8")
    return b"DSSEv1 %d %b %d %b" % (len(label), label, len(payload), payload)


class Checkpoint(NamedTuple):
    """How large a log was, and its root."""

    origin: str
    size: int
    root: bytes


def _decoded(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:  # of which binascii.Error is one
        raise Invalid(f"{what} is not base64") from None


def _signatures(note: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    text, separator, block = note.rpartition(b"\n\n")
    lines = block.decode("utf-8", "replace").split("\n")
    if not separator or lines.pop() != "":
        raise Invalid("the checkpoint is not a signed note")
    found = []
    for line in lines:
        dash, _, rest = line.partition(" ")
        name, _, encoded = rest.partition(" ")
        signature = _decoded(encoded, "a signature of the checkpoint")
        if dash != "\u2014" or not name or len(signature) < 5:
            raise Invalid("a signature line of the checkpoint is malformed")
        found.append((name, signature))
    return text + b"\n", found


def _is_signed(key: VerifierKey, text: bytes, name: str, signature: bytes) -> bool:
    if name != key.name or signature[:4] != key.id:
        return False
    if key.kind == 4:
        text = b"cosignature/v1\ntime %d\n%b" % (int.from_bytes(signature[4:12], "big"), text)
    return ed25519_verifies(key.public, text, signature[4 if key.kind == 1 else 12 :])


def read_checkpoint(note: bytes, *keys: VerifierKey) -> Checkpoint:
    """The checkpoint of a note that each of ``keys`` signed. Raises: Invalid."""
    text, signatures = _signatures(note)
    for key in keys:
        if not any(_is_signed(key, text, name, signature) for name, signature in signatures):
            raise Invalid(f"the checkpoint has no valid signature of {shown(key.label, 200)}")
    origin, size, encoded = [*text.decode("utf-8", "replace").split("\n"), "", ""][:3]
    root = _decoded(encoded, "the checkpoint's root")
    if not origin or not re.fullmatch(r"0|[1-9][0-9]{0,18}", size) or len(root) != 32:
        raise Invalid("the checkpoint's origin, size or root is malformed")
    return Checkpoint(origin, int(size), root)


def root_of(leaf: bytes, index: int, size: int, path: Iterable[bytes]) -> bytes:
    """The root of the tree that has ``leaf`` at ``index``. Source: RFC 9162, 2.1.3.2. Raises: Invalid."""
    if not 0 <= index < size:
        raise Invalid(f"entry {index} is not in a tree of {size}")
    node, last = hashlib.sha256(b"\x00" + leaf).digest(), size - 1
    for sibling in path:
        if last == 0 or len(sibling) != 32:
            raise Invalid(f"the inclusion proof of entry {index} does not fit a tree of {size}")
        if index & 1 or index == last:
            node = hashlib.sha256(b"\x01" + sibling + node).digest()
            while not index & 1 and index:
                index, last = index >> 1, last >> 1
        else:
            node = hashlib.sha256(b"\x01" + node + sibling).digest()
        index, last = index >> 1, last >> 1
    if last != 0:
        raise Invalid("an inclusion proof is too short")
    return node


# ---- What is checked of a pack. Each check gives one sentence for people, or raises Invalid.


class Pack:
    """The files of a pack, and whom the reader trusts."""

    def __init__(self, files: Mapping[str, bytes], key: VerifierKey | None = None, witness: VerifierKey | None = None) -> None:
        self.files = files
        self.pinned = key
        self.witness = witness

    def read(self, name: str) -> bytes:
        """One file. Raises: Invalid where it is missing."""
        if name not in self.files:
            raise Invalid(f"{name} is missing")
        return self.files[name]

    def document(self, name: str) -> dict[str, Any]:
        """One file that holds an object. Raises: Invalid."""
        found = parse(self.read(name), name)
        if not isinstance(found, dict):
            raise Invalid(f"{name} holds no object")
        return found

    def key(self) -> VerifierKey:
        """Whose signatures count: the pinned key, which the pack's own must equal. Raises: Invalid."""
        own = verifier_key(self.read("verifier.key").decode("utf-8", "replace"))
        if self.pinned is not None and own != self.pinned:
            raise Invalid(f"the pack is signed by {shown(own.label, 200)}, not by {shown(self.pinned.label, 200)}")
        return own

    def checkpoint(self) -> Checkpoint:
        """The signed checkpoint. Raises: Invalid."""
        key = self.key()
        found = read_checkpoint(self.read("checkpoint.txt"), *(one for one in (key, self.witness) if one))
        if found.origin != key.name:
            raise Invalid(f"the checkpoint is of the log {shown(found.origin, 200)}, not of {shown(key.name, 200)}")
        return found


def check_files(pack: Pack) -> str:
    """Every file is the one that the manifest lists, none is missing, none is more."""
    listed: dict[str, tuple[Any, Any]] = {}
    for one in pack.document("manifest.json").get("files") or []:
        if not isinstance(one, dict) or not isinstance(one.get("name"), str) or one["name"] in listed:
            raise Invalid("the manifest's list of files is malformed")
        listed[one["name"]] = (one.get("size"), one.get("sha256"))
    for name in sorted((set(listed) | REQUIRED | set(pack.files)) - UNLISTED):
        if name not in listed:
            raise Invalid(f"{shown(name, 80)} is not in the manifest")
        data = pack.read(name)
        if listed[name] != (len(data), hashlib.sha256(data).hexdigest()):
            raise Invalid(f"{name} is not the file that the manifest lists")
    return f"{len(listed)} files are those of the manifest: none changed, none missing, none more"


def check_statement(pack: Pack) -> str:
    """The manifest is signed, and the statement says of it what the other files say."""
    key, operation, checkpoint = pack.key(), pack.document("operation.json"), pack.checkpoint()
    envelope = pack.document("statement.json")
    try:
        payload = base64.b64decode(envelope["payload"], validate=True)
        signature = base64.b64decode(envelope["signatures"][0]["sig"], validate=True)
    except (KeyError, IndexError, TypeError, ValueError):
        raise Invalid("statement.json is not an envelope with a signature") from None
    if envelope_of(payload, key.label, signature) != pack.read("statement.json"):
        raise Invalid(f"statement.json is not written as an envelope signed by {shown(key.label, 200)} alone")
    if not ed25519_verifies(key.public, pae(PAYLOAD_TYPE, payload), signature):
        raise Invalid(f"the signature of the statement is not one of {shown(key.label, 200)}")
    if payload != statement_of(pack.read("manifest.json"), operation, checkpoint):
        raise Invalid("the signed statement is not about this manifest, operation, plan and checkpoint")
    return f"the manifest is signed by {shown(key.label, 200)}"


def envelope_of(payload: bytes, key_id: str, signature: bytes) -> bytes:
    """A DSSE envelope with one signature, in the one way in which this program takes it."""
    signatures = [{"keyid": key_id, "sig": base64.b64encode(signature).decode()}]
    return canonical({"payload": base64.b64encode(payload).decode(), "payloadType": PAYLOAD_TYPE, "signatures": signatures})


def statement_of(manifest: bytes, operation: Mapping[str, Any], checkpoint: Checkpoint) -> bytes:
    """The in-toto statement about a manifest."""
    facts = {key: operation.get(key) for key in ("id", "operation", "target", "plan_hash", "state", "is_complete")}
    facts["checkpoint"] = {"origin": checkpoint.origin, "size": checkpoint.size, "root": checkpoint.root.hex()}
    subject = {"name": "manifest.json", "digest": {"sha256": hashlib.sha256(manifest).hexdigest()}}
    return canonical({"_type": STATEMENT_TYPE, "subject": [subject], "predicateType": PREDICATE_TYPE, "predicate": facts})


def check_plan(pack: Pack) -> str:
    """The plan is canonical JSON, has the hash that was recorded, and is what people approved."""
    operation, data = pack.document("operation.json"), pack.read("plan.json")
    plan, found = pack.document("plan.json"), hashlib.sha256(data).hexdigest()
    if canonical(plan) != data:
        raise Invalid("plan.json is not canonical JSON")
    if found != operation.get("plan_hash"):
        raise Invalid(f"plan.json has the hash {found}, the operation says {shown(operation.get('plan_hash'), 64)}")
    if (plan.get("operation"), plan.get("target")) != (operation.get("operation"), operation.get("target")):
        raise Invalid("plan.json is of another kind or target than the operation")
    approvals = pack.document("approvals.json").get("items")
    if not isinstance(approvals, list) or not all(isinstance(one, dict) for one in approvals):
        raise Invalid("approvals.json holds no list of approvals")
    valid = sum(one.get("plan_hash") == found for one in approvals)
    return f"the plan has the hash {found}; approvals of it: {valid} (of other plans: {len(approvals) - valid})"


def entries_of(pack: Pack) -> list[tuple[int, dict[str, Any]]]:
    """The audit entries with their index, each proved to be in the log. Raises: Invalid."""
    checkpoint, document = pack.checkpoint(), pack.document("proofs.json")
    proofs, lines = document.get("entries"), pack.read("audit.jsonl").split(b"\n")
    if lines.pop() != b"" or not isinstance(proofs, list) or len(proofs) != len(lines):
        raise Invalid("audit.jsonl and proofs.json do not hold the same number of entries")
    if document.get("tree_size") != checkpoint.size:
        raise Invalid(f"the proofs are for another tree than the checkpoint's of {checkpoint.size} entries")
    found: list[tuple[int, dict[str, Any]]] = []
    for line, proof in zip(lines, proofs):  # noqa: B905 - their lengths are compared above; Python 3.8 knows no strict
        index, path = _proof(proof)
        if found and index <= found[-1][0]:
            raise Invalid("the audit entries are not in the order of the log")
        if root_of(line, index, checkpoint.size, path) != checkpoint.root:
            raise Invalid(f"audit entry {index} is not in the log that the checkpoint signs")
        entry = parse(line, f"audit entry {index}")
        if not isinstance(entry, dict) or canonical(entry) != line or entry.get("index") != index:
            raise Invalid(f"audit entry {index} is not canonical JSON, or says that it is another entry")
        found.append((index, entry))
    return found


def _proof(proof: Any) -> tuple[int, list[bytes]]:
    try:
        index, path = proof["index"], [bytes.fromhex(one) for one in proof["path"]]
    except (TypeError, KeyError, ValueError):
        raise Invalid("an inclusion proof is malformed") from None
    if not isinstance(index, int) or isinstance(index, bool):
        raise Invalid("an inclusion proof has no index")
    return index, path


def check_log(pack: Pack) -> str:
    """The entries about the operation are in the log that the checkpoint signs."""
    found, checkpoint = entries_of(pack), pack.checkpoint()
    subject = f"operation/{pack.document('operation.json').get('id')}"
    if not found:
        raise Invalid("the pack holds no audit entry")
    for index, entry in found:
        if entry.get("subject") != subject:
            raise Invalid(f"audit entry {index} is about {shown(entry.get('subject'), 100)}, not about {shown(subject, 100)}")
    witness = f", and {shown(pack.witness.label, 200)} witnessed it" if pack.witness else ""
    return f"{len(found)} entries are in the log {shown(checkpoint.origin, 100)} of {checkpoint.size} entries{witness}"


def check_story(pack: Pack) -> str:
    """The log tells of the same states, approvals and overrides as the files."""
    operation, entries = pack.document("operation.json"), [entry for _, entry in entries_of(pack)]
    state, moves = None, 0
    for entry in entries:
        action, data = str(entry.get("action")).partition("operation.")[2], entry.get("data")
        if action not in _STATES or not isinstance(data, dict) or "from" not in data:
            continue
        if state is not None and data["from"] != state:
            left_out = f"from {shown(state, 30)} to {action} out of {shown(data['from'], 30)}"
            raise Invalid(f"the log goes {left_out}: an entry is left out")
        state, moves = action, moves + 1
    plan = operation.get("plan_hash")
    if any(one["data"].get("plan_hash") != plan for one in entries if one.get("action") == "operation.planned"):
        raise Invalid("the log tells of another plan")
    if moves and state != operation.get("state"):
        raise Invalid(f"operation.json says {shown(operation.get('state'), 30)}, the log says {shown(state, 30)}")
    if operation.get("is_complete") is not (operation.get("state") in _FINAL):
        raise Invalid("operation.json contradicts itself: its state and is_complete")
    told = (("operation.approved", "approvals.json", "items", "approver"), ("gate.overridden", "gates.json", "overrides", "by"))
    for action, name, key, who in told:
        recorded = {entry.get("actor") for entry in entries if entry.get("action") == action}
        if not all(one[who] in recorded for one in pack.document(name)[key]):
            raise Invalid(f"{name} names somebody of whom the log has no {action}")
    return f"{moves} changes of state in the log lead to {shown(operation.get('state'), 30)}"


def check_results(pack: Pack) -> str:
    """Each phase that the log tells of is there, with the result that the log fixed when it ended."""
    told: dict[tuple[int, str], str | None] = {}
    for _, entry in entries_of(pack):
        data = entry.get("data")
        if isinstance(data, dict) and str(entry.get("action")).startswith("operation.") and {"seq", "phase"} <= set(data):
            told[data["seq"], data["phase"]] = data.get("result_hash")
    lines = pack.read("steps.jsonl").split(b"\n")
    steps = [parse(line, "a line of steps.jsonl") for line in lines[:-1]]
    found = {(one["seq"], one["phase"]): one for one in steps}
    if lines[-1] != b"" or len(found) != len(steps) or not set(told) <= set(found):
        raise Invalid("steps.jsonl does not hold each phase of each step that the log tells of, once")
    for key, one in found.items():
        digest = None if one["result"] is None else hashlib.sha256(canonical(one["result"])).hexdigest()
        if digest != told.get(key):
            raise Invalid(f"the result of {shown(one['name'], 200)} ({shown(key[1], 10)}) is not the one that the log fixed")
    snapshots, seen = pack.document("snapshots.json"), [one["result"] for one in steps if one["phase"] == "verify"]
    after = {one["name"]: one["result"] for one in steps if one["phase"] == "do"}
    if (snapshots.get("after"), snapshots.get("verification")) != (after, seen):
        raise Invalid("snapshots.json has other results than steps.jsonl")
    return f"{sum(one is not None for one in told.values())} results of steps are those that the log fixed when they ended"


CHECKS = (check_files, check_statement, check_plan, check_log, check_story, check_results)

LIMITS = """This cannot show:
- that the clock of the control plane was right, or that a step's result is true: it is what dbre saw and wrote down;
- that the log has no further entry about this operation: a proof shows what is in a log, not what is absent
  (dbre audit list --subject shows all to those who have the log);
- when the files besides audit.jsonl were written: the log fixes its entries, plan and results when they happen, the files are
  signed when the pack is made, and secrets are struck out of them;"""
UNPINNED = "- whose the key is: this program was not told (--key NAME+HASH+BASE64), and anybody can sign with their own;"
UNWITNESSED = "- that nobody was shown another version of the log: no witness was named (--witness NAME+HASH+BASE64)."


def shown(value: Any, limit: int) -> str:
    """Text from a pack, made safe for a terminal."""
    text = "".join(one if one.isprintable() else repr(one)[1:-1] for one in str(value)[: limit + 1])
    return text if len(text) <= limit else text[:limit] + "..."


def report(pack: Pack) -> tuple[bool, list[str]]:
    """Whether a pack is intact, and what to tell people of it."""
    lines = []
    for check in CHECKS:
        try:
            lines.append(f"ok      {check(pack)}")
        except Exception as problem:  # noqa: BLE001 - whatever a malformed pack runs into, it is not proved
            said = problem if isinstance(problem, Invalid) else f"the pack is malformed ({type(problem).__name__})"
            lines.append(f"FAILED  {said}")
    return all(line.startswith("ok ") for line in lines), lines


def _verdict(pack: Pack, is_intact: bool) -> list[str]:
    if not is_intact:
        return ["VERDICT: do not rely on this pack."]
    operation = pack.document("operation.json")
    fact = {key: shown(operation.get(key), 200) for key in ("id", "operation", "target", "state", "requested_by")}
    which = "{operation} on {target}, operation {id}: {state}, requested by {requested_by}".format_map(fact)
    signer = "the key that you named" if pack.pinned else "the key that it brings along"
    lines = [f"VERDICT: intact and signed with {signer}.", which, LIMITS]
    if operation.get("state") not in _FINAL:
        lines.insert(1, "INCOMPLETE: the operation had not ended when the pack was made; make another one later.")
    return lines + ([] if pack.pinned else [UNPINNED]) + ([] if pack.witness else [UNWITNESSED])


def main(arguments: list[str] | None = None) -> int:
    """Check the pack that the command line names."""
    parser = argparse.ArgumentParser(description="Check an evidence pack of dbre, offline.")
    parser.add_argument("pack", nargs="?", type=Path, default=Path(__file__).parent, help="zip, or directory (default: here)")
    parser.add_argument("--key", help="verifier key of the control plane, from dbre audit key, not from the pack")
    parser.add_argument("--witness", help="verifier key of a witness that must have cosigned the checkpoint")
    given = parser.parse_args(arguments)
    try:
        keys = [verifier_key(one) if one else None for one in (given.key, given.witness)]
    except Invalid as problem:
        parser.error(str(problem))
    try:
        pack = Pack(read_pack(given.pack), *keys)
    except Invalid as problem:
        sys.stdout.write(f"FAILED  {problem}\nVERDICT: do not rely on this pack.\n")
        return 1
    except OSError as problem:
        parser.error(f"{shown(given.pack, 300)} cannot be read: {problem.strerror}")
    is_intact, lines = report(pack)
    sys.stdout.write("\n".join(lines + _verdict(pack, is_intact)) + "\n")
    return 0 if is_intact else 1


if __name__ == "__main__":
    sys.exit(main())
