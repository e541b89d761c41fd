"""The canary chain of a restored server against its witnesses."""

from dataclasses import replace

from drills_kit import at, chain, position, witnesses_of
from hypothesis import given
from hypothesis import strategies as st

from dbre.capabilities.backup.drilling.canary_chain import ChainBounds, compare_chain
from dbre.ports.restored_checks import CheckOutcome

ROWS = chain(20)
WITNESSES = witnesses_of(ROWS)


def until(seconds: float) -> ChainBounds:
    return ChainBounds(until=at(seconds), held=position(10**9))


def test_passes_where_the_chain_ends_exactly_at_the_target() -> None:
    found = compare_chain(ROWS[:10], WITNESSES, until(105))
    assert found.outcome is CheckOutcome.PASS
    assert found.newest_at == at(100)
    assert found.evidence["witnessed"] == 10


def test_a_row_newer_than_the_target_fails_and_says_by_how_much() -> None:
    found = compare_chain(ROWS[:11], WITNESSES, until(105))
    assert found.outcome is CheckOutcome.FAIL
    assert "row 11" in found.detail
    assert "5.000 s newer than the target" in found.detail


def test_a_row_that_was_acknowledged_before_the_target_and_is_missing_fails() -> None:
    found = compare_chain(ROWS[:7], WITNESSES, until(105))
    assert found.outcome is CheckOutcome.FAIL
    assert "row 10" in found.detail
    assert "row 7" in found.detail


def test_the_last_row_before_the_target_may_have_been_in_flight_but_no_other() -> None:
    assert compare_chain(ROWS[:9], WITNESSES, until(100.2)).outcome is CheckOutcome.PASS
    assert compare_chain(ROWS[:8], WITNESSES, until(100.2)).outcome is CheckOutcome.FAIL
    assert compare_chain(ROWS[:9], witnesses_of(chain(10)), until(115)).outcome is CheckOutcome.FAIL


def test_a_tampered_row_fails() -> None:
    forged = [*ROWS[:4], replace(ROWS[4], nonce="00" * 8), *ROWS[5:10]]
    found = compare_chain(forged, WITNESSES, until(105))
    assert found.outcome is CheckOutcome.FAIL
    assert "row 5" in found.detail
    assert "was changed" in found.detail


def test_a_whole_other_chain_fails_although_it_is_sound_in_itself() -> None:
    found = compare_chain(chain(10, salt="other"), WITNESSES, until(105))
    assert found.outcome is CheckOutcome.FAIL
    assert "another one than was acknowledged" in found.detail


def test_a_row_taken_out_of_the_middle_fails() -> None:
    found = compare_chain([*ROWS[:4], *ROWS[5:10]], WITNESSES, until(105))
    assert found.outcome is CheckOutcome.FAIL
    assert "row 6 follows row 4" in found.detail


def test_a_chain_whose_old_rows_were_pruned_is_whole() -> None:
    assert compare_chain(ROWS[5:10], WITNESSES, until(105)).outcome is CheckOutcome.PASS


def test_an_empty_chain_fails_where_rows_were_acknowledged() -> None:
    found = compare_chain([], WITNESSES, until(105))
    assert found.outcome is CheckOutcome.FAIL
    assert "no row came back" in found.detail


def test_without_witness_nothing_is_said() -> None:
    assert compare_chain(ROWS[:3], [], until(105)).outcome is CheckOutcome.INCONCLUSIVE
    assert compare_chain([], [], until(105)).outcome is CheckOutcome.INCONCLUSIVE


def test_of_all_the_log_every_row_in_it_must_be_there_and_none_behind_it() -> None:
    bounds = ChainBounds(held=position(8_500))
    assert compare_chain(ROWS[:8], WITNESSES, bounds).outcome is CheckOutcome.PASS
    assert compare_chain(ROWS[:7], WITNESSES, bounds).outcome is CheckOutcome.FAIL
    assert compare_chain(ROWS[:9], WITNESSES, bounds).outcome is CheckOutcome.PASS  # committed, acknowledged a moment later


def test_a_target_that_is_a_position_lets_nothing_through_from_behind_it() -> None:
    bounds = ChainBounds(held=position(8_500), limit=position(8_500))
    assert compare_chain(ROWS[:9], WITNESSES, bounds).outcome is CheckOutcome.PASS
    found = compare_chain(ROWS[:10], WITNESSES, bounds)
    assert found.outcome is CheckOutcome.FAIL
    assert "behind the target" in found.detail


@given(count=st.integers(0, 20), target=st.floats(0, 210, allow_nan=False))
def test_only_the_chain_that_ends_at_the_target_passes(count: int, target: float) -> None:
    """Brute force: row n is due iff its time is not after the target; only the last one may be lacking, if it is 10 s old."""
    found = compare_chain(ROWS[:count], WITNESSES, until(target))
    due = sum(one.at <= at(target) for one in ROWS)
    is_in_flight = count == due - 1 and count > 0 and at(target) - ROWS[due - 1].at <= at(10) - at(0)
    if due == 0 and count == 0:
        assert found.outcome is CheckOutcome.INCONCLUSIVE
    else:
        assert (found.outcome is CheckOutcome.PASS) == (count == due or is_in_flight)
