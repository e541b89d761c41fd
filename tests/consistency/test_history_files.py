"""Histories from files: JSON Lines and EDN mean the same, and what is broken or hostile is one error with its place."""

import codecs
import io
import tracemalloc
from contextlib import suppress
from typing import Any

import pytest
from consistency_kit import judged, op
from hypothesis import given, settings
from hypothesis import strategies as st

from dbre.capabilities.consistency.edn import read_edn
from dbre.capabilities.consistency.errors import HistoryInvalid, HistoryTooLarge
from dbre.capabilities.consistency.history import Op, OpType
from dbre.capabilities.consistency.reading import read_history, read_text
from dbre.capabilities.consistency.report import Limits, Verdict
from dbre.capabilities.consistency.writing import write_edn, write_jsonl

JEPSEN = """\
{:type :invoke, :f :start-partition, :value nil, :process :nemesis, :time 1, :index 0}
#jepsen.history.Op{:index 1, :time 2, :type :invoke, :process 0, :f :txn, :value [[:r 1 nil] [:append 2 -3]]} ; two
{:index 2, :time 3, :type :ok, :process 0, :f :txn, :value ([:r 1 [4 5]] [:append 2 -3]), :error [:none "a \\"b\\""]} #_ {:x 1}
"""
TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
SCALARS = st.one_of(
    st.none(), st.booleans(), st.integers(-(1 << 60), 1 << 60), TEXT, st.floats(allow_nan=False, allow_infinity=False)
)
VALUES = st.recursive(SCALARS, lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(TEXT, inner, max_size=3)))
OPS = st.builds(
    Op,
    type=st.sampled_from(OpType),
    process=st.integers(0, 9),
    f=st.sampled_from(["read", "add", "cas"]),
    value=VALUES,
    node=st.none() | TEXT,
)


def test_what_jepsen_writes_is_read() -> None:
    for text in (JEPSEN, f"[{JEPSEN}]"):
        first, call, answer = read_text(text)
        assert first.process == "nemesis"
        assert (call.type, call.f, call.value) == ("invoke", "txn", [["r", 1, None], ["append", 2, -3]])
        assert (answer.value, answer.error) == ([["r", 1, [4, 5]], ["append", 2, -3]], ["none", 'a "b"'])


@settings(max_examples=50, deadline=None)
@given(st.lists(OPS, min_size=1, max_size=5))
def test_both_forms_give_back_what_was_written(history: list[Op]) -> None:
    assert list(read_text("".join(write_edn(history)))) == history
    assert list(read_history(io.BytesIO(b"".join(write_jsonl(history))))) == history
    assert list(read_history(io.BytesIO(codecs.BOM_UTF8 + b"".join(write_jsonl(history))))) == history


def test_transactions_are_written_with_keywords_as_elle_wants_them() -> None:
    (line,) = write_edn([op("ok", 3, "txn", [["r", "x", [1]], ["append", 4, 2]])])
    assert line == '{:type :ok, :process 3, :f :txn, :value [[:r "x" [1]] [:append 4 2]]}\n'


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from('[](){}#_"\\:;,a1 n\n-.~^N/+'), max_size=40))
def test_no_text_breaks_the_reader_of_edn(text: str) -> None:
    with suppress(HistoryInvalid):
        list(read_edn(text.splitlines(keepends=True), unwrap=True))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_no_bytes_break_the_reader_of_files(data: bytes) -> None:
    with suppress(HistoryInvalid):
        list(read_history(io.BytesIO(data)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"process": 0, "type": "maybe", "f": "x"}', "line 1: Invalid enum value 'maybe'"),
        ('{"process": 0, "type": "ok", "f": "x"}\n{"pro', "line 2: Input data was truncated"),
        ("{:process 0 :type :ok :f :x}\n{:process 0", "line 2: the text ends inside of a value"),
        ("{:process 0 :type :ok :f :x}}", "line 1: } closes nothing"),
        ("{:process}", "line 1: a map has a key without a value"),
        ("[" * 100, "line 1: values are nested more than 64 deep"),
        ("{:a " + "9" * 5000 + "}", "line 1: a number has more than 40 digits"),
        ("{" + '"' + "[" * 100_000 + '":' + "[" * 100_000, "line 1: "),
        ("{:process 0 :type :ok}", "op 0: Object missing required field `f`"),
        ('{"a', "line 1: Input data was truncated"),
        ('{:process 0 :type :ok :f :x :value "\\ud800"}', "line 1: an escape is half of a character"),
        ("{:process 0 :type :ok :f :x :value \\udc00}", "line 1: an escape is half of a character"),
    ],
    ids=[
        "type",
        "cut-json",
        "cut-edn",
        "closed",
        "odd-map",
        "deep",
        "digits",
        "deep-json",
        "no-f",
        "short",
        "half",
        "half-char",
    ],
)
def test_what_is_broken_is_one_error_with_its_place(text: str, message: str) -> None:
    with pytest.raises(HistoryInvalid) as caught:
        list(read_text(text))
    assert message in caught.value.message
    assert caught.value.hint


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ([op("ok", 1, "read", 1)], "op 0: process 1 got ok without having called"),
        ([op("invoke", 1, "read"), op("invoke", 1, "read")], "op 1: process 1 calls while its call at op 0 is unanswered"),
        ([op("invoke", 1, "read"), op("ok", 1, "write", 1)], "op 1: process 1 was answered 'write', but called 'read' at op 0"),
        ([], "the history holds no call of a client"),
        ([op("invoke", 1 << 63, "read")], "op 0: process 9223372036854775808 is no number of a client"),
    ],
    ids=["no-call", "two-calls", "other-answer", "empty", "number"],
)
def test_what_no_client_can_have_done_is_refused(history: list[Op], message: str) -> None:
    with pytest.raises(HistoryInvalid) as caught:
        judged(history, workload="register")
    assert message in caught.value.message


TXN: dict[str, Any] = {"workload": "list-append"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("x", "is no transaction"),
        ([["r", "x"]], "is no read and no append"),
        ([["w", "x", 1]], "is no read and no append"),
        ([["append", [1], 1]], "is neither a whole number nor text"),
        ([["append", "x", True]], "is neither a whole number nor text"),
        ([["append", 1.0, 1]], "is neither a whole number nor text"),
        ([["append", "x", 1], ["append", "x", 1]], "1 is appended to 'x' once more, after op 0"),
        ([["r", "x", 7]], "a read of 'x' gave 7"),
        ([["r", "x", [{}]]], "is neither a whole number nor text"),
    ],
)
def test_a_transaction_that_is_none_is_refused_with_its_op(value: Any, message: str) -> None:
    with pytest.raises(HistoryInvalid) as caught:
        judged([op("invoke", 0, "txn", value), op("ok", 0, "txn", value)], **TXN)
    assert "op 0: " in caught.value.message
    assert message in caught.value.message


def test_escapes_of_characters_are_the_characters() -> None:
    (found,) = read_text('{:process 0 :type :ok :f :x :value ["\\u00e9\\\\u00e9" "\\ud83d\\ude00" \\u00e9 "\\q"]}')
    assert found.value == ["é\\u00e9", "😀", "é", "q"]


class Blank(io.BytesIO):
    """Many long lines with nothing on them, and then an op."""

    left = 200

    def readline(self, _size: int | None = -1, /) -> bytes:
        self.left -= 1
        return b" " * (1 << 18) + b"\n" if self.left >= 0 else b"" if self.left < -1 else b'{"process": 0}'


def test_lines_with_nothing_on_them_take_no_memory_and_are_counted() -> None:
    tracemalloc.start()
    with pytest.raises(HistoryInvalid, match="line 201: "):
        list(read_history(Blank()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 << 20


def test_limits_keep_memory_bounded() -> None:
    with pytest.raises(HistoryTooLarge, match="line 2: one value has more than 3 items"):
        list(read_edn(["[1 [2]\n", "3 4]"], most_items=3))
    assert list(read_edn(["[[1 2 3]", "[4 5 6]]"], unwrap=True, most_items=3)) == [[1, 2, 3], [4, 5, 6]]
    with pytest.raises(HistoryTooLarge, match=r"line 1 is longer than 1\.0 KiB"):
        list(read_history(io.BytesIO(b'{"' + b"a" * 5000), line_bytes=1024))
    history = [op(kind, 0, "read", None) for _ in range(10) for kind in ("invoke", "ok")]
    with pytest.raises(HistoryTooLarge, match="more than 19 ops"):
        judged(history, workload="register", limits=Limits(ops=19))
    assert judged(history, workload="register", limits=Limits(ops=20)).verdict is Verdict.OK
