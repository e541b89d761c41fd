"""A slow line as rules: with a clock of its own, so that every number is exact."""

import pytest

from dbre.core.packets.line import Line, Shape


def drain(line: Line) -> list[tuple[float, bytes]]:
    found = []
    while (moment := line.next_moment()) is not None:
        found += [(moment, packet) for packet in line.take(moment)]
    return found


def test_a_packet_leaves_after_the_delay_and_not_before() -> None:
    line = Line(Shape(delay_seconds=0.2), seed=1)
    line.put(b"a", 10.0)
    assert line.take(10.199) == []
    assert line.take(10.2) == [b"a"]
    assert line.next_moment() is None


def test_jitter_stays_within_its_bounds_and_packets_keep_their_order() -> None:
    line = Line(Shape(delay_seconds=0.1, jitter_seconds=0.05), seed=7)
    for number in range(500):
        line.put(bytes([number % 256]), number * 0.2)
    found = drain(line)
    waits = [moment - number * 0.2 for number, (moment, _) in enumerate(found)]
    assert [packet for _, packet in found] == [bytes([number % 256]) for number in range(500)]
    assert 0.05 <= min(waits) < 0.06
    assert 0.14 < max(waits) <= 0.15 + 1e-9
    crowd = Line(Shape(delay_seconds=0.1, jitter_seconds=0.09), seed=7)
    for number in range(200):
        crowd.put(bytes([number]), 0.0)
    assert [packet for _, packet in drain(crowd)] == [bytes([number]) for number in range(200)]


def test_reordered_packets_overtake_those_that_wait() -> None:
    line = Line(Shape(delay_seconds=1.0, reorder_percent=25), seed=3)
    for _ in range(4000):
        line.put(b"x", 0.0)
    early = len(line.take(0.0))
    assert abs(early - 1000) < 6 * (4000 * 0.25 * 0.75) ** 0.5
    assert early + len(line.take(1.0)) == 4000


@pytest.mark.parametrize("percent", [1, 30, 90])
def test_so_many_percent_are_lost_and_the_same_ones_with_the_same_seed(percent: int) -> None:
    lines = [Line(Shape(loss_percent=percent), seed=seed) for seed in (5, 5, 6)]
    for line in lines:
        for number in range(5000):
            line.put(number.to_bytes(2, "big"), 0.0)
    first, same, other = ([packet for _, packet in drain(line)] for line in lines)
    share = percent / 100
    assert abs(lines[0].lost - 5000 * share) < 6 * (5000 * share * (1 - share)) ** 0.5
    assert len(first) == 5000 - lines[0].lost
    assert first == same != other


def test_a_narrow_line_sends_one_packet_after_the_other_and_drops_what_would_wait_too_long() -> None:
    line = Line(Shape(bytes_per_second=1000.0), seed=1)
    for _ in range(20):
        line.put(b"x" * 100, 0.0)
    found = [moment for moment, _ in drain(line)]
    assert found == pytest.approx([0.1 * (number + 1) for number in range(len(found))])
    assert (len(found), line.lost) == (11, 9)  # eleven leave within 1.1 s: the last began to wait a second
    line.put(b"x" * 100, 50.0)
    assert line.next_moment() == pytest.approx(50.1)


def test_a_line_does_not_grow_without_end() -> None:
    line = Line(Shape(delay_seconds=1000.0), seed=1)
    for _ in range(20_005):
        line.put(b"x", 0.0)
    assert line.lost == 5
