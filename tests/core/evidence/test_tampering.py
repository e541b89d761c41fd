"""Whatever is changed of a pack, its checking program says so."""

import json
import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import pytest
from evidence_kit import WITNESS, changed, make_excerpt, make_files, make_key, make_pack, make_record, running
from hypothesis import given, settings
from hypothesis import strategies as st

from dbre.core.audit.signed_note import SigningKey
from dbre.core.operation.evidence import verify
from dbre.core.operation.evidence.sealing import EvidenceUnsound, seal
from dbre.core.operation.states import OperationState


@cache
def sound() -> bytes:
    return make_pack()


def is_accepted(files: dict[str, bytes], *, key: SigningKey | None = None, witness: SigningKey | None = None) -> bool:
    keys = [verify.verifier_key(str(one.verifier)) if one else None for one in (key, witness)]
    return verify.report(verify.Pack(files, *keys))[0]


def is_accepted_zip(data: bytes) -> bool:
    try:
        return is_accepted(verify.unpack(data))
    except verify.Invalid:
        return False


def resealed(files: dict[str, bytes], key: SigningKey | None = None) -> dict[str, bytes]:
    """Files with manifest and statement made anew, without the check that ``seal`` makes of its own work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verify, "report", lambda _: (True, []))
        return verify.unpack(seal({one: data for one, data in files.items() if one not in verify.UNLISTED}, key or make_key()))


def test_a_sound_pack_is_accepted_and_has_the_same_bytes_again() -> None:
    assert make_pack() == sound()
    files = verify.unpack(sound())
    assert is_accepted_zip(sound())
    assert is_accepted(files, key=make_key(), witness=WITNESS)


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_flipped_bit_anywhere_is_noticed(data: st.DataObject) -> None:
    pack = bytearray(sound())
    pack[data.draw(st.integers(0, len(pack) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert not is_accepted_zip(bytes(pack))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_a_flipped_bit_in_any_file_of_a_directory_is_noticed(data: st.DataObject) -> None:
    files = verify.unpack(sound())
    name = data.draw(st.sampled_from(sorted(files)))
    changed_file = bytearray(files[name])
    changed_file[data.draw(st.integers(0, len(changed_file) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    assert not is_accepted({**files, name: bytes(changed_file)})


@pytest.mark.parametrize("name", sorted(verify.unpack(make_pack())))
def test_each_file_is_missed_cut_and_lengthened(name: str) -> None:
    files = verify.unpack(sound())
    assert not is_accepted({one: data for one, data in files.items() if one != name})
    assert not is_accepted({**files, name: files[name][:-1]})
    assert not is_accepted({**files, name: files[name] + b"\n"})
    assert not is_accepted({**files, name: b""})


def test_a_file_more_is_noticed() -> None:
    assert not is_accepted({**verify.unpack(sound()), "extra.txt": b"trust me"})


def test_a_file_of_another_pack_is_noticed() -> None:
    files, other = verify.unpack(sound()), verify.unpack(make_pack(make_record(note="something else"), make_key(seed=2)))
    for name in sorted(files):
        if files[name] != other[name]:
            assert not is_accepted({**files, name: other[name]}), name


def test_another_key_is_noticed_only_where_the_key_is_pinned() -> None:
    forged = verify.unpack(make_pack(key=make_key(seed=2)))
    assert is_accepted(forged)
    assert not is_accepted(forged, key=make_key())
    assert not is_accepted(verify.unpack(make_pack(witness=None)), witness=WITNESS)
    assert not is_accepted(verify.unpack(make_pack(witness=make_key("witness.example", 8, is_witness=True))), witness=WITNESS)


RESEALED = {
    "proofs for another size": lambda files: changed(
        files, "proofs.json", lambda one: one.update(tree_size=one["tree_size"] + 1)
    ),
    "a proof of another entry": lambda files: changed(files, "proofs.json", lambda one: one["entries"].reverse()),
    "an index moved": lambda files: changed(files, "proofs.json", lambda one: one["entries"][0].update(index=0)),
    "a proof cut": lambda files: changed(files, "proofs.json", lambda one: one["entries"][0]["path"].pop()),
    "an entry of a word too many": lambda files: {**files, "audit.jsonl": files["audit.jsonl"].replace(b"ada", b"eve", 1)},
    "no entries": lambda files: {
        **files,
        "audit.jsonl": b"",
        "proofs.json": json.dumps({"entries": [], "tree_size": 35}).encode(),
    },
    "another state": lambda files: changed(files, "operation.json", lambda one: one.update(state="failed")),
    "another id": lambda files: changed(files, "operation.json", lambda one: one.update(id="x")),
    "another plan hash": lambda files: changed(files, "operation.json", lambda one: one.update(plan_hash="0" * 64)),
    "another plan": lambda files: {**files, "plan.json": files["plan.json"].replace(b"64MB", b"1TB", 1)},
    "a plan with blanks": lambda files: {**files, "plan.json": files["plan.json"] + b" "},
    "an approver more": lambda files: changed(
        files, "approvals.json", lambda one: one["items"].append({**one["items"][0], "approver": "eve"})
    ),
    "an override by somebody else": lambda files: changed(
        files, "gates.json", lambda one: one["overrides"][0].update(by="eve")
    ),
    "complete and running": lambda files: changed(files, "operation.json", lambda one: one.update(is_complete=False)),
    "another result": lambda files: {
        **files,
        "steps.jsonl": files["steps.jsonl"].replace(b'"work_mem": "64MB"', b'"work_mem": "1GB"', 1),
    },
    "another result everywhere": lambda files: {
        name: data.replace(b'"work_mem": "64MB"', b'"work_mem": "1GB"') if name in ("steps.jsonl", "snapshots.json") else data
        for name, data in files.items()
    },
    "another result in the snapshots": lambda files: changed(
        files, "snapshots.json", lambda one: one["after"].update({"reload:orders-1": None})
    ),
    "a verification that was not": lambda files: changed(files, "snapshots.json", lambda one: one["verification"].append({})),
    "a result taken away": lambda files: {
        **files,
        "steps.jsonl": files["steps.jsonl"].replace(b'{"work_mem": "64MB"}', b"null", 1),
    },
    "a step left out": lambda files: {**files, "steps.jsonl": files["steps.jsonl"].split(b"\n", 1)[1]},
    "a step twice": lambda files: {**files, "steps.jsonl": files["steps.jsonl"].split(b"\n")[0] + b"\n" + files["steps.jsonl"]},
    "a step more": lambda files: {**files, "steps.jsonl": files["steps.jsonl"].replace(b'"seq": 1', b'"seq": 2')},
    "lists instead of objects": lambda files: {**files, "approvals.json": b"[]"},
    "numbers instead of names": lambda files: changed(files, "approvals.json", lambda one: one.update(items=[1])),
}


@pytest.mark.parametrize("name", RESEALED)
def test_a_forgery_signed_with_the_right_key_contradicts_the_log(name: str) -> None:
    files = verify.unpack(sound())
    assert is_accepted(resealed(files))
    assert not is_accepted(resealed(RESEALED[name](files)), key=make_key()), name


def test_an_entry_left_out_of_the_middle_is_noticed() -> None:
    record = make_record()
    excerpt = make_excerpt(record, make_key())
    kept = tuple(one for one in excerpt.entries if b'"operation.running"' not in one.entry)
    assert len(kept) == len(excerpt.entries) - 1
    holed = type(excerpt)(entries=kept, tree_size=excerpt.tree_size, note=excerpt.note, verifier_key=excerpt.verifier_key)
    with pytest.raises(EvidenceUnsound, match="left out"):
        seal(make_files(record, holed), make_key())


def test_a_plan_swapped_after_it_was_recorded_is_noticed() -> None:
    record = make_record()
    plan = replace(record.planned.plan, summary="set 1 parameter, and another one")
    other = replace(record.planned, plan=plan)
    swapped = replace(record, planned=other, plan_hash=other.hash, approvals=())
    with pytest.raises(EvidenceUnsound, match="another plan"):
        seal(make_files(swapped, make_excerpt(record, make_key())), make_key())


def test_a_pack_that_nobody_would_accept_is_not_made() -> None:
    record = make_record()
    with pytest.raises(EvidenceUnsound, match="not in the log"):
        seal({**make_files(record, make_excerpt(record, make_key())), "audit.jsonl": b"{}\n" * 9}, make_key())
    with pytest.raises(EvidenceUnsound, match="no valid signature"):
        seal(
            make_files(record, make_excerpt(record, make_key(seed=3))) | {"verifier.key": str(make_key().verifier).encode()},
            make_key(),
        )


def run(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", *map(str, arguments)]
    return subprocess.run(command, cwd=cwd, env={}, capture_output=True, text=True, timeout=60)


def test_the_program_in_the_pack_checks_it_alone(tmp_path: Path) -> None:
    (tmp_path / "pack.zip").write_bytes(sound())
    folder = tmp_path / "unpacked"
    folder.mkdir()
    for name, data in verify.unpack(sound()).items():
        (folder / name).write_bytes(data)
    program = folder / "verify.py"
    keys = ("--key", str(make_key().verifier), "--witness", str(WITNESS.verifier))
    for arguments in ((program, "pack.zip"), (program, folder), (program,), (program, "pack.zip", *keys)):
        done = run(*arguments, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), done.stdout
        assert "VERDICT: intact" in done.stdout
        assert "settings.apply on cluster/orders" in done.stdout
        assert ("anybody can sign" in done.stdout) is ("--key" not in arguments)
    assert "cannot show" in done.stdout
    refused = run(program, "pack.zip", "--key", str(make_key(seed=2).verifier), cwd=tmp_path)
    assert refused.returncode == 1
    assert "VERDICT: do not rely" in refused.stdout
    assert run(program, "nowhere.zip", cwd=tmp_path).returncode == 2
    assert run(program, "pack.zip", "--key", "nonsense", cwd=tmp_path).returncode == 2
    (folder / "link.txt").symlink_to("/etc/passwd")
    assert run(program, folder, cwd=tmp_path).returncode == 1


def test_an_operation_that_still_runs_gives_an_incomplete_pack(tmp_path: Path) -> None:
    record = running(make_record(OperationState.RUNNING))
    (tmp_path / "pack.zip").write_bytes(make_pack(record))
    done = run(Path(verify.__file__), "pack.zip", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "INCOMPLETE" in done.stdout
