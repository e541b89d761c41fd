"""The formats: whole batches, and what becomes of a wrong row."""

import json

import msgspec
import pytest
from ingest_kit import NOW_MS, matcher

from dbre.capabilities.slo.ingest.checking import TimeLimits
from dbre.capabilities.slo.ingest.decoding import decode_json, decode_lines, decode_msgpack
from dbre.capabilities.slo.ingest.errors import BadBatch
from dbre.capabilities.slo.ingest.pre_aggregated import counts_of

LIMITS = TimeLimits(oldest_ms=NOW_MS - 86_400_000, newest_ms=NOW_MS + 300_000)
ROWS = [
    {"ts": NOW_MS, "slo": "requests@orders", "good": False, "ms": 12.5},
    {"ts": NOW_MS + 1, "slo": "requests@orders", "weight": 3},
]


def as_tuples(decoded):
    columns = decoded.columns
    return [*zip(columns.at_ms, columns.slo, columns.is_good, columns.duration_ms, columns.weight, strict=True)]


EXPECTED = [(NOW_MS, "requests@orders", False, 12.5, 1), (NOW_MS + 1, "requests@orders", True, None, 3)]


@pytest.mark.parametrize(
    ("decode", "body"),
    [
        (decode_json, json.dumps(ROWS).encode()),
        (decode_json, json.dumps({"events": ROWS}).encode()),
        (decode_lines, "\n".join(map(json.dumps, ROWS)).encode() + b"\n"),
        (decode_lines, ("\n\n".join(map(json.dumps, ROWS))).encode()),
        (decode_msgpack, msgspec.msgpack.encode([list(EXPECTED[0]), list(EXPECTED[1])])),
        (decode_msgpack, msgspec.msgpack.encode({"events": ROWS})),
        (
            decode_json,
            json.dumps(
                {
                    "ts": [NOW_MS, NOW_MS + 1],
                    "slo": "requests@orders",
                    "good": [False, True],
                    "ms": [12.5, None],
                    "weight": [1, 3],
                }
            ).encode(),
        ),
    ],
    ids=["array", "object", "lines", "empty-lines", "msgpack", "msgpack-map", "columns"],
)
def test_the_same_batch_in_every_format(decode, body):
    decoded = decode(body)
    assert as_tuples(decoded) == EXPECTED
    assert decoded.rejections == []


@pytest.mark.parametrize(
    ("decode", "join"),
    [(decode_json, lambda rows: b"[" + b",".join(rows) + b"]"), (decode_lines, b"\n".join)],
    ids=["array", "lines"],
)
def test_a_wrong_row_is_told_and_the_others_count(decode, join):
    good = json.dumps(ROWS[0]).encode()
    decoded = decode(join([good, b'{"ts":"yesterday"}', b"7", good, b'{"slo":"x"}']))
    assert [one.row for one in decoded.rejections] == [1, 2, 4]
    assert list(decoded.rows) == [0, 3]
    assert len(decoded.columns) == 2
    assert "$.ts" in decoded.rejections[0].reason


def test_a_wrong_row_of_msgpack_is_told():
    decoded = decode_msgpack(msgspec.msgpack.encode([[NOW_MS, "requests@orders"], ["x", "y"]]))
    assert [one.row for one in decoded.rejections] == [1]
    assert len(decoded.columns) == 1


@pytest.mark.parametrize(
    ("decode", "body"),
    [
        (decode_json, b""),
        (decode_json, b"[1,"),
        (decode_json, b"\xff\xfe"),
        (decode_json, b'{"event": []}'),
        (decode_json, b"{}"),
        (decode_json, b'{"ts": [1], "slo": "a", "attributes": [3], "attribute_sets": [{}]}'),
        (decode_json, b"[" * 100_000),
        (decode_msgpack, b""),
        (decode_msgpack, b"\xc1"),
        (decode_msgpack, b"\x93\x01"),
        (decode_msgpack, b"\xdd\xff\xff\xff\xff"),
    ],
)
def test_what_is_no_batch_at_all_is_refused(decode, body):
    with pytest.raises(BadBatch):
        decode(body)


def test_attributes_are_shared_among_events():
    rows = [{"ts": 1, "attributes": {"b": 2, "a": True}}, {"ts": 2, "attributes": {"a": True, "b": 2}}, {"ts": 3}]
    columns = decode_json(json.dumps(rows).encode()).columns
    assert columns.attribute_sets == ((("a", "true"), ("b", "2")),)
    assert columns.attributes == [0, 0, None]


def counted(**changes):
    row = {"ts": NOW_MS, "slo": "requests@orders", "good": 90, "bad": 10, **changes}
    return decode_json(json.dumps({"counts": [row]}).encode()).counts


def test_counts_that_the_sender_made_go_in_as_they_are():
    histogram = {"scale": 6, "offset": 64, "counts": [50, 0, 50]}
    found = counts_of(counted(excluded=5, histogram=histogram), matcher(), limits=LIMITS)
    assert [(one.counts.good, one.counts.bad, one.counts.excluded) for one in found.counted] == [(90, 10, 5)]
    assert found.latencies[0].histogram.buckets == {32: 50, 33: 50}


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"good": -1}, "count -1 lies outside"),
        ({"bad": 2**50}, f"count {2**50} lies outside"),
        ({"ts": 5}, "ts 5 lies outside"),
        ({"slo": "nothing@orders"}, "no SLO with an event source"),
        ({"histogram": {"scale": 4, "offset": 0, "counts": [1]}}, "scale 4: those from 5 to 20"),
        ({"histogram": {"scale": 5, "offset": 0, "counts": [101]}}, "more events than good and bad"),
        ({"histogram": {"scale": 5, "offset": 0, "counts": [0] * 2001}}, "2001 buckets"),
        ({"histogram": {"scale": 5, "offset": 2**40, "counts": [1]}}, "buckets from"),
        ({"histogram": {"scale": 5, "offset": 0, "counts": [-1, 1]}}, "count -1 lies outside"),
    ],
)
def test_counts_that_contradict_themselves_are_told(changes, reason):
    found = counts_of(counted(**changes), matcher(), limits=LIMITS)
    assert found.counted == []
    assert reason in found.rejections[0].reason
